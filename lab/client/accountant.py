"""What differential privacy promises, accounted by Opacus: epsilon for a given delta.

A mechanism adds normal noise to a sum in which nobody can change more than C. Opacus takes each step's share to be drawn by
Poisson sampling, as nearly everybody does; a client that goes through its pictures in turn is accounted as if it drew them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from lab.errors import LabError
from lab.options.words import percent, rounded

DEFAULT_DELTA = 1e-5
WEAK_EPSILON = 10.0
"""From this epsilon on a promise is a number and no protection."""
MAX_EPSILON = 1e4
"""The largest that noise is sought for: far above it the search for noise that small would never end."""


@dataclass(frozen=True)
class Mechanism:
    """Noise on a sum, again and again."""

    multiplier: float
    """Deviation of the noise over the most that one can change."""
    rate: float
    """Share of all that is in each sum, from above 0 to 1."""
    steps: int


@dataclass(frozen=True)
class NoisySums:
    """Noisy sums in which all that one of ``whose`` has may be, before a server that sees ``seen``."""

    whose: str
    seen: str
    rate: float
    """Share of all that is in each sum, from above 0 to 1."""
    steps: int
    noises: float = 1.0
    """Deviation of the noise on the sum over that of one client."""

    def under(self, multiplier: float) -> Mechanism:
        """What they are where each client adds so much noise."""
        return Mechanism(multiplier * self.noises, self.rate, self.steps)

    def is_weaker(self, other: NoisySums) -> bool:
        """Whether it promises no more than another, whatever the noise."""
        return self.rate >= other.rate and self.steps >= other.steps and self.noises <= other.noises


class NoAccountantError(LabError):
    """Opacus is not installed."""


@contextmanager
def _opacus() -> Iterator[Any]:
    """Its accountants, and quiet: that an order at the end of its range might do better is no matter, what it gives holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            accountants = import_module("opacus.accountants")
        except ImportError:
            raise NoAccountantError(
                "Epsilon is accounted by Opacus, which is not installed; install it by: pip install "
                "'inverting-gradients-lab[opacus]'."
            ) from None
        yield accountants


def check_delta(delta: float) -> None:
    """Raise ``LabError`` for a delta that is no chance."""
    if not 0 < delta < 1:
        raise LabError(f"delta = {delta:g} is out of range; give a chance above 0 and below 1, less than 1 over the examples.")


def check_epsilon(wanted: float) -> None:
    """Raise ``LabError`` for an epsilon that nobody can promise, or nobody would ask for."""
    if not 0 < wanted <= MAX_EPSILON:
        raise LabError(f"epsilon = {wanted:g} is out of range; give a number above 0 and up to {MAX_EPSILON:g}, such as 3.")


def epsilon(mechanism: Mechanism, delta: float) -> float:
    """Epsilon by Opacus' RDP accountant; infinite without noise.

    Raises ``LabError`` for a delta that is no chance, and ``NoAccountantError`` without Opacus.
    """
    check_delta(delta)
    if mechanism.steps == 0:
        return 0.0
    if mechanism.multiplier == 0:
        return math.inf
    with _opacus() as accountants:
        accountant = accountants.RDPAccountant()
        accountant.history = [(mechanism.multiplier, mechanism.rate, mechanism.steps)]
        return float(accountant.get_epsilon(delta))


def noise_multiplier(sums: Sequence[NoisySums], wanted: float, delta: float) -> float:
    """The multiplier with which all of them keep an epsilon, as Opacus seeks it: never above, and within 0.01 below.

    Raises ``LabError`` where no noise does, or a number is out of range, and ``NoAccountantError`` without Opacus.
    """
    check_epsilon(wanted)
    check_delta(delta)
    return max(_sought(one, wanted, delta) / one.noises for one in _worst_off(sums))


def _sought(sums: NoisySums, wanted: float, delta: float) -> float:
    if sums.steps == 0:
        return 0.0
    with _opacus() as accountants:
        try:
            return accountants.utils.get_noise_multiplier(
                target_epsilon=wanted, target_delta=delta, sample_rate=sums.rate, steps=sums.steps, accountant="rdp"
            )
        except ValueError:  # after noise of a million times the bound
            raise LabError(
                f"No noise keeps epsilon = {wanted:g} at delta = {delta:g} by Opacus' RDP accountant; ask for a larger "
                "epsilon or a larger delta."
            ) from None


def _worst_off(sums: Sequence[NoisySums]) -> list[NoisySums]:
    """Those of which one promises least, however much noise there is: of alike ones the first."""
    found: list[NoisySums] = []
    for one in sums:
        if not any(other.is_weaker(one) for other in found):
            found = [other for other in found if not one.is_weaker(other)] + [one]
    return found


def interpretation(epsilon: float, delta: float) -> str:
    """What a promise comes to, in a sentence."""
    if epsilon > WEAK_EPSILON:
        return "So large an epsilon promises next to nothing."
    likelier = f"nothing that is seen is more than {rounded(math.exp(epsilon), 3)} times likelier"
    return f"With or without it, {likelier}, but for a chance of {delta:g}."


@dataclass(frozen=True)
class Guarantee:
    """What holds for one of ``whose`` against a server that sees ``seen``."""

    whose: str
    seen: str
    mechanism: Mechanism
    delta: float
    epsilon: float

    @classmethod
    def of(cls, whose: str, seen: str, mechanism: Mechanism, delta: float) -> Guarantee:
        """Accounted. Raises ``LabError`` as ``epsilon`` does."""
        return cls(whose, seen, mechanism, delta, epsilon(mechanism, delta))

    @classmethod
    def weakest(cls, sums: Sequence[NoisySums], multiplier: float, delta: float) -> Guarantee:
        """Accounted of whoever is worst off. Raises ``LabError`` as ``epsilon`` does."""
        each = [cls.of(one.whose, one.seen, one.under(multiplier), delta) for one in _worst_off(sums)]
        return max(each, key=lambda promise: promise.epsilon)

    def plain(self) -> dict[str, Any]:
        """In numbers, and in words under ``told``; epsilon is infinite where there is no noise."""
        named = {"whose": self.whose, "seen": self.seen, "epsilon": self.epsilon, "delta": self.delta}
        return {**named, **asdict(self.mechanism), "accountant": "RDP, by Opacus", "told": str(self)}

    def __str__(self) -> str:
        """Epsilon, what it is made of, and what it means."""
        if math.isinf(self.epsilon):
            return f"Differential privacy of each {self.whose}: none, for there is no noise."
        made = self.mechanism
        told = (
            f"Differential privacy of each {self.whose} if the server sees {self.seen}: epsilon = {rounded(self.epsilon, 3)} "
            f"at delta = {self.delta:g} (Opacus' RDP accountant: {made.steps} steps, {percent(made.rate)} in each, noise "
            f"{rounded(made.multiplier, 3)} times the bound)"
        )
        return f"{told}. {interpretation(self.epsilon, self.delta)}"
