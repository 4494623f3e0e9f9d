"""What a federation's defences promise: differential privacy of examples and of clients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from lab.client import promises as of_defences
from lab.client.accountant import Guarantee, Sums
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.client.promises import EACH, MEAN, Private, broken_promise, last_training, sums_of_examples
from lab.federation.settings import Federation
from lab.federation.shards import Shards


def promises(settings: Federation, shards: Shards, delta: float) -> list[str]:
    """A sentence for each promise; none without a defence that makes one.

    Raises ``LabError`` for a delta that is no chance, and where Opacus is missing.
    """
    return [*_of_examples(settings, shards, delta), *map(str, of_clients(settings, delta))]


def keeping(settings: Federation, shards: Shards, epsilon: float, delta: float) -> Federation:
    """The same with as much noise as keeps an epsilon for whoever is worst off, by DP-SGD where no defence makes any.

    Raises ``LabError``.
    """

    def sums_of(defence: Private) -> list[Sums]:
        return _sums_of_examples(settings, shards) if isinstance(defence, DPSGD) else _sums_of_clients(settings)

    return replace(settings, defences=of_defences.keeping(settings.defences, sums_of, epsilon, delta))


def _of_examples(settings: Federation, shards: Shards, delta: float) -> Iterator[str]:
    last = last_training(settings.defences)
    if isinstance(last, DPSGD):
        yield str(of_examples(settings, last, shards, delta))
    elif broken := broken_promise(settings.defences):
        yield broken


def of_examples(settings: Federation, defence: DPSGD, shards: Shards, delta: float) -> Guarantee:
    """That for an example of the client whose examples are worst off: few pictures, drawn often."""
    return Guarantee.weakest(_sums_of_examples(settings, shards), defence.multiplier, delta)


def _sums_of_examples(settings: Federation, shards: Shards) -> list[Sums]:
    """Of each client. The server sees who takes part, so that being drawn hides nothing."""
    rounds = [settings.drawn(number) for number in range(1, settings.rounds + 1)]
    return [
        sums_of_examples(
            settings.protocol, len(own), min(len(own), settings.pictures or len(own)), sum(client in drawn for drawn in rounds)
        )
        for client, own in enumerate(shards.owned)
    ]


def of_clients(settings: Federation, delta: float) -> list[Guarantee]:
    """Those for all that a client has, by the last defence that makes one."""
    private = [defence for defence in settings.defences if isinstance(defence, DPFedAvg)][-1:]
    return [Guarantee.weakest([sums], one.multiplier, delta) for one in private for sums in _sums_of_clients(settings)]


def _sums_of_clients(settings: Federation) -> list[Sums]:
    """Of every update, and of their mean, where each client's noise is part of the mean's.

    The mean of m updates has sqrt(m) times the noise of one over what one client can change, and hides who was drawn. Under
    secure aggregation it is all that is seen, so nothing else is told; of drop-outs' noise it has none.
    """
    each = Sums("client", EACH, 1.0, _most_rounds(settings))
    mean = Sums("client", MEAN, settings.per_round / settings.clients, settings.rounds, math.sqrt(settings.fewest))
    return [mean] if settings.secure else [each, mean]


def _most_rounds(settings: Federation) -> int:
    """In which the client was drawn that was drawn most."""
    drawn = [client for number in range(1, settings.rounds + 1) for client in settings.drawn(number)]
    return max(map(drawn.count, set(drawn)))
