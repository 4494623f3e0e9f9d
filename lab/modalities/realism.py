"""How natural a reconstruction looks, where no truth is there to hold it against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.federated.tensors import Inputs


@dataclass(frozen=True)
class Realism:
    """A number that grows as inputs of a kind get less natural, and what a reader is told of it."""

    strangeness: Callable[[Inputs], float]
    """The mean over a batch; 0 for an input that says nothing."""
    told: str
    """A clause with ``{found}`` and ``{usual}``, both in percent."""
    doubted: str
    """Why the details are not to be believed, after "but": "is rougher than photographs are"."""
    factor: float
    """From so many times the strangest real input on."""
