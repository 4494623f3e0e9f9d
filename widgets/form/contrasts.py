"""What two or more runs may differ in: one control of the form, and the values worth setting side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widgets.form.controls import schema

if TYPE_CHECKING:
    from lab import Experiment

MAX_SIDES = 6
SWEEPS: dict[str, tuple[float, ...]] = {
    "tv": (0.0, 0.05, 0.2, 0.6, 1.0),
    "local_steps": (0, 1, 4, 16),
    "batch_size": (1, 2, 4, 8),
    "iterations": (25, 50, 100, 200, 400),
    "seed": (0, 1, 2, 3, 4),
}
"""Numbers have no list of values: these are shown side by side."""
LEFT_OUT = ("picture",)

Contrast = dict[str, Any]


def contrasts(experiment: Experiment) -> list[Contrast]:
    """Each control with at least two values: its path, its title, its present value and its values with their words."""
    return [found for control in schema(experiment) if (found := _contrast(control)) and len(found["options"]) > 1]


def _contrast(control: dict[str, Any]) -> Contrast | None:
    if control["path"] in LEFT_OUT:
        return None
    options = list(control.get("options", ()))
    if control["path"] in SWEEPS:
        numbers = sorted({*SWEEPS[control["path"]], control["value"]})
        options = [{"value": number, "label": f"{number:g}"} for number in numbers]
    return {"path": control["path"], "title": control["title"], "value": control["value"], "options": options}


def chosen(experiment: Experiment, path: Any, values: Any) -> tuple[Contrast, list[str]] | None:
    """The contrast of that path and the words of those values; None where there is no such thing."""
    contrast = next((each for each in contrasts(experiment) if each["path"] == path), None)
    if contrast is None or not isinstance(values, list) or not 2 <= len(values) <= MAX_SIDES:
        return None
    labels = [next((o["label"] for o in contrast["options"] if _same(o["value"], value)), None) for value in values]
    return None if None in labels else (contrast, [str(label) for label in labels])


def _same(one: Any, other: Any) -> bool:
    """Equal, and not only as True equals 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
