"""Dropout left on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Bool, Tensor, torch

from lab.findings.base import Finding, Found
from lab.findings.case import Case

ENOUGH, MARGIN = 32, 0.12
"""Features that tell a share, and how much larger it must be than of any other pictures."""
RARE, SOME, SHARE = 0.05, 3, 0.04
"""Where other pictures leave hardly any silent, some others tell, and such a share of all."""


@dataclass(frozen=True)
class Dropout(Finding):
    """Units were dropped at random while the client trained."""

    place: ClassVar[int] = 120

    def look(self, case: Case) -> Found | None:
        """By the features that no row of a linear layer's gradient knows: more than any other pictures leave silent."""
        if case.is_coarse:
            return None
        for name in case.network.linear_layers:
            slope = case.sent.get(f"{name}.weight")
            if slope is None or slope.shape[1] < ENOUGH or not slope.any():
                continue
            known = [_silent(other[f"{name}.weight"]) for other in case.gradients_of_others]
            silent, usual = float(_silent(slope).double().mean()), max(float(other.double().mean()) for other in known)
            fresh = _silent(slope) & ~torch.stack(known).any(0)
            if silent > usual + MARGIN * (1 - usual) or (usual < RARE and int(fresh.sum()) >= max(SOME, SHARE * len(fresh))):
                return self.found(
                    f"Dropout was on at the client: {100 * silent:.0f} % of what enters {name} was silent, and of other "
                    f"pictures at most {100 * usual:.0f} % is. Of one picture's gradient matching reads which units "
                    "were off; of several pictures or steps nobody knows, and they will be the poorer.",
                    silent,
                )
        return None


def _silent(slope: Tensor) -> Bool[Tensor, " inputs"]:
    """The inputs that are zero for every picture."""
    return (slope == 0).all(0)
