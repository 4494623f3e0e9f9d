"""A change of weights told as a gradient, or a gradient told as a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import fitted

BELIEVED = 0.5


@dataclass(frozen=True)
class ChangeForGradient(Finding):
    """The update points the other way: it is a change of weights and was told as a gradient, or the other way round."""

    place: ClassVar[int] = 80

    def look(self, case: Case) -> Found | None:
        """By the sign of the last layer's slopes, which are negative for the pictures' classes alone."""
        fit = fitted(case)
        if fit is None or fit.factor > 0 or fit.residual > BELIEVED:
            return None
        if case.seen.protocol.name == "fedsgd":
            rate = f"{-fit.factor:.2g}"
            return self.found(
                "This is a change of weights, not a gradient: it points the other way, with a rate times steps of about "
                f"{rate}. Tell it as such: FedAvg(local_steps=1, learning_rate={rate}), or --local-steps 1 --local-lr {rate}.",
                fit.factor,
            )
        return self.found(
            "This is a gradient, not a change of weights: it points the other way. Tell it as such: FedSGD(), or no "
            "--local-steps.",
            fit.factor,
        )
