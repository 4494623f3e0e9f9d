"""What a click would cost, told before it is made: seconds of one processor of this machine, for networks and their weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from widgets.form.controls import Control, schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab import Experiment, Network

QUICK_S = 20.0
"""What takes no longer is attacked as soon as it is chosen."""
TOLD = "in grey, how long its attack computes on this machine"
PRICED = ("network", "trained")
"""The choices between which costs differ by orders of magnitude."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the present experiment, and by path and value those of what one click leads to; None where nobody can tell."""

    present: float | None = None
    choices: dict[str, list[tuple[Any, float | None]]] = field(default_factory=dict[str, list[tuple[Any, float | None]]])

    @property
    def is_quick(self) -> bool:
        """Whether the present experiment is attacked without being asked for."""
        return self.present is not None and self.present <= QUICK_S

    def shown_in(self, controls: list[Control]) -> list[Control]:
        """The same controls, each option that has a cost with its seconds."""
        return [control | self._of(control) for control in controls]

    def _of(self, control: Control) -> Control:
        told = self.choices.get(control["path"], [])
        options = control.get("options", ())
        prices = [next((seconds for value, seconds in told if value == option["value"]), None) for option in options]
        if not any(prices):
            return {}
        priced = [option | {"seconds": price} for option, price in zip(options, prices, strict=True)]
        return {"options": priced, "help": f"{control['help']}; {TOLD}"}


def costs_of(experiment: Experiment) -> Costs:
    """The costs around an experiment, by the rate of this machine."""
    priced = [control for control in schema(experiment) if control["path"] in PRICED]
    choices = {
        control["path"]: [(value, _after(experiment, control["path"], value)) for value in _near(experiment, control)]
        for control in priced
    }
    return Costs(_seconds(experiment), choices)


def _near(experiment: Experiment, control: Control) -> list[Any]:
    """The values in sight that keep the kind of input; what stands behind a button is told once it is chosen."""
    from lab.options.catalogue import entries

    shown = [option["value"] for option in control["options"]]
    if control["path"] != "network":
        return shown
    networks = cast("Mapping[str, type[Network]]", entries("network"))
    kept = [name for name in shown if networks[name].modality == experiment.network.modality]
    return [
        name for name in kept if name in shown[: control["sight"]] or experiment.network.name not in shown[: control["sight"]]
    ]


def _after(experiment: Experiment, path: str, value: Any) -> float | None:
    from lab.errors import LabError
    from widgets.form.gate import edited

    try:
        return _seconds(edited(experiment, ((path, value),)))
    except LabError:  # which the click is answered by
        return None


def _seconds(experiment: Experiment) -> float | None:
    """As it was measured, where it was; else a bound from the shapes of its layers."""
    from lab.experiments.cost import cost
    from widgets.landscape.recording import seconds_here

    try:
        return seconds_here(experiment) or cost(experiment).seconds
    except Exception:  # of a network that somebody added, and of which only running it tells
        return None
