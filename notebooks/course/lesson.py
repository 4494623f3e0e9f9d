"""A lesson's notebook taken apart: its exercises, told by the tags of its cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

FOLDER = Path(__file__).parent.parent


@dataclass(frozen=True)
class Exercise:
    """One exercise: the cells tagged task, exercise and solution."""

    name: str
    task: str
    skeleton: str
    solution: str

    @property
    def signature(self) -> str:
        """The skeleton without its last line, ``raise NotImplementedError``: the head and the docstring."""
        return "\n".join(self.skeleton.splitlines()[:-1])

    @property
    def body(self) -> str:
        """The solution's lines under its head, which is the skeleton's."""
        head, _, body = self.solution.partition("\n")
        if head != self.skeleton.splitlines()[0]:
            raise ValueError(f"The solution of {self.name} begins with {head!r}; it must begin as the exercise does.")
        return body


@dataclass(frozen=True)
class Lesson:
    """One lesson as it stands in the folder of notebooks."""

    slug: str
    title: str
    notebook: NotebookNode
    imports: str
    exercises: tuple[Exercise, ...]


def lessons(folder: Path = FOLDER) -> list[Lesson]:
    """All lessons in their order; other notebooks of the folder (the page itself) are none."""
    found = (read(path) for path in notebook_files(folder))
    return [lesson for lesson in found if lesson is not None]


def notebook_files(folder: Path = FOLDER) -> list[Path]:
    """All notebooks of the folder in their order, lessons or not."""
    return sorted(folder.glob("*.ipynb"))


def read(path: Path) -> Lesson | None:
    """The lesson in a notebook, None where it is none."""
    notebook = nbformat.read(path, as_version=4)
    return _taken_apart(path.stem, notebook) if "lesson" in notebook.metadata else None


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """The cells with a tag, in their order."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def _taken_apart(slug: str, notebook: NotebookNode) -> Lesson:
    sources = {cell.id: cell.source for cell in notebook.cells}
    names = [cell.id for cell in tagged(notebook, "exercise")]
    exercises = [Exercise(name, sources[f"{name}-task"], sources[name], sources[f"{name}-solution"]) for name in names]
    imports = "\n".join(cell.source for cell in tagged(notebook, "imports"))
    return Lesson(slug, notebook.metadata["title"], notebook, imports, tuple(exercises))
