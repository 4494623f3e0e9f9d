"""What the server sees of one client in one round, beside the truth that the judge alone may hold."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import fields, replace
from functools import reduce

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.defending import server_view, withheld_tensors
from lab.client.representation import last_layer
from lab.errors import LabError
from lab.evaluation.round import Round
from lab.evaluation.truth import DECOYS
from lab.federated.inputs import concatenated, rows, shape_of
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.secure_sum import SecureSum
from lab.federated.tensors import Gradients, Inputs
from lab.federation.archive import RoundRecord
from lab.federation.shards import Shards
from lab.federation.training import build, sent_by


def observe_client(shards: Shards, played: RoundRecord, client: int, labels: LabelSource = LabelSource.KNOWN) -> Round:
    """One client's update of one round, ready to be attacked by ``lab.attack(found.observation)``.

    Raises ``LabError`` where the client sent nothing in that round.
    """
    _check_took_part(played, client)
    batch, settings = shards.batch(client, played.point.number), shards.settings
    seen = _round(shards, played, client, batch, settings.protocol, played.sent[client], labels)
    told = server_view(settings.defences, settings.protocol, len(batch))
    return replace(seen, observation=replace(seen.observation, protocol=told))


def _check_took_part(played: RoundRecord, client: int) -> None:
    if client not in played.sent:
        took_part = ", ".join(map(str, played.sent)) or "nobody did, so another round"
        raise LabError(f"Client {client} sent nothing in round {played.point.number}; choose one of: {took_part}.")


def observe_client_mean(
    shards: Shards, rounds: Iterable[RoundRecord], client: int, labels: LabelSource = LabelSource.KNOWN
) -> Round:
    """The mean of a client's updates of several rounds, taken one at a time, as if all had come at the weights of the first.

    What its defences drew by chance fades in it; so does what one round alone would tell where the weights moved between.
    Raises ``LabError`` where the client sent nothing in one of them, or other pictures stood behind it.
    """
    others = iter(rounds)
    first = next(others)
    seen, number = observe_client(shards, first, client, labels), first.point.number
    total, count = first.sent[client], 1
    for played in others:
        _check_took_part(played, client)
        if not shards.same_pictures(client, number, played.point.number):
            raise LabError(
                f"Client {client} had other pictures in round {played.point.number} than in round {number}, so their updates "
                "have no mean to attack; give --pictures 0, with which each sends all that it has."
            )
        total, count = {name: tensor + played.sent[client][name] for name, tensor in total.items()}, count + 1
    update = {name: tensor / count for name, tensor in total.items()}
    observation = replace(seen.observation, update=update, rounds=count)
    if count > 1:
        observation = replace(observation, protocol=shards.settings.protocol.server_view())
    return replace(seen, observation=observation)


def observe_sum(shards: Shards, played: RoundRecord, labels: LabelSource = LabelSource.KNOWN) -> Round:
    """The mean update of one round, which is all that masks leave to an honest server: a batch of everybody's pictures.

    Raises ``LabError`` where nobody answered, or the clients have unlike numbers of pictures.
    """
    number, clients = played.point.number, list(played.sent)
    if not clients:
        raise LabError(f"Too few clients answered in round {number}, so nothing was unmasked; choose another round.")
    batches = [shards.batch(client, number) for client in clients]
    counts = sorted({len(batch) for batch in batches})
    if len(counts) > 1:
        raise LabError(
            f"The clients of round {number} have {counts[0]} to {counts[-1]} pictures behind their updates, and a sum is "
            f"attacked where all have as many; give pictures = {counts[0]} or fewer."
        )
    inputs = reduce(concatenated, (batch.inputs for batch in batches))
    together = Batch(inputs, torch.cat([batch.labels for batch in batches]))
    total = shards.settings.masking(number).secure_sum(played.sent)
    mean = {name: tensor / len(clients) for name, tensor in total.items()}
    return _round(shards, played, clients[0], together, _of_all(shards.settings.protocol, len(clients)), mean, labels)


def observe_by_inconsistency(
    shards: Shards, played: RoundRecord, client: int, labels: LabelSource = LabelSource.KNOWN
) -> Round:
    """What a dishonest server gets of one client in spite of masks (Pasquini et al. 2022: model inconsistency).

    It sends the client the weights, and everybody else the same with a last layer of zeros: nothing passes that on the way
    back, so that below it their first gradients are zero, and the sum is the one client's. After several local steps the
    others' last layers are no zeros any more, and what they add is noise. Raises ``LabError`` where the client sent nothing.
    """
    honest, number = observe_client(shards, played, client, labels), played.point.number
    network = deepcopy(honest.observation.network)
    name, last = last_layer(network)
    for weights in last.parameters():
        weights.detach().zero_()
    others = {other: sent_by(shards, network, other, number)[0] for other in played.sent if other != client}
    total = shards.settings.masking(number).secure_sum({client: played.sent[client], **others})
    below = {own: tensor for own, tensor in total.items() if not own.startswith(f"{name}.")}
    return replace(honest, observation=replace(honest.observation, update=below))


def _of_all(protocol: Protocol, clients: int) -> Protocol:
    """What the mean of so many updates comes of; of gradients it is the gradient of all pictures together."""
    if not isinstance(protocol, FedAvg):
        return protocol
    return SecureSum(clients=clients, **{field.name: getattr(protocol, field.name) for field in fields(FedAvg)})


def _round(
    shards: Shards, played: RoundRecord, client: int, batch: Batch, protocol: Protocol, update: Gradients, labels: LabelSource
) -> Round:
    """A round in which that was sent of these pictures; the line-up has the client's first one."""
    settings, network = shards.settings, build(shards.settings, shards)
    network.load_state_dict({**network.state_dict(), **played.before})
    observation = Observation(
        network=network,
        protocol=protocol.server_view(),
        update=update,
        input_shape=shape_of(batch.inputs),
        batch_size=len(batch),
        label_source=labels,
        labels=batch.labels.clone() if labels is LabelSource.KNOWN else None,
        modality=settings.dataset.modality,
        withheld=withheld_tensors(settings.defences, network),
    )
    clean = protocol.update(network, batch.inputs, batch.labels)
    return Round(batch, clean, observation, _line_up(shards, played, client, batch))


def _line_up(shards: Shards, played: RoundRecord, client: int, batch: Batch) -> Inputs:
    return concatenated(rows(batch.inputs, slice(1)), shards.decoys(client, played.point.number, DECOYS))
