"""What a federation's defences promise: differential privacy of examples and of clients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from lab.client import privacy_guarantees as of_defences
from lab.client.accountant import Guarantee, NoisySums
from lab.client.defences.dp_sgd import DPSGD
from lab.client.privacy_guarantees import EACH, MEAN, AccountedDefence, noisy_sums_of_examples, why_no_guarantee
from lab.federation.settings import Federation
from lab.federation.shards import Shards


def guarantee_sentences(settings: Federation, shards: Shards, delta: float) -> list[str]:
    """A sentence for each guarantee; none without a defence that makes one.

    Raises ``LabError`` for a delta that is no chance, and where Opacus is missing.
    """
    return [*filter(None, [why_no_guarantee(settings.defences)]), *map(str, guarantees(settings, shards, delta))]


def guarantees(settings: Federation, shards: Shards, delta: float) -> Iterator[Guarantee]:
    """Of an example of the client whose examples are worst off (few pictures, drawn often), and of all that a client has.

    Raises ``LabError`` like ``guarantee_sentences``.
    """
    return of_defences.guarantees(settings.defences, partial(_sums, settings, shards), delta)


def calibrated(settings: Federation, shards: Shards, epsilon: float, delta: float) -> Federation:
    """The same with as much noise as keeps an epsilon for whoever is worst off, by DP-SGD where no defence makes any.

    Raises ``LabError``.
    """
    defences = of_defences.calibrated(settings.defences, partial(_sums, settings, shards), epsilon, delta)
    return replace(settings, defences=defences)


def _sums(settings: Federation, shards: Shards, defence: AccountedDefence) -> list[list[NoisySums]]:
    """Of all clients' examples together; of clients by what the server sees."""
    return [_sums_of_examples(settings, shards)] if isinstance(defence, DPSGD) else _sums_of_clients(settings)


def _sums_of_examples(settings: Federation, shards: Shards) -> list[NoisySums]:
    """Of each client. The server sees who takes part, so that being drawn hides nothing."""
    rounds = [settings.drawn(number) for number in range(1, settings.rounds + 1)]
    return [
        noisy_sums_of_examples(
            settings.protocol, len(own), min(len(own), settings.pictures or len(own)), sum(client in drawn for drawn in rounds)
        )
        for client, own in enumerate(shards.owned)
    ]


def _sums_of_clients(settings: Federation) -> list[list[NoisySums]]:
    """Of every update, and of their mean, where each client's noise is part of the mean's.

    The mean of m updates has sqrt(m) times the noise of one over what one client can change, and hides who was drawn. Under
    secure aggregation it is all that is seen, so nothing else is told; of drop-outs' noise it has none.
    """
    each = NoisySums("client", EACH, 1.0, _most_rounds(settings))
    mean = NoisySums("client", MEAN, settings.per_round / settings.clients, settings.rounds, math.sqrt(settings.fewest))
    return [[mean]] if settings.secure else [[each], [mean]]


def _most_rounds(settings: Federation) -> int:
    """In which the client was drawn that was drawn most."""
    drawn = [client for number in range(1, settings.rounds + 1) for client in settings.drawn(number)]
    return max(map(drawn.count, set(drawn)))
