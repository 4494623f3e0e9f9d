"""Parts that did not train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.federated.update_names import spoken_names
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.options.words import rounded


@dataclass(frozen=True)
class Frozen(Finding):
    """Some parameters were not sent, or came as zeros where any picture would have moved them."""

    place: ClassVar[int] = 30

    def look(self, case: Case) -> Found | None:
        """By names, and by zeros where the gradients of other pictures have none."""
        lacking = [name for name in case.weights if name not in case.sent]
        zeros = [name for name, tensor in case.sent.items() if not tensor.any() and self._moves(case, name)]
        if not lacking and not zeros:
            return None
        numbers = sum(case.weights[name].numel() for name in (*lacking, *zeros))
        share = numbers / sum(weight.numel() for weight in case.weights.values())
        how = "were not sent" if lacking else "came as zeros"
        return self.found(
            f"Parts of the network were frozen: {spoken_names([*lacking, *zeros])} {how}, {rounded(100 * share, 3)} % of all "
            "weights. Matching takes what is there; closed forms need the layers they read.",
            share,
        )

    def _moves(self, case: Case, name: str) -> bool:
        return all(bool(other[name].any()) for other in case.gradients_of_others)
