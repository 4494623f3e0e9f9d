"""What a click would cost and come to, told before it is made: of networks and their weights, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from widgets.form.controls import Control, schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab import Experiment, Network

QUICK_S = 20.0
"""What takes no longer is attacked as soon as it is chosen."""
TOLD = "in grey, how long its attack computes on this machine, and what came of it where the secret did not come back"
PRICED = ("network", "trained")
"""The choices between which costs and outcomes differ most."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the present experiment, None where nobody can tell; by path and value, what is told of one click."""

    present: float | None = None
    choices: dict[str, list[tuple[Any, Control]]] = field(default_factory=dict[str, list[tuple[Any, Control]]])

    @property
    def is_quick(self) -> bool:
        """Whether the present experiment is attacked without being asked for."""
        return self.present is not None and self.present <= QUICK_S

    def shown_in(self, controls: list[Control]) -> list[Control]:
        """The same controls, each option with its seconds and its outcome, where they are known."""
        return [control | self._of(control) for control in controls]

    def _of(self, control: Control) -> Control:
        told = self.choices.get(control["path"], [])
        options: list[Control] = control.get("options", [])
        prospects = [next((words for value, words in told if value == option["value"]), {}) for option in options]
        if not any(prospects):
            return {}
        priced = [option | words for option, words in zip(options, prospects, strict=True)]
        return {"options": priced, "help": f"{control['help']}; {TOLD}"}


def costs_of(experiment: Experiment) -> Costs:
    """The costs around an experiment, by the rate of this machine."""
    choices: dict[str, list[tuple[Any, Control]]] = {}
    for control in (each for each in schema(experiment) if each["path"] in PRICED):
        near = _near(experiment, control)
        values = [option["value"] for option in control["options"]]
        choices[control["path"]] = [(value, _prospect(experiment, control["path"], value, value in near)) for value in values]
    return Costs(_seconds(experiment), choices)


def _near(experiment: Experiment, control: Control) -> list[Any]:
    """The values in sight that keep the kind of input: of what stands behind a button only what was measured is told."""
    from lab.options.catalogue import entries

    shown = [option["value"] for option in control["options"]]
    if control["path"] != "network":
        return shown
    networks = cast("Mapping[str, type[Network]]", entries("network"))
    kept = [name for name in shown if networks[name].modality == experiment.network.modality]
    return [
        name for name in kept if name in shown[: control["sight"]] or experiment.network.name not in shown[: control["sight"]]
    ]


def _prospect(experiment: Experiment, path: str, value: Any, is_near: bool) -> Control:
    """What a choice leads to: its seconds, what came of it on the default input, and in short where it failed."""
    from lab.client.checkpoints import available
    from lab.errors import LabError
    from lab.modalities.line_up import Verdict
    from widgets.form.admission import edited
    from widgets.landscape.known import outcome_of, seconds_here

    try:
        after = edited(experiment, ((path, value),))
    except LabError:  # which the click is answered by
        return {}
    if after.trained and not available(after.network, after.weights):
        return {"outcome": "there are no trained weights here", "failed": "no weights"}
    seconds = _seconds(after) if is_near else seconds_here(after)
    told = {"seconds": seconds} if seconds else {}
    if (found := outcome_of(after)) is None:
        return told
    sentence = f"on the default {after.modality.one}: {found.verdict}, {found.score}, {found.place} in the line-up"
    failed = "" if found.verdict == Verdict.RECOGNISABLE.value else found.verdict.lower()
    return told | {"outcome": sentence, "failed": failed}


def _seconds(experiment: Experiment) -> float | None:
    """As it was measured, where it was; else a bound from the shapes of its layers."""
    from lab.experiments.cost import cost
    from widgets.landscape.known import seconds_here

    try:
        return seconds_here(experiment) or cost(experiment).seconds
    except Exception:  # of a network that somebody added, and of which only running it tells
        return None
