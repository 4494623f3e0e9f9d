"""What differential privacy promises, accounted by Opacus: epsilon for a given delta.

A mechanism adds normal noise to a sum in which nobody can change more than C. Opacus takes each step's share to be drawn by
Poisson sampling, as nearly everybody does; a client that goes through its pictures in turn is accounted as if it drew them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from lab.errors import LabError
from lab.options.words import percent

USUAL_DELTA = 1e-5
SAYS_LITTLE = 10.0
"""From this epsilon on a promise is a number and no protection."""


@dataclass(frozen=True)
class Mechanism:
    """Noise on a sum, again and again."""

    multiplier: float
    """Deviation of the noise over the most that one can change."""
    rate: float
    """Share of all that is in each sum, from above 0 to 1."""
    steps: int


class NoAccountantError(LabError):
    """Opacus is not installed."""


def epsilon(mechanism: Mechanism, delta: float) -> float:
    """Epsilon by Opacus' RDP accountant; infinite without noise.

    Raises ``LabError`` for a delta that is no chance, and ``NoAccountantError`` without Opacus.
    """
    if not 0 < delta < 1:
        raise LabError(f"delta = {delta:g} is out of range; give a chance above 0 and below 1, less than 1 over the examples.")
    if mechanism.steps == 0:
        return 0.0
    if mechanism.multiplier == 0:
        return math.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an order at the end of its range might do better: what it gives holds
        try:
            from opacus.accountants import RDPAccountant
        except ImportError:
            raise NoAccountantError(
                "Epsilon is accounted by Opacus, which is not installed; install it by: pip install "
                "'inverting-gradients-lab[opacus]'."
            ) from None
        accountant = RDPAccountant()
        accountant.history = [(mechanism.multiplier, mechanism.rate, mechanism.steps)]
        return float(accountant.get_epsilon(delta))


@dataclass(frozen=True)
class Promise:
    """What holds for one of ``whose`` against a server that sees ``seen``."""

    whose: str
    seen: str
    mechanism: Mechanism
    delta: float
    epsilon: float

    @classmethod
    def of(cls, whose: str, seen: str, mechanism: Mechanism, delta: float) -> Promise:
        """Accounted. Raises ``LabError`` as ``epsilon`` does."""
        return cls(whose, seen, mechanism, delta, epsilon(mechanism, delta))

    def __str__(self) -> str:
        """Epsilon, what it is made of, and what it means."""
        if math.isinf(self.epsilon):
            return f"Differential privacy of each {self.whose}: none, for there is no noise."
        made = self.mechanism
        told = (
            f"Differential privacy of each {self.whose} if the server sees {self.seen}: epsilon = {self.epsilon:.3g} "
            f"at delta = {self.delta:g} (Opacus' RDP accountant: {made.steps} steps, {percent(made.rate)} in each, noise "
            f"{made.multiplier:.3g} times the bound)"
        )
        if self.epsilon > SAYS_LITTLE:
            return f"{told}. So large an epsilon promises next to nothing."
        return (
            f"{told}. With or without it, nothing that is seen is more than {math.exp(self.epsilon):.3g} times likelier, "
            f"but for a chance of {self.delta:g}."
        )
