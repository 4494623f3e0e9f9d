"""What the server sees of one client in one round, beside the truth that the judge alone may hold."""

from __future__ import annotations

from lab.client.batch import Batch
from lab.client.defending import masked
from lab.errors import LabError
from lab.evaluation.round import Round
from lab.evaluation.scores import DECOYS
from lab.federated.inputs import joined, rows, shape_of
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import Inputs
from lab.federation.archive import Played
from lab.federation.shards import Shards
from lab.federation.training import build


def look(shards: Shards, played: Played, client: int, labels: LabelSource = LabelSource.KNOWN) -> Round:
    """One client's update of one round, ready to be attacked by ``lab.attack(found.observation)``.

    Raises ``LabError`` where the client sent nothing in that round.
    """
    if client not in played.sent:
        took_part = ", ".join(map(str, played.sent))
        raise LabError(f"Client {client} sent nothing in round {played.point.number}; choose one of: {took_part}.")
    settings, batch = shards.settings, shards.batch(client, played.point.number)
    network = build(settings, shards)
    network.load_state_dict({**network.state_dict(), **played.before})
    observation = Observation(
        network=network,
        protocol=settings.protocol.as_told(),
        update=played.sent[client],
        input_shape=shape_of(batch.inputs),
        batch_size=len(batch),
        label_source=labels,
        labels=batch.labels.clone() if labels is LabelSource.KNOWN else None,
        modality=settings.dataset.modality,
        masked=masked(settings.defences, network),
    )
    clean = settings.protocol.update(network, batch.inputs, batch.labels)
    return Round(batch, clean, observation, _line_up(shards, played, client, batch))


def _line_up(shards: Shards, played: Played, client: int, batch: Batch) -> Inputs:
    return joined(rows(batch.inputs, slice(1)), shards.decoys(client, played.point.number, DECOYS))
