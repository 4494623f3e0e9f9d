"""What stays of a live view in a file: a sentence and a picture, kept up to date, and hidden where a kernel answers."""

import asyncio
import base64
import io
import re

import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from test_lesson import ready

import widgets
from widgets import Lab, LabPage, Lesson
from widgets.run.session import Session

VIEW = "application/vnd.jupyter.widget-view+json"
SHORT = {"link": "iterations=3"}
FEW = {"attack": {"name": "gradient_matching", "iterations": 3}}
PUBLIC = {
    "Lab": lambda: Lab(**FEW),
    "LabPage": lambda: LabPage(Session(FEW)),
    "Lesson": lambda: Lesson(["server"], changes=FEW),
}
"""Each widget that ``widgets`` offers, with a short run."""


def test_these_are_all_widgets_that_are_offered():
    assert set(PUBLIC) == set(widgets.__all__)


def picture(markup):
    """The picture in a still's HTML, as an array; None where there is none."""
    found = re.search(r'src="data:image/png;base64,([^"]+)"', markup)
    return found and np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


@pytest.mark.parametrize("name", widgets.__all__)
def test_it_follows_the_session_from_the_secret_to_the_verdict(name):
    async def story():
        lesson = PUBLIC[name]()
        try:
            early, _ = lesson._repr_mimebundle_()
            assert {VIEW, "text/html"} <= set(early)
            assert "A live view of the lab" in early["text/html"]
            await ready(lesson)
            assert "not attacked yet" in repr(lesson.still.shown)
            np.testing.assert_array_equal(picture(lesson.still.shown._repr_html_()), lesson.session.round_info["tile"])
            await lesson.session.finish()
            assert "after 3 of 3 iterations" in repr(lesson.still.shown)
            assert lesson.session.frames[-1].verdict.lower() in repr(lesson.still.shown)
            data, _ = lesson._repr_mimebundle_()
            assert picture(data["text/html"]).std() > 10
        finally:
            lesson.close()

    asyncio.run(story())


def test_it_gives_nothing_away_that_the_reader_is_to_guess():
    async def story():
        lesson = await ready(Lesson(["secret", "server", "guess"], **SHORT))
        try:
            assert np.ptp(picture(lesson.still.shown._repr_html_())) == 0
        finally:
            lesson.close()

    asyncio.run(story())


def test_a_view_that_asks_is_answered_and_nothing_else_is(monkeypatch):
    async def story():
        lesson, sent = await ready(Lesson(["secret"])), []
        try:
            monkeypatch.setattr(lesson, "send", sent.append)
            for content in (None, {}, "hello", {"type": "other"}, {"type": "hello"}):
                lesson._answer(lesson, content, [])
            assert sent == [{"type": "here"}]
        finally:
            lesson.close()

    asyncio.run(story())


@pytest.mark.parametrize("name", widgets.__all__)
@pytest.mark.parametrize("served", [False, True], ids=["in a notebook", "by Voila"])
def test_what_stays_stands_below_the_view_and_is_brought_up_to_date_where_a_file_keeps_it(monkeypatch, name, served):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: shown.append(what[0]) or Handle(shown))
    if served:
        monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")

    async def story():
        page = PUBLIC[name]()
        try:
            page._ipython_display_()
            await ready(page)
            await page.session.finish()
        finally:
            page.close()

    asyncio.run(story())
    assert VIEW in shown[0]
    told = [repr(what) for what in shown[1:]]
    assert ["after 3 of 3 iterations" in sentence for sentence in told] == [False] * (len(told) - 1) + [True] * (not served)
    assert bool(told) is not served


class Handle:
    """An output that is brought up to date."""

    def __init__(self, shown):
        self.update = shown.append


def test_a_secret_that_a_link_hides_stays_hidden_in_what_stays():
    async def story():
        page = await ready(Lesson(["secret", "server"], link="iterations=3&hide=secret"))
        try:
            await page.session.finish()
            assert "its secret hidden" in repr(page.still.shown)
            assert picture(page.still.shown._repr_html_()) is None
        finally:
            page.close()

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("made", ['Lesson(["secret", "server"], link="iterations=3")', f"Lab(**{FEW})"])
def test_what_was_run_shows_what_was_there_when_it_is_exported(made):
    from nbconvert import HTMLExporter

    shown = f"from widgets import Lab, Lesson\nlesson = {made}\nlesson"
    notebook = new_notebook(
        cells=[new_code_cell(shown), new_code_cell("await lesson.session.finish()"), new_code_cell("1 + 1")]
    )
    NotebookClient(notebook, timeout=300, store_widget_state=False).execute()
    view, still = notebook.cells[0].outputs
    assert VIEW in view.data
    assert "after 3 of 3 iterations" in still.data["text/html"]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert "after 3 of 3 iterations" in page
    assert still.data["text/html"][60:160] in page, "the picture, too"
