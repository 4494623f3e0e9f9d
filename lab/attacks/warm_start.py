"""Gradient matching that begins with a given picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch

from lab.attacks.search import Search
from lab.gradients import ExactMatcher, Matcher
from lab.types import AttackState, Images, Observation

if TYPE_CHECKING:
    from lab.attacks.gradient_matching import GradientMatching


class WarmSearch(Search):
    """A search whose first candidate is given, in full resolution."""

    def __init__(
        self, initial: Images, attack: GradientMatching, observation: Observation, matcher: Matcher, generator: torch.Generator
    ) -> None:
        self.initial = initial
        super().__init__(attack, observation, matcher, generator, noise=False)

    def _start(self, generator: torch.Generator, *, noise: bool) -> Images:
        return self.initial.detach().clone()


def continue_from(
    initial: Images | None, attack: GradientMatching, observation: Observation, generator: torch.Generator
) -> Iterator[AttackState]:
    """The attack's states from ``initial`` on; from the attack's own start where that is None."""
    if initial is None:
        yield from attack.reconstruct(observation, generator)
        return
    rule = partial(observation.protocol.update, observation.network, differentiable=True)
    matcher = ExactMatcher(rule, attack.distance, observation.update)
    yield from attack._attempt(WarmSearch(initial, attack, observation, matcher, generator), 0)
