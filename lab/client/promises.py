"""What a client's defences promise it, and the noise that keeps an epsilon which was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lab.client.accountant import Sums, noise_for
from lab.client.defences.base import Defence, TrainingDefence
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.errors import LabError
from lab.federated.protocols.base import Protocol
from lab.options.words import rounded

EACH, MEAN = "every update", "their mean alone"
LOOKED_AGAIN = (
    "Differential privacy of each example: none is promised, for {name} comes after dp_sgd and looks at the examples again; "
    "name dp_sgd last."
)
Private = DPSGD | DPFedAvg
"""Those whose noise is accounted."""


def last_training(defences: Sequence[Defence]) -> TrainingDefence | None:
    """The one that looks at the examples last; DP-SGD's promise holds where it is that."""
    return next((defence for defence in reversed(defences) if isinstance(defence, TrainingDefence)), None)


def broken_promise(defences: Sequence[Defence]) -> str:
    """The sentence that says why DP-SGD promises nothing here; empty where it does, or is not there."""
    last = last_training(defences)
    is_broken = not isinstance(last, DPSGD) and any(isinstance(defence, DPSGD) for defence in defences)
    return LOOKED_AGAIN.format(name=last.name) if last is not None and is_broken else ""


def sums_of_examples(protocol: Protocol, own: int, taken: int, rounds: int) -> Sums:
    """Those of a client that has so many examples, trains on so many of them in a round, and in so many rounds."""
    steps = protocol.steps(taken).rows
    most = max(taken if rows is None else len(rows) for rows in steps)
    return Sums("example", EACH, most / own, rounds * len(steps))


def keeping(
    defences: Sequence[Defence], sums_of: Callable[[Private], Iterable[Sums]], epsilon: float, delta: float
) -> tuple[Defence, ...]:
    """The same with as much noise as keeps an epsilon; DP-SGD with its usual bound comes last where none of them makes noise.

    Raises ``LabError`` where it cannot be kept or does not make sense, and ``NoAccountantError`` without Opacus.
    """
    noisy = [place for place, defence in enumerate(defences) if isinstance(defence, Private)]
    if len(noisy) > 1:
        names = " and ".join(defences[place].name for place in noisy)
        raise LabError(f"An epsilon says how much noise one defence makes, and {names} make some; name one of them.")
    if not noisy:
        return keeping((*defences, DPSGD()), sums_of, epsilon, delta)
    if told := broken_promise(defences):
        raise LabError(told)
    (place,) = noisy
    return (*defences[:place], _with_noise(defences[place], sums_of, epsilon, delta), *defences[place + 1 :])


def _with_noise(defence: Defence, sums_of: Callable[[Private], Iterable[Sums]], epsilon: float, delta: float) -> Defence:
    assert isinstance(defence, Private)
    multiplier = noise_for(tuple(sums_of(defence)), epsilon, delta)
    try:
        return replace(defence, multiplier=multiplier)
    except LabError:
        raise LabError(
            f"epsilon = {epsilon:g} takes noise of {rounded(multiplier, 3)} times the bound, which nothing is left under; ask "
            "for a larger epsilon."
        ) from None
