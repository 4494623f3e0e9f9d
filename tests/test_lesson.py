"""A lesson shows what it names, of the experiment it names, and nothing else."""

import asyncio

import pytest

from lab import Experiment, LabError
from widgets import Lab, Lesson
from widgets.form.part_names import EVERYTHING, TABS
from widgets.pages.parts import PARTS


async def ready(widget):
    async with asyncio.timeout(60):
        while widget.session.status != "ready":
            await asyncio.sleep(0.01)
    return widget


def slots(page):
    return {name for name in page.traits() if name in {*PARTS, "panel", "conditions"} and getattr(page, name) is not None}


def test_a_lesson_has_the_parts_it_names():
    async def story():
        lesson = await ready(Lesson(["secret", "transport", "numbers", "difference", "controls"], only=["network"]))
        try:
            assert slots(lesson) == {"secret", "transport", "panel", "controls"}
            assert lesson.panel.tabs == ["difference", "numbers"]
            assert lesson.session.only == ["network"]
            assert not lesson.whole
            assert lesson.film.recording == {}, "the recording is of another experiment"
        finally:
            lesson.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("arguments", "experiment"),
    [
        ({}, Experiment()),
        ({"link": "seed=3&hide=seed"}, Experiment(seed=3)),
        ({"changes": {"seed": 3}}, Experiment(seed=3)),
        ({"experiment": Experiment(seed=4)}, Experiment(seed=4)),
    ],
    ids=["default", "link", "changes", "experiment"],
)
def test_a_lesson_begins_with_its_experiment(arguments, experiment):
    async def story():
        lesson = await ready(Lesson(hidden=["picture"], **arguments))
        try:
            assert lesson.session.experiment == experiment
            assert lesson.session.hidden == ["picture", "seed"] if "link" in arguments else ["picture"]
        finally:
            lesson.close()

    asyncio.run(story())


def test_an_unknown_part_is_a_sentence():
    with pytest.raises(LabError, match="Did you mean 'transport'"):
        Lesson(["transprt"])


def test_the_page_has_every_part_and_opens_links():
    async def story():
        page = await ready(Lab.from_link("http://localhost:8866/?network=mlp&hide=chips"))
        try:
            assert slots(page) == {*PARTS, "panel", "conditions"}
            assert page.panel.tabs == list(TABS)
            assert (*PARTS, "conditions", *TABS) == EVERYTHING
            assert page.session.experiment.network.name == "mlp"
            assert page.session.hidden == ["chips"]
        finally:
            page.close()

    asyncio.run(story())
