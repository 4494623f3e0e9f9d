"""Local steps that nobody told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.federated.protocols.fedavg import FedAvg
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.later_weights import shift_of_weights
from lab.options.words import rounded

MORE = 1.6


@dataclass(frozen=True)
class MoreSteps(Finding):
    """The client took other local steps than told: its gradients were met on the way, and not at the weights given."""

    place: ClassVar[int] = 90

    def look(self, case: Case) -> Found | None:
        """The laws of gradients hold in the middle of the way."""
        told = shift_of_weights(case)
        if told is None or told[0] >= 0:
            return None
        protocol = case.seen.protocol
        if not isinstance(protocol, FedAvg):
            return self.found(
                "The client took several local steps: what every gradient of this network obeys holds not at the weights given "
                f"but {rounded(-told[0], 3)} times the update further on, in the middle of its way. Tell the steps and "
                "their rate.",
                told[0],
            )
        steps = _steps(-told[0] / protocol.learning_rate / protocol.local_steps)
        if steps < MORE * protocol.local_steps and steps * MORE > protocol.local_steps:
            return None
        return self.found(
            f"The client took about {rounded(steps, 2)} local steps, and {protocol.local_steps} were told: its gradients were "
            f"met, on average, {rounded(-told[0], 3)} times their mean away from the weights given. "
            "Tell the steps that it took.",
            steps,
        )


def _steps(share: float) -> float:
    """E steps meet their gradients, on average, (E - 1) / (2 E) of the whole way from the start."""
    return 1 / max(1 - 2 * share, 1e-3)
