"""Master notebooks for Otter Assign: the exercises alone, between its raw cells, and no widget."""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

from notebooks.course.judging import ASK, COMMAND, IMPORTS, RIGHT, TOLD
from notebooks.course.lesson import Exercise, Lesson
from notebooks.course.plain import introduction, notebook

CONFIGURATION = """# ASSIGNMENT CONFIG
name: {slug}
init_cell: true
check_all_cell: true
export_cell: true
solutions_pdf: false
template_pdf: false
generate:
  show_stdout: true
"""


def master(lesson: Lesson, seed: int) -> NotebookNode:
    """``otter assign`` makes the students' notebook and the autograder of it; ``seed`` draws the hidden cases."""
    cells = [new_raw_cell(CONFIGURATION.format(slug=lesson.slug), id="config")]
    cells += [new_markdown_cell(introduction(lesson), id="title"), new_code_cell(lesson.imports, id="imports")]
    for exercise in lesson.exercises:
        cells += _question(exercise, seed)
    return notebook(lesson, cells)


def _question(exercise: Exercise, seed: int) -> list[NotebookNode]:
    name = exercise.name
    stub = "raise NotImplementedError  # write the body here"
    prompt = "\n".join(f"    {line}" for line in ('""" # BEGIN PROMPT', stub, '""" # END PROMPT'))
    answer = f"{exercise.signature}\n    # BEGIN SOLUTION NO PROMPT\n{exercise.body}\n    # END SOLUTION\n{prompt}"
    return [
        new_raw_cell(f"# BEGIN QUESTION\nname: {name}\npoints: 2", id=f"{name}-question"),
        new_markdown_cell(exercise.task, id=f"{name}-task"),
        new_raw_cell("# BEGIN SOLUTION", id=f"{name}-solution"),
        new_code_cell(answer, id=name),
        new_raw_cell("# END SOLUTION", id=f"{name}-solution-end"),
        new_raw_cell("# BEGIN TESTS", id=f"{name}-tests"),
        _test(name, 0, hidden=False),
        _test(name, seed, hidden=True),
        new_raw_cell("# END TESTS", id=f"{name}-tests-end"),
        new_raw_cell("# END QUESTION", id=f"{name}-question-end"),
    ]


def _test(name: str, seed: int, *, hidden: bool) -> NotebookNode:
    """A test cell and what a right answer makes of it: whoever is wrong reads the hint in its place."""
    source = "\n".join([*["# HIDDEN"] * hidden, IMPORTS, COMMAND, ASK, TOLD]).format(name=name, seed=seed)
    output = new_output("execute_result", {"text/plain": repr(RIGHT)}, execution_count=1)
    return new_code_cell(source, id=f"{name}-{'hidden' if hidden else 'test'}", outputs=[output])
