"""What a federation's defences promise: differential privacy of examples and of clients."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lab.client.accountant import Mechanism, Promise
from lab.client.defences.base import TrainingDefence
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.federation.settings import Federation
from lab.federation.shards import Shards

EACH, MEAN = "every update", "their mean alone"
LOOKED_AGAIN = (
    "Differential privacy of each example: none is promised, for {name} comes after dp_sgd and looks at the examples again; "
    "name dp_sgd last."
)


def promises(settings: Federation, shards: Shards, delta: float) -> list[str]:
    """A sentence for each promise; none without a defence that makes one.

    Raises ``LabError`` for a delta that is no chance, and where Opacus is missing.
    """
    return [*_of_examples(settings, shards, delta), *map(str, of_clients(settings, delta))]


def _of_examples(settings: Federation, shards: Shards, delta: float) -> Iterator[str]:
    last = last_training(settings)
    if isinstance(last, DPSGD):
        yield str(of_examples(settings, last, shards, delta))
    elif last is not None and any(isinstance(defence, DPSGD) for defence in settings.defences):
        yield LOOKED_AGAIN.format(name=last.name)


def last_training(settings: Federation) -> TrainingDefence | None:
    """The one that looks at the examples last; DP-SGD's promise holds where it is that."""
    return next((defence for defence in reversed(settings.defences) if isinstance(defence, TrainingDefence)), None)


def of_examples(settings: Federation, defence: DPSGD, shards: Shards, delta: float) -> Promise:
    """That for an example of the client whose examples are worst off: few pictures, drawn often.

    The server sees who takes part, so that being drawn hides nothing.
    """
    rounds = [settings.drawn(number) for number in range(1, settings.rounds + 1)]
    found = [
        Promise.of("example", EACH, mechanism, delta)
        for client, own in enumerate(shards.owned)
        for mechanism in [_of_client(settings, defence, len(own), sum(client in drawn for drawn in rounds))]
    ]
    return max(found, key=lambda promise: promise.epsilon)


def _of_client(settings: Federation, defence: DPSGD, pictures: int, rounds: int) -> Mechanism:
    taken = min(pictures, settings.pictures or pictures)
    steps = settings.protocol.steps(taken).rows
    most = max(taken if rows is None else len(rows) for rows in steps)
    return Mechanism(defence.multiplier, most / pictures, rounds * len(steps))


def of_clients(settings: Federation, delta: float) -> list[Promise]:
    """Those for all that a client has, by the last defence that makes one: each client's noise is part of the mean's.

    The mean of m updates has sqrt(m) times the noise of one over what one client can change, and hides who was drawn. Under
    secure aggregation it is all that is seen, so nothing else is told; of drop-outs' noise it has none.
    """
    private = [defence for defence in settings.defences if isinstance(defence, DPFedAvg)][-1:]
    return [
        Promise.of("client", seen, mechanism, delta)
        for defence in private
        for seen, mechanism in (
            *([] if settings.secure else [(EACH, Mechanism(defence.multiplier, 1.0, _most_rounds(settings)))]),
            (MEAN, _of_the_mean(settings, defence)),
        )
    ]


def _most_rounds(settings: Federation) -> int:
    """In which the client was drawn that was drawn most."""
    drawn = [client for number in range(1, settings.rounds + 1) for client in settings.drawn(number)]
    return max(map(drawn.count, set(drawn)))


def _of_the_mean(settings: Federation, defence: DPFedAvg) -> Mechanism:
    noises = defence.multiplier * math.sqrt(settings.fewest)
    return Mechanism(noises, settings.per_round / settings.clients, settings.rounds)
