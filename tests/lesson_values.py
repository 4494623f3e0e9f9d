"""The lessons' own cells, run without their live views: what the prose says is asserted of what a reader sees."""

from functools import cache

from lessons import LESSONS, read, tagged


def lesson_values(number, **parameters):
    """The names that lesson ``number`` leaves behind at full iterations; parameters may be overruled.

    A lesson is run once for all who ask for the same, be it by name or because it is the lesson's own.
    """
    own = its_own(number)
    return _told(number, **{name: value for name, value in parameters.items() if own[name] != value})


@cache
def its_own(number):
    """The parameters of a lesson, as its own cell has them."""
    found = {}
    for cell in tagged(read(LESSONS[number]), "parameters"):
        exec(compile(cell.source, f"lesson {number}, cell {cell.id}", "exec"), found)
    return found


@cache
def _told(number, **parameters):
    notebook = read(LESSONS[number])
    namespace = {"__name__": f"lesson{number}"}
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type != "code" or tags & {"exercise", "check"} or "Lesson(" in cell.source:
            continue
        exec(compile(cell.source, f"lesson {number}, cell {cell.id}", "exec"), namespace)
        if "parameters" in tags:
            namespace.update(parameters)
    return namespace
