"""How two experiments differ, in the words of the form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widgets.form.controls import Control, schema

if TYPE_CHECKING:
    from lab import Experiment

ABSENT = "none"


@dataclass(frozen=True)
class Difference:
    """One control that stands differently in two experiments."""

    path: str
    title: str
    before: str
    after: str


def differences(before: Experiment, after: Experiment) -> list[Difference]:
    """Every control that differs, in the order of the form; one that only one of them has counts as well."""
    old, new = ({control["path"]: control for control in schema(experiment)} for experiment in (before, after))
    return [
        Difference(path, (new.get(path) or old[path])["title"], spoken(old.get(path)), spoken(new.get(path)))
        for path in {**new, **old}
        if spoken(old.get(path)) != spoken(new.get(path)) and _is_worth_telling(path, old, new)
    ]


def spoken(control: Control | None) -> str:
    """The value of a control as the page shows it."""
    if control is None:
        return ABSENT
    value: Any = control["value"]
    labels = {option["value"]: option["label"] for option in control.get("options", ())}
    return str(labels.get(value, f"{value:g}" if isinstance(value, float) else value)) or "your own"


def _is_worth_telling(path: str, old: dict[str, Control], new: dict[str, Control]) -> bool:
    """Where another entry was chosen, its own options come with it and are not news."""
    return (path in old and path in new) or not any(
        path.startswith(parent) for parent in ("network.", "attack.", "protocol.", "defences.")
    )
