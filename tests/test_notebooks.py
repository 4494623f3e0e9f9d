"""Every notebook runs from top to bottom, and is kept as a reader should find it; every lesson keeps the course's form."""

import ast
import asyncio
import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from jupyter_client.provisioning import KernelProvisionerFactory
from lessons import LESSONS, quick, read, solutions, tagged
from nbclient import NotebookClient

from lab import Experiment
from lab.course.exercises import check
from lab.course.exercises.checking import exercises
from lab.experiments import links
from widgets.run import opening
from widgets.serving import serve
from widgets.serving.forking import ForkServer

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("**/*.ipynb"))
UNATTENDED = [path for path in NOTEBOOKS if "needs" not in read(path).metadata]
"""Those that need nothing beside the lab; ``test_capture_flower`` runs the one that needs Flower and an app."""
WITH_VIEWS = (*LESSONS, LESSONS[0].with_name("00-meet-the-lab.ipynb"))
OWN = ("lab", "widgets", "notebooks")
STEPS = ["Predict", "Run", "Explain", "Change one thing", "Check"]
HIDDEN_SEEDS = (0, 1, 20_260)
RUN_BY_THE_LAB = ("one_change_that_hides", "three_tries")
"""Answers that are whole attacks: of these ``test_course`` tries two seeds, and here it is one more."""
CONTENTS = "widgets/template/voila/templates/gradlab-lesson/tree.html"


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_the_lessons_are_numbered_without_a_gap():
    assert [read(path).metadata["lesson"]["number"] for path in LESSONS] == list(range(len(LESSONS)))
    assert [int(path.name[:2]) for path in LESSONS] == list(range(len(LESSONS)))


COUNTS = dict(enumerate(("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"), 10))
LISTS = ("README.md", "docs/course.md", "notebooks/teachers/README.md", CONTENTS)


def test_the_server_hands_out_the_page_and_every_lesson(monkeypatch):
    handed = []
    monkeypatch.setattr(serve, "_check_address", lambda *_: None)
    monkeypatch.setattr(serve, "Watchdog", lambda: None)
    monkeypatch.setattr(serve, "_announce", lambda *_: None)
    monkeypatch.setattr(serve, "_run", lambda folder, *_, **__: handed.extend(path.name for path in folder.iterdir()))
    serve.serve(lessons=True, browser=False)
    assert sorted(handed) == sorted(path.name for path in WITH_VIEWS)


@pytest.mark.parametrize("document", LISTS)
def test_who_counts_and_lists_the_lessons_has_all_of_them(document):
    shown = (LESSONS[0].parent.parent / document).read_text(encoding="utf-8")
    counted = re.findall(rf"\b({'|'.join(COUNTS.values())}) lessons", shown.lower())
    assert set(counted) == {COUNTS[len(LESSONS)]}
    assert [title for path in LESSONS if (title := read(path).metadata["title"].partition(" · ")[2]) not in shown] == []


@pytest.fixture(scope="module")
def kernels():
    """Kernels as the page has them, copies of one process that has imported everything; and the loop in which they run."""
    factory = KernelProvisionerFactory.instance()
    before, factory.default_provisioner_name = factory.default_provisioner_name, "gradlab-fork"
    ForkServer.start()
    with asyncio.Runner() as loop:
        yield loop
        loop.run(_stopped())
    factory.default_provisioner_name = before


async def _stopped():
    ForkServer.stop()


@pytest.mark.slow
@pytest.mark.parametrize("path", UNATTENDED, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
def test_it_runs_unattended(path, kernels):
    """In a kernel of its own; ``test_jupyter`` has lessons in plain ones."""
    notebook = quick(read(path))
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}})
    kernels.run(client.async_execute())
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in shown if output.output_type in ("error", "stream")]
    widgets = [output for output in shown if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]
    assert widgets or path not in WITH_VIEWS
    for cell in tagged(notebook, "check"):
        assert cell.outputs[0].data["text/plain"].startswith("Right.")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_outputs_are_stripped_and_its_cells_are_short(path):
    for cell in code_cells(path):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 8


def imported(source):
    """(module, name) for each name that a cell takes out of one of the repository's modules."""
    taken = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return [(node.module, each.name) for node in taken for each in node.names if node.module.partition(".")[0] in OWN]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_whatever_it_imports_of_the_repository_is_there(path):
    sources = [cell.source for cell in code_cells(path) if not cell.source.startswith("%")]
    for module, name in [pair for source in sources for pair in imported(source)]:
        assert hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}"), (module, name)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_says_what_it_is_for_and_keeps_the_five_steps(path):
    notebook = read(path)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    objectives = re.search(r"you can\*\*\n((?:\d\. .+\n?)+)", text)[1].strip().splitlines()
    assert 1 <= len(objectives) <= 3
    assert re.search(r"\*\d+ minutes|\*Two to three hours", text)
    headings = re.findall(r"^## ([^:\n]+)", text, re.MULTILINE)
    assert sorted(set(headings) & set(STEPS), key=STEPS.index) == STEPS
    assert len(tagged(notebook, "parameters")) == 1
    assert "Lesson(" in "".join(cell.source for cell in code_cells(path))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lessons_links_are_understood_in_full(path):
    sources = "".join(cell.source for cell in code_cells(path))
    for link in re.findall(r'link="([^"]+)"', sources):
        assert links.read(link).notices == ()
        assert links.read(link).experiment != Experiment()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lessons_live_view_opens_as_it_says_and_not_as_the_default_one(path, monkeypatch):
    opened = []
    monkeypatch.setattr("widgets.Lesson", lambda shows, *, only=(), link="", changes=None: opened.append((link, changes)))
    for cell in code_cells(path):
        if "Lesson(" in cell.source:
            exec(compile(cell.source, path.name, "exec"), {})
    ((link, changes),) = opened
    begun = opening.from_link(link)() if link else opening.from_changes(changes or {})()
    assert begun.notice == ""
    assert (begun.experiment == Experiment()) is not bool(link or changes)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_exercise_has_its_four_cells_in_order(path):
    notebook = read(path)
    roles = ("task", "exercise", "solution", "check")
    names = [cell.id for cell in tagged(notebook, "exercise")]
    assert len(names) >= 2
    order = [cell.id for cell in notebook.cells if set(roles) & set(cell.metadata.get("tags", ()))]
    assert order == [cell for name in names for cell in (f"{name}-task", name, f"{name}-solution", f"{name}-check")]
    for name in names:
        assert exercises()[name].lesson == notebook.metadata["lesson"]["number"]
    for cell in tagged(notebook, "exercise"):
        assert cell.source.splitlines()[-1].strip() == "raise NotImplementedError"
        assert cell.source.startswith(f"def {cell.id}(")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_ends_with_the_way_on(path):
    (_, target), *_ = re.findall(r"\[([^]]+)\]\((\S+\.ipynb)\)", read(path).cells[-1].source)
    names = [lesson.name for lesson in LESSONS]
    expected = (*names[1:], "00-meet-the-lab.ipynb")[names.index(path.name)]
    assert target == expected
    assert path.with_name(target).exists()


def test_the_table_of_contents_is_that_of_the_notebooks():
    shown = (LESSONS[0].parent.parent / CONTENTS).read_text(encoding="utf-8")
    listed = re.findall(r'render/(\S+\.ipynb)">([^<]+)</a>[^<]+<small>(\d+) minutes', shown)
    told = [(path.name, read(path).metadata) for path in LESSONS]
    assert listed == [(name, data["title"].partition(" · ")[2], str(data["lesson"]["minutes"])) for name, data in told]


def test_every_exercise_stands_in_a_lesson():
    assert set(solutions()) == set(exercises())


@pytest.mark.parametrize("name", exercises())
def test_the_model_solution_is_right_on_every_seed(name):
    for seed in HIDDEN_SEEDS[-1:] if name in RUN_BY_THE_LAB else HIDDEN_SEEDS:
        found = check(name, solutions()[name], seed)
        assert found.passed, found.sentence
