"""What graded notebooks of both kinds share: a head, and no more than the exercises."""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from notebooks.course.lesson import Lesson


def introduction(lesson: Lesson) -> str:
    """The first words of a graded notebook."""
    return (
        f"# {lesson.title}\n\nThe exercises of the lesson, to be graded. Every function is pure: it gets all it needs and "
        "changes nothing. It is tried on cases that you do not see, with seeds of their own; an answer that is not right yet "
        "is told why."
    )


def notebook(lesson: Lesson, cells: list[NotebookNode]) -> NotebookNode:
    """A notebook of these cells for the lesson's kernel."""
    metadata = {name: lesson.notebook.metadata[name] for name in ("kernelspec", "language_info", "title")}
    return new_notebook(cells=cells, metadata=metadata)
