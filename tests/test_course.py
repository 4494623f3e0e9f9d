"""The course that teachers hand out: solutions stay behind, graded notebooks hold no widget, both graders' forms are kept."""

import ast
import io
import re
from types import SimpleNamespace

import cloudpickle
import pytest
from lessons import LESSONS, read, solutions
from nbclient import NotebookClient
from nbformat import validate
from typer.testing import CliRunner

from lab.course.exercises import judge
from notebooks.course.__main__ import app
from notebooks.course.lesson import lessons, tagged

SEED = 77
SLUGS = [path.stem for path in LESSONS]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    done = CliRunner().invoke(app, ["--out", str(folder), "--seed", str(SEED)])
    assert done.exit_code == 0, done.output
    return folder


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def bodies():
    """The lines that only a solution holds, longer than a few letters."""
    return [line.strip() for lesson in lessons() for one in lesson.exercises for line in one.body.splitlines() if line.strip()]


def otter(built, slug):
    return read(built / "otter" / f"{slug}.ipynb")


def graded(built, slug):
    return read(built / "nbgrader" / "source" / slug / f"{slug}.ipynb")


@pytest.mark.parametrize("slug", SLUGS)
def test_no_solution_is_handed_out(built, slug):
    notebook = read(built / "student" / f"{slug}.ipynb")
    assert not tagged(notebook, "solution")
    told = [line.strip() for cell in code(notebook) for line in cell.source.splitlines()]
    assert not set(told) & set(bodies())
    assert len(tagged(notebook, "exercise")) == len(tagged(notebook, "check")) >= 2


@pytest.mark.parametrize("slug", SLUGS)
def test_graded_notebooks_hold_no_widget_and_are_complete(built, slug):
    for notebook in (graded(built, slug), otter(built, slug)):
        validate(notebook)
        assert not [cell for cell in code(notebook) if "widgets" in cell.source]


@pytest.mark.parametrize("slug", SLUGS)
def test_nbgrader_cells_are_answers_and_locked_tests(built, slug):
    marked = [cell for cell in graded(built, slug).cells if "nbgrader" in cell.metadata]
    names = [cell.metadata["nbgrader"]["grade_id"] for cell in marked]
    assert len(set(names)) == len(names) == 2 * len(tagged(read_lesson(slug), "exercise"))
    for cell in marked:
        told = cell.metadata["nbgrader"]
        assert set(told) - {"points"} == {"grade", "grade_id", "locked", "solution", "task", "schema_version"}
        assert told["grade"] is told["locked"] is not told["solution"]
        block = "SOLUTION" if told["solution"] else "HIDDEN TESTS"
        assert cell.source.count(f"### BEGIN {block}") == cell.source.count(f"### END {block}") == 1
        ast.parse(cell.source)


def read_lesson(slug):
    return next(lesson.notebook for lesson in lessons() if lesson.slug == slug)


def judged(function, seeds, name, monkeypatch):
    """What the judge's process says of this function, without the process."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(cloudpickle.dumps(function))))
    return judge.main(name, *seeds)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_instructors_answers_cross_over_to_the_judge_and_are_right(built, slug, monkeypatch, capsys):
    namespace, found = {"__name__": "__main__"}, {}
    for cell in code(graded(built, slug)):
        told = cell.metadata.get("nbgrader", {})
        if not told.get("grade"):
            exec(cell.source, namespace)
            continue
        name = told["grade_id"].removesuffix("-test")
        assert re.search(rf'"{name}", "0"]\n.*\ncommand \+= \["{SEED}"]', cell.source)
        assert f"cloudpickle.dumps({name})" in cell.source
        found[name] = judged(namespace[name], ["0", str(SEED)], name, monkeypatch)
        assert capsys.readouterr().out == "Right."
        assert judged(lambda *_: "wrong", ["0", str(SEED)], name, monkeypatch) == 1
        assert capsys.readouterr().out != "Right."
    assert set(found.values()) == {0}


CHEATS = """
import sys, types
import lab.course.exercises, lab.course.exercises.checking, lab.course.exercises.feedback, lab.course.exercises.judge
yes = lambda *_, **__: None
lab.course.exercises.grade = lab.course.exercises.checking.grade = lab.course.exercises.judge.grade = yes
right = lab.course.exercises.feedback.Feedback(True, "")
lab.course.exercises.check = lab.course.exercises.checking.check = lab.course.exercises.checking._tried = lambda *_: right
lab.course.exercises.checking.exercises = lambda: {}
lab.course.exercises.judge.main = lambda *_: 0
lab.course.exercises.NotYet = lab.course.exercises.feedback.NotYet = Warning
sys.modules["lab.course.exercises"] = types.SimpleNamespace(grade=yes)
command, judged = [], types.SimpleNamespace(returncode=0, stdout=b"Right.")
"""
"""What a student's cell may do to the kernel that its test runs in."""


def earned_with_nbgrader(notebook):
    """A point for a test without an error."""
    tests = [cell for cell in code(notebook) if cell.metadata.get("nbgrader", {}).get("grade")]
    return {cell.id: not any(output.output_type == "error" for output in cell.outputs) for cell in tests}


def earned_with_otter(notebook, master):
    """A point for a test that gives what its master's cell holds."""
    expected = {cell.id: cell.outputs[0].data["text/plain"] for cell in code(master) if cell.outputs}
    return {cell.id: told(cell) == expected[cell.id] for cell in code(notebook) if cell.id in expected}


def told(cell):
    """The last word of a cell: its value, or its error."""
    return cell.outputs[-1].get("evalue") or cell.outputs[-1].data["text/plain"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("cheat", ["", CHEATS], ids=["honest", "cheating"])
@pytest.mark.parametrize("grader", ["nbgrader", "otter"])
def test_a_graded_notebook_pays_for_right_answers_alone_whatever_its_cells_did_to_the_lab(built, tmp_path, cheat, grader):
    """As the graders do it: all cells in one kernel, errors allowed, a point for each test."""
    slug = "02-one-layer-gives-it-away"
    notebook, master = (graded(built, slug) if grader == "nbgrader" else otter(built, slug) for _ in range(2))
    (tmp_path / "lab" / "course" / "exercises").mkdir(parents=True)
    (tmp_path / "lab" / "course" / "exercises" / "judge.py").write_text("import sys; sys.stdout.write('Right.')")
    wrong = "def mixture_of(delta, x):\n    return x.mean(0)\n"
    for cell in code(notebook):
        if cell.id == "mixture_of":
            cell.source = wrong + cheat
    NotebookClient(notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    points = earned_with_nbgrader(notebook) if grader == "nbgrader" else earned_with_otter(notebook, master)
    assert set(points) == {f"{name}-{kind}" for name in ("invert_fc", "mixture_of") for kind in KINDS[grader]}
    assert points == {test: test.startswith("invert_fc") for test in points}
    (last,) = [cell for cell in code(notebook) if cell.id == "mixture_of-test"]
    assert "plain mean" in told(last)


KINDS = {"nbgrader": ("test",), "otter": ("test", "hidden")}


@pytest.mark.parametrize("slug", SLUGS)
def test_otter_blocks_are_closed_in_order_and_another_process_judges(built, slug):
    notebook = otter(built, slug)
    raw = [cell.source.splitlines()[0].removeprefix("# ") for cell in notebook.cells if cell.cell_type == "raw"]
    question = [f"{edge} {block}" for block in ("SOLUTION", "TESTS") for edge in ("BEGIN", "END")]
    count = len(tagged(read_lesson(slug), "exercise"))
    assert raw == ["ASSIGNMENT CONFIG", *["BEGIN QUESTION", *question, "END QUESTION"] * count]
    for cell in code(notebook):
        if cell.outputs:
            name, _, kind = cell.id.rpartition("-")
            assert cell.outputs[0].data["text/plain"] == "'Right.'"
            assert cell.source.startswith("# HIDDEN\n") is (kind == "hidden")
            assert f'"lab.course.exercises.judge", "{name}", "{SEED if kind == "hidden" else 0}"]' in cell.source
            assert f"cloudpickle.dumps({name})" in cell.source


def test_a_solution_that_is_not_its_exercise_is_refused():
    from notebooks.course.lesson import Exercise

    with pytest.raises(ValueError, match="must begin as the exercise does"):
        _ = Exercise("f", "", "def f(x):\n    raise NotImplementedError", "def g(x):\n    return x").body


def test_every_lesson_is_built(built):
    assert [lesson.slug for lesson in lessons()] == SLUGS
    assert len(solutions()) == sum(len(lesson.exercises) for lesson in lessons())
    assert (built / "nbgrader" / "nbgrader_config.py").read_text().startswith("c = get_config()")
