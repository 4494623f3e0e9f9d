"""Which of a client's defences guarantee differential privacy, what they guarantee, and the noise that keeps an epsilon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from lab.client.accountant import Guarantee, NoisySums, noise_multiplier
from lab.client.defences.base import Defence, TrainingDefence
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.errors import LabError
from lab.federated.protocols.base import Protocol
from lab.options.words import rounded

EACH, MEAN = "every update", "their mean alone"
NOT_LAST = (
    "Differential privacy of each example: none is promised, for {name} comes after dp_sgd and looks at the examples again; "
    "name dp_sgd last."
)
AccountedDefence = DPSGD | DPFedAvg
"""Those whose noise is accounted."""


def private_training(defences: Sequence[Defence]) -> DPSGD | None:
    """DP-SGD where it looks at the examples last, without which it guarantees nothing."""
    last = _last_training(defences)
    return last if isinstance(last, DPSGD) else None


def why_no_guarantee(defences: Sequence[Defence]) -> str:
    """The sentence that says why DP-SGD guarantees nothing here; empty where it does, or is not there."""
    last = _last_training(defences)
    is_broken = not isinstance(last, DPSGD) and any(isinstance(defence, DPSGD) for defence in defences)
    return NOT_LAST.format(name=last.name) if last is not None and is_broken else ""


def _last_training(defences: Sequence[Defence]) -> TrainingDefence | None:
    return next((defence for defence in reversed(defences) if isinstance(defence, TrainingDefence)), None)


def guarantees(
    defences: Sequence[Defence], sums_of: Callable[[AccountedDefence], Iterable[Sequence[NoisySums]]], delta: float
) -> Iterator[Guarantee]:
    """Of an example by DP-SGD, then of a client by the last DP-FedAvg; for each group of sums what holds for the worst off.

    Raises ``LabError`` for a delta that is no chance, and ``NoAccountantError`` without Opacus.
    """
    trained = private_training(defences)
    clipped = [defence for defence in defences if isinstance(defence, DPFedAvg)][-1:]
    for defence in (*([trained] if trained else []), *clipped):
        for sums in sums_of(defence):
            yield Guarantee.weakest(sums, defence.multiplier, delta)


def noisy_sums_of_examples(protocol: Protocol, own: int, taken: int, rounds: int) -> NoisySums:
    """Those of a client that has so many examples, trains on so many of them in a round, and in so many rounds."""
    steps = protocol.steps(taken).rows
    most = max(taken if rows is None else len(rows) for rows in steps)
    return NoisySums("example", EACH, most / own, rounds * len(steps))


def calibrated(
    defences: Sequence[Defence],
    sums_of: Callable[[AccountedDefence], Iterable[Sequence[NoisySums]]],
    epsilon: float,
    delta: float,
) -> tuple[Defence, ...]:
    """The same with as much noise as keeps an epsilon; DP-SGD with its usual bound comes last where none of them makes noise.

    Raises ``LabError`` where it cannot be kept or does not make sense, and ``NoAccountantError`` without Opacus.
    """
    noisy = [place for place, defence in enumerate(defences) if isinstance(defence, AccountedDefence)]
    if len(noisy) > 1:
        names = " and ".join(defences[place].name for place in noisy)
        raise LabError(f"An epsilon says how much noise one defence makes, and {names} make some; name one of them.")
    if not noisy:
        return calibrated((*defences, DPSGD()), sums_of, epsilon, delta)
    if told := why_no_guarantee(defences):
        raise LabError(told)
    (place,) = noisy
    return (*defences[:place], _with_noise(defences[place], sums_of, epsilon, delta), *defences[place + 1 :])


def _with_noise(
    defence: Defence, sums_of: Callable[[AccountedDefence], Iterable[Sequence[NoisySums]]], epsilon: float, delta: float
) -> Defence:
    assert isinstance(defence, AccountedDefence)
    multiplier = noise_multiplier(tuple(chain.from_iterable(sums_of(defence))), epsilon, delta)
    try:
        return replace(defence, multiplier=multiplier)
    except LabError:
        raise LabError(
            f"epsilon = {epsilon:g} takes noise of {rounded(multiplier, 3)} times the bound, which nothing is left under; ask "
            "for a larger epsilon."
        ) from None
