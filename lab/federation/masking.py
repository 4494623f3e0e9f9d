"""Secure aggregation, played: numbers in fixed point under masks that cancel in the sum (Bonawitz et al. 2017).

Client i sends y_i = x_i + b_i + sum_{j > i} s_ij - sum_{j < i} s_ij, all whole numbers modulo 2^64: s_ij is drawn from a seed
that i and j alone agreed on, b_i from one of its own. In the sum every s_ij stands once with either sign. Afterwards those who
are still there give away shares of the seeds of b_i, for each i whose y_i came, or of s_ij, for each i that dropped out, never
both; from enough shares the server has the seeds and takes off what is left.

Here the seeds are streams of the federation's own, and the shares are counted, not split: keys and Shamir's polynomials hide
who can read a seed, and change no number of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lab.lazy import Float, Int, Tensor, torch

from lab.errors import LabError
from lab.federated.tensors import Gradients
from lab.federated.updates import flat
from lab.options.words import rounded
from lab.randomness import stream

Vector = Int[Tensor, " numbers"]

UNIT = 2.0**32
"""What one is in fixed point: a number is kept to 2e-10, and up to 2e9 can be added up."""
MOST = 2.0**62
NEEDED = 2 / 3
"""Share of a round's clients whose shares make a seed: fewer than so many answers, and nothing can be read."""


@dataclass(frozen=True)
class Masking:
    """One round's masks."""

    seed: int
    number: int
    """Of the round."""
    clients: tuple[int, ...]
    """Who agreed on seeds."""

    @property
    def threshold(self) -> int:
        """How many have to answer."""
        return max(2, math.ceil(NEEDED * len(self.clients)))

    def add_masks(self, client: int, update: Gradients) -> Vector:
        """What a client sends, y_i. Raises ``LabError`` for numbers too large to be added up."""
        return to_fixed_point(update, len(self.clients)) + self.self_mask(client, update) + self.pairwise_masks(client, update)

    def self_mask(self, client: int, like: Gradients) -> Vector:
        """The mask b_i of a client, which it alone draws."""
        return _drawn(self._stream(f"own mask of client {client}"), like)

    def pairwise_masks(self, client: int, like: Gradients) -> Vector:
        """Of each pair the mask once: added by the one, taken off by the other."""
        total = torch.zeros_like(to_fixed_point(like, 1))
        for other in self.clients:
            if other != client:
                mask = self.pairwise_mask(client, other, like)
                total = total + mask if client < other else total - mask
        return total

    def pairwise_mask(self, one: int, other: int, like: Gradients) -> Vector:
        """The mask s_ij."""
        low, high = sorted((one, other))
        return _drawn(self._stream(f"mask of clients {low} and {high}"), like)

    def remove_masks(self, arrived: Mapping[int, Vector], like: Gradients) -> Vector:
        """The sum of what those sent in whose messages arrived, in fixed point.

        Raises ``LabError`` where too few answered.
        """
        if len(arrived) < self.threshold:
            raise LabError(
                f"{len(arrived)} of {len(self.clients)} clients answered in round {self.number}, and fewer than "
                f"{self.threshold} unmask nothing; let fewer drop out, or draw more clients."
            )
        total = sum(arrived.values(), torch.zeros_like(to_fixed_point(like, 1)))
        for client in arrived:
            total = total - self.self_mask(client, like)
        for gone in set(self.clients) - set(arrived):
            for client in arrived:
                mask = self.pairwise_mask(client, gone, like)
                total = total - mask if client < gone else total + mask
        return total

    def secure_sum(self, sent: Mapping[int, Gradients]) -> dict[str, Tensor]:
        """What the server has of a round in which these updates were sent, each under its masks."""
        like = next(iter(sent.values()))
        arrived = {client: self.add_masks(client, update) for client, update in sent.items()}
        return from_fixed_point(self.remove_masks(arrived, like), like)

    def _stream(self, purpose: str) -> torch.Generator:
        return stream(self.seed, f"{purpose} in round {self.number}")


def in_order(update: Gradients) -> Float[Tensor, " numbers"]:
    """All numbers as one vector, tensors by name: both sides need the same order."""
    return flat({name: update[name].detach() for name in sorted(update)})


def to_fixed_point(update: Gradients, clients: int) -> Vector:
    """An update in fixed point. Raises ``LabError`` where so many as large ones cannot be added up."""
    numbers = in_order(update).double() * UNIT
    if clients * float(numbers.abs().max()) > MOST:
        raise LabError(
            f"An update holds {rounded(float(numbers.abs().max()) / UNIT, 2)}, which is too large for the fixed point of "
            "secure aggregation; clip it, take less noise, or go without --secure."
        )
    return numbers.round().to(torch.int64)


def from_fixed_point(total: Vector, like: Gradients) -> dict[str, Tensor]:
    """Numbers in fixed point as tensors by name."""
    names = sorted(like)
    parts = dict(zip(names, total.split([like[name].numel() for name in names]), strict=True))
    return {name: (parts[name].double() / UNIT).to(tensor).view(tensor.shape) for name, tensor in like.items()}


def _drawn(generator: torch.Generator, like: Gradients) -> Vector:
    """Uniform modulo 2^64."""
    count = sum(tensor.numel() for tensor in like.values())
    return torch.empty(count, dtype=torch.int64).random_(-(2**63), None, generator=generator)
