"""What students get: the lesson with its solutions left out."""

from __future__ import annotations

from copy import deepcopy

from nbformat import NotebookNode

from notebooks.course.lesson import Lesson


def student(lesson: Lesson) -> NotebookNode:
    """The whole lesson, widgets included, without the cells tagged ``solution``."""
    notebook = deepcopy(lesson.notebook)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", ())]
    return notebook
