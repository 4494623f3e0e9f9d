"""Master notebooks for Otter Assign: the exercises alone, between its raw cells, and no widget."""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

from lab.exercises.checking import exercises
from lab.exercises.feedback import Feedback
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
        _test(name, f'check("{name}", {name})', f"{name}-test"),
        _test(name, f'# HIDDEN\ncheck("{name}", {name}, seed={seed})', f"{name}-hidden"),
        new_raw_cell("# END TESTS", id=f"{name}-tests-end"),
        new_raw_cell("# END QUESTION", id=f"{name}-question-end"),
    ]


def _test(name: str, source: str, cell: str) -> NotebookNode:
    """A test cell with the words that a right answer gets: whoever is wrong reads the hint in their place."""
    right = repr(Feedback(True, exercises()[name].praise))
    return new_code_cell(source, id=cell, outputs=[new_output("execute_result", {"text/plain": right}, execution_count=1)])
