"""Federated training, simulated round by round in one process.

for played in federate(Federation(clients=20, sampled=5), Path("runs/federation")):
    ...  # played.point.loss, played.point.accuracy, played.sent[client]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.lazy import functional, no_grad

from lab.client.defending import Memories, defended, extended, trained
from lab.errors import LabError, is_short_of_memory
from lab.federated.classifier import Classifier
from lab.federated.tensors import Gradients
from lab.federated.updates import shapes
from lab.federation.archive import Archive, CurvePoint, RoundRecord
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.machine import resources, threads
from lab.options.words import rounded
from lab.randomness import stream

UNDER_MASKS = 5
"""Updates that a client's takes the room of: itself, and as whole numbers of 64 bits, in the clear and masked."""


def federate(settings: Federation, folder: Path | None = None) -> Iterator[RoundRecord]:
    """The rounds, one after another; those that ``folder`` holds already are read from there, and new ones kept in it.

    A federation that was interrupted goes on to the very weights of one that was not. Raises ``LabError`` where the data
    cannot be had or split, the network cannot take it, the training diverges, or the folder holds something else.
    """
    archive = Archive(folder) if folder else None
    points = archive.points(settings) if archive else []
    server = Server(settings, Shards.of(settings))
    for number in range(1, settings.rounds + 1):
        is_kept = archive is not None and number <= len(points)
        with threads.computing(1):
            played = server.replay(archive.played(points[number - 1])) if archive and is_kept else server.play(number)
        if archive and not is_kept:
            points.append(played.point)
            archive.keep(settings, played, points)
        yield played


class Server:
    """The global weights between two rounds, and what its clients remember."""

    def __init__(self, settings: Federation, shards: Shards) -> None:
        self.settings, self.shards = settings, shards
        self.network = build(settings, shards)
        _check_memory(settings, self.network)
        self.memories: dict[int, Memories] = {}

    def play(self, number: int) -> RoundRecord:
        """One round: draw the clients, have each train and defend its update, average."""
        before = {name: weights.detach().clone() for name, weights in self.network.named_parameters()}
        sent: dict[int, Gradients] = {}
        for client in self.settings.answering(number):
            remembered = self.memories.get(client, ())
            sent[client], self.memories[client] = sent_by(self.shards, self.network, client, number, remembered)
        self._average(sent, number)
        memories = {client: self.memories[client] for client in sent}
        return RoundRecord(self._tested(number), before, sent, memories)

    @no_grad
    def replay(self, played: RoundRecord) -> RoundRecord:
        """A round that was played before: the same weights, nothing computed anew.

        Raises ``LabError`` where they are another network's.
        """
        known = shapes(dict(self.network.named_parameters()))
        if any(shapes(kept) != known for kept in (played.before, *played.sent.values())):
            raise LabError(
                f"What was kept of round {played.point.number} is of another network, or damaged; delete the folder to begin "
                "anew, or choose another one."
            )
        for name, weights in self.network.named_parameters():
            weights.copy_(played.before[name])
        self.memories |= played.memories
        self._average(played.sent, played.point.number)
        return played

    @no_grad
    def _average(self, sent: Mapping[int, Gradients], number: int) -> None:
        """Goes along the mean update; each client counts alike, so that none weighs more than 1 / n.

        Where masks hide each update, it is their sum once these have cancelled. A round that nobody answers moves nothing.
        """
        if not sent:
            return
        summands = [self.settings.masking(number).secure_sum(sent)] if self.settings.secure else list(sent.values())
        rate = self.settings.stride / len(sent)
        for name, weights in self.network.named_parameters():
            for update in summands:
                weights.add_(update[name], alpha=rate)

    @no_grad
    def _tested(self, number: int) -> CurvePoint:
        logits = self.network(self.shards.test)
        loss = float(functional.cross_entropy(logits, self.shards.test_labels))
        if not math.isfinite(loss):
            raise LabError(
                f"The training diverged in round {number}: the loss is no finite number; take a smaller learning rate."
            )
        return CurvePoint(number, loss, float((logits.argmax(1) == self.shards.test_labels).double().mean()))


def sent_by(
    shards: Shards, network: Classifier, client: int, number: int, memories: Memories = ()
) -> tuple[Gradients, Memories]:
    """What a client sends that trains these weights in a round, and what its defences remember of it.

    Raises ``LabError`` where that is no finite number, or its defences give no update.
    """
    settings, batch = shards.settings, shards.batch(client, number)
    generator = stream(settings.seed, f"defence of client {client} in round {number}")
    own = trained(settings.defences, settings.protocol, network, batch, generator)
    if not all(bool(tensor.isfinite().all()) for tensor in own.values()):
        raise LabError(
            f"The training diverged: what client {client} computed in round {number} is no finite number; take a smaller "
            "learning rate, or a smaller server_rate."
        )
    left, memories = defended(settings.defences, own, generator, memories)
    return settings.protocol.sent(left), memories


def _check_memory(settings: Federation, network: Classifier) -> None:
    """Raise ``LabError`` where the weights before and after a round, and every client's update, do not fit."""
    copies = 2 + settings.per_round * (UNDER_MASKS if settings.secure else 1)
    wanted = copies * sum(weights.nbytes for weights in network.parameters())
    had = resources.memory()
    if wanted > had:
        raise LabError(
            f"The updates of {settings.per_round} clients and the weights take {rounded(wanted / 1e9, 2)} GB, and this machine "
            f"has {rounded(had / 1e9, 2)}; draw fewer clients for a round, or take a narrower network."
        )


def build(settings: Federation, shards: Shards) -> Classifier:
    """The network before the first round. Raises ``LabError`` where it cannot take pictures of that size."""
    shape = tuple(shards.test.shape[1:])
    try:
        network = settings.network.build(shape, len(settings.dataset.class_names), stream(settings.seed, "weights"))
        network = extended(settings.defences, network, stream(settings.seed, "weights of defences"))
        network = settings.protocol.trains.prepared(network, stream(settings.seed, "fine-tuned weights"))
        network(shards.test[:1])
    except RuntimeError as error:
        if is_short_of_memory(error):
            raise
        raise LabError(
            f"The network {settings.network.name} cannot take pictures of {shape[1]} x {shape[2]} pixels, which "
            f"{settings.dataset.name} has; take small_convnet, mlp or lenet."
        ) from None
    return network
