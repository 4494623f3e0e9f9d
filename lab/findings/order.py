"""Tensors that stand for one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

from lab.lazy import Tensor

from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.findings.laws import violation
from lab.options.words import percent

REORDERED_SHARE = 0.35
"""Another order is believed where it leaves less than this share of what was wrong."""
WRONG = 0.05
"""Of the laws, in an order that is wrong."""
SIZE_DEVIATION = 0.5
"""Of the sizes of tensors, root mean square, in natural logarithms: the same."""


@dataclass(frozen=True)
class Order(Finding):
    """Tensors of one shape came in each other's places, or a square one on its side."""

    place: ClassVar[int] = 40

    def look(self, case: Case) -> Found | None:
        """By the laws that gradients obey, else by how large each tensor is beside those of other pictures."""
        wrong, bound = self._wrongness(case, case.gradient)
        if wrong < bound:
            return None
        tried = [(self._wrongness(case, changed)[0], words) for words, changed in _changed(case.gradient)]
        best, words = min(tried, default=(math.inf, ""))
        if best > REORDERED_SHARE * wrong:
            return None
        return self.found(
            f"The order is wrong: {words}. What gradients of this network obey is then violated by {percent(best)}, and as "
            f"it came by {percent(wrong)}. Send tensors by name.",
            wrong,
        )

    def _wrongness(self, case: Case, gradient: Mapping[str, Tensor]) -> tuple[float, float]:
        """How far from any gradient of this network, and from where on that is wrong."""
        found = violation(case.laws, case.weights, gradient)
        if found is not None:
            return found.left, WRONG
        return _unlikeness(case, gradient), SIZE_DEVIATION


def _unlikeness(case: Case, gradient: Mapping[str, Tensor]) -> float:
    """How far the sizes of tensors are from those of other pictures' gradients, but for one factor."""
    apart: list[float] = []
    for name, tensor in gradient.items():
        others = [float(other[name].norm()) for other in case.gradients_of_others]
        if min(others) > 0 and tensor.any():
            apart.append(math.log(float(tensor.norm())) - sum(map(math.log, others)) / len(others))
    if len(apart) < 3:
        return 0.0
    middle = sorted(apart)[len(apart) // 2]
    return math.sqrt(sum((value - middle) ** 2 for value in apart) / len(apart))


def _changed(gradient: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The same with two tensors exchanged, or one turned on its side."""
    for one, other in combinations(gradient, 2):
        if gradient[one].shape == gradient[other].shape:
            words = f"{one} and {other} look exchanged"
            yield words, {**gradient, one: gradient[other], other: gradient[one]}
    for name, tensor in gradient.items():
        if tensor.ndim == 2 and tensor.shape[0] == tensor.shape[1]:
            yield f"{name} looks transposed", {**gradient, name: tensor.T}
