"""An update that is no gradient at these weights, nor at any on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.later_weights import shift_of_weights
from lab.findings.noise import MIN_NOISE, noise_share
from lab.options.words import percent

WRONG = 0.05


@dataclass(frozen=True)
class OtherWeights(Finding):
    """The update is no gradient of this network at these weights: they are others, or the client moved far."""

    place: ClassVar[int] = 95

    def look(self, case: Case) -> Found | None:
        """By the laws of gradients, which no weights along the update mend."""
        noise, found = noise_share(case), case.violation
        if (
            case.seen.local_steps > 1
            or found is None
            or case.is_coarse
            or noise is None
            or noise > MIN_NOISE
            or shift_of_weights(case) is not None
        ):
            return None
        if found.left < WRONG:
            return None
        return self.found(
            f"What every gradient of this network obeys is violated by {percent(found.share)}, and no weights along the "
            "update mend it: the weights are of another round or another model, or the client moved far from them in many "
            "steps.",
            found.share,
        )
