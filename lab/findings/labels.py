"""Labels that the update contradicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.last_layer import slopes_of_logits


@dataclass(frozen=True)
class Labels(Finding):
    """The labels given are not those behind the update."""

    place: ClassVar[int] = 75

    def look(self, case: Case) -> Found | None:
        """Cross entropy lowers the logits of all classes but the pictures' own; a loss that does not is not asked."""
        slopes, given = slopes_of_logits(case), case.seen.labels
        loss = case.seen.loss
        tells = loss.label_has_lowest_gradient if case.pictures == 1 else loss.is_counted
        if slopes is None or given is None or not tells:
            return None
        if len(slopes) == 1:
            return self._of_one_logit(float(slopes), bool(given)) if case.pictures == 1 else None
        negative = {int(place) for place in (slopes < 0).nonzero().flatten()}
        if given.ndim == 2:
            return self._of_rows({int(place) for place in given[0].nonzero().flatten()}, negative, slopes)
        wrong = sorted({int(label) for label in given.cpu()} - negative)
        if not wrong or not 0 < len(negative) <= case.pictures:
            return None
        return self.found(
            f"The labels given are not the pictures': of class {wrong[0]} there is none, and the update raises the logits of "
            f"{', '.join(map(str, sorted(negative)))}. Give those, or let the labels be inferred.",
            float(slopes[wrong[0]]),
        )

    def _of_rows(self, given: set[int], raised: set[int], slopes: Tensor) -> Found | None:
        """Of one picture with any number of labels."""
        if given == raised:
            return None
        return self.found(
            f"The labels given are not the picture's: the update raises the logits of {_listed(raised)}, and "
            f"{_listed(given)} are given. Give those, or let the labels be inferred.",
            float(slopes[min(given ^ raised)]),
        )

    def _of_one_logit(self, slope: float, given: bool) -> Found | None:
        """A yes raises it, and a no lowers it."""
        if given is (slope < 0):
            return None
        answers = "class 0 (no), and the update raises" if slope < 0 else "class 1 (yes), and the update lowers"
        return self.found(
            f"The label given is not the picture's: it is {answers} the one logit. Give class {int(slope < 0)}, or let it be "
            "inferred.",
            slope,
        )


def _listed(classes: set[int]) -> str:
    return ", ".join(map(str, sorted(classes))) or "no class"
