"""The lessons as tests see them: their cells by tag, their solutions, and how they are run quickly."""

from pathlib import Path

import nbformat

FOLDER = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(path for path in FOLDER.glob("[0-9][0-9]-*.ipynb") if "lesson" in nbformat.read(path, as_version=4).metadata)


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def quick(notebook):
    """The notebook with its parameters overwritten by the few iterations that its metadata names."""
    return overwritten(notebook, **notebook.metadata.get("lesson", {}).get("quick", {}))


def overwritten(notebook, **settings):
    """The notebook with these of its parameters."""
    source = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if source and "parameters" in cell.metadata.get("tags", ()):
            cells.append(nbformat.v4.new_code_cell(source))
    notebook.cells = cells
    return notebook


def solutions():
    """Every function that the solution cells define, by name; each lesson's cells in a namespace of their own."""
    found = {}
    for path in LESSONS:
        notebook, namespace = read(path), {}
        for cell in (*tagged(notebook, "imports"), *tagged(notebook, "solution")):
            exec(compile(cell.source, f"{path.name}:{cell.id}", "exec"), namespace)
        found |= {cell.id.removesuffix("-solution"): namespace for cell in tagged(notebook, "solution")}
    return {name: namespace[name] for name, namespace in found.items()}
