"""An nbgrader course: one assignment a lesson, with the exercises alone and no widget."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from notebooks.course.judging import ASK, COMMAND, IMPORTS, RIGHT, TOLD
from notebooks.course.lesson import Exercise, Lesson
from notebooks.course.plain import introduction, notebook

SCHEMA = 3
"""Of nbgrader's cell metadata."""

CONFIGURATION = """c = get_config()

c.CourseDirectory.course_id = "inverting-gradients"
c.ExecutePreprocessor.timeout = 60
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
"""

TEST = f"""{IMPORTS}

{COMMAND.replace("{seed}", "0")}
### BEGIN HIDDEN TESTS
command += ["{{seed}}"]
### END HIDDEN TESTS
{ASK}
assert judged.returncode == 0 and judged.stdout == {RIGHT.encode()!r}, {TOLD}
"""


def assignment(lesson: Lesson, seed: int) -> NotebookNode:
    """The instructor's version; ``nbgrader generate_assignment`` makes the students' of it.

    ``seed`` draws the cases of the hidden tests: other ones than those of the lesson's own checks.
    """
    cells = [new_markdown_cell(introduction(lesson), id="title"), new_code_cell(lesson.imports, id="imports")]
    for exercise in lesson.exercises:
        cells += _cells(exercise, seed)
    return notebook(lesson, cells)


def _cells(exercise: Exercise, seed: int) -> list[NotebookNode]:
    name = exercise.name
    answer = f"{exercise.signature}\n    ### BEGIN SOLUTION\n{exercise.body}\n    ### END SOLUTION"
    test = TEST.format(name=name, seed=seed)
    return [
        new_markdown_cell(exercise.task, id=f"{name}-task"),
        new_code_cell(answer, id=name, metadata=_metadata(name, solution=True)),
        new_code_cell(test, id=f"{name}-test", metadata=_metadata(f"{name}-test", solution=False)),
    ]


def _metadata(grade_id: str, *, solution: bool) -> dict[str, Any]:
    """An answer cell, open to the student, or a test cell, locked and worth one point."""
    told = {"grade_id": grade_id, "solution": solution, "grade": not solution, "locked": not solution}
    points = {} if solution else {"points": 1}
    return {"nbgrader": told | points | {"task": False, "schema_version": SCHEMA}}
