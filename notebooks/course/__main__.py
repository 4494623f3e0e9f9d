"""The one command: ``python -m notebooks.course --out DIR``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import nbformat
import typer
from nbformat import NotebookNode

from notebooks.course import nbgrader, otter
from notebooks.course.lesson import FOLDER, notebook_files, read
from notebooks.course.student import student

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

READ_ME = """The course, built from the lessons of the Inverting Gradients Lab.

student/   hand this out: the lessons, with checks and without solutions
nbgrader/  a course folder: nbgrader generate_assignment 01-what-leaves-the-phone
otter/     otter assign otter/01-what-leaves-the-phone.ipynb dist

nbgrader/ and otter/ hold the solutions: keep them. The machine that grades needs the lab installed (pip install).
"""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="the folder to build, made anew")] = Path("course"),
    seed: Annotated[int, typer.Option(min=1, help="draws the cases of the hidden tests: choose your own")] = 20_260,
) -> None:
    """Build the student's lessons, the nbgrader course and the Otter masters."""
    for part in ("student", "nbgrader", "otter"):
        shutil.rmtree(out / part, ignore_errors=True)
    built, broken = [], []
    for path in notebook_files():
        try:
            built += _built(path, out, seed)
        except Exception as error:  # whatever is wrong with one notebook, the others are built
            broken.append(f"{path.name} ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
    (out / "nbgrader" / "nbgrader_config.py").write_text(nbgrader.CONFIGURATION, encoding="utf-8")
    (out / "README.txt").write_text(READ_ME, encoding="utf-8")
    shutil.copy(FOLDER / "00-meet-the-lab.ipynb", out / "student")
    typer.echo(f"Built {len(built)} lessons in {out}: student (to hand out), nbgrader and otter (with solutions).")
    for told in broken:
        typer.echo(f"Not built: {told}", err=True)
    raise typer.Exit(1 if broken else 0)


def _built(path: Path, out: Path, seed: int) -> list[str]:
    """Build what a notebook holds, a lesson or none, in every form or in none; its name."""
    lesson = read(path)
    if lesson is None:
        return []
    forms = {
        out / "student" / f"{lesson.slug}.ipynb": student(lesson),
        out / "nbgrader" / "source" / lesson.slug / f"{lesson.slug}.ipynb": nbgrader.assignment(lesson, seed),
        out / "otter" / f"{lesson.slug}.ipynb": otter.master(lesson, seed),
    }
    for place, notebook in forms.items():
        _write(notebook, place)
    return [lesson.slug]


def _write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    app()
