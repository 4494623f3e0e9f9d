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

from widgets import Lesson

VIEW = "application/vnd.jupyter.widget-view+json"
SHORT = {"link": "iterations=3"}


def picture(markup):
    """The picture in a still's HTML, as an array; None where there is none."""
    found = re.search(r'src="data:image/png;base64,([^"]+)"', markup)
    return found and np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


def test_it_follows_the_session_from_the_secret_to_the_verdict():
    async def story():
        lesson = Lesson(["secret", "server", "transport"], **SHORT)
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_a_lesson_that_was_run_shows_what_was_there_when_it_is_exported():
    from nbconvert import HTMLExporter

    shown = 'from widgets import Lesson\nlesson = Lesson(["secret", "server"], link="iterations=3")\nlesson'
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
