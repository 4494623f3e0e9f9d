"""The settings of a federation: everything that decides its course, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import torch

from lab.client.datasets.base import Dataset
from lab.client.datasets.digits import Digits
from lab.client.datasets.published import PublishedSet
from lab.client.defences.base import Defence
from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.secure_sum import SecureSum
from lab.federation.masking import Masking
from lab.options.catalogue import entries
from lab.options.fields import AtMost, Bounds, Help, Option
from lab.randomness import stream

MAX_DEFENCES = 16


@dataclass(frozen=True)
class Federation(Option):
    """Who trains together, on what, how often, and what each client does to its update before it leaves."""

    dataset: Annotated[Dataset, Help("whose training pictures the clients share out")] = Digits()
    network: Annotated[Network, Help("the network that is trained")] = SmallConvNet(width=8)
    clients: Annotated[int, Bounds(2, 100), Help("who have a share of the pictures", "clients")] = 10
    sampled: Annotated[int, Bounds(0, 100), Help("clients drawn for each round; 0 takes all", "clients")] = 0
    rounds: Annotated[int, Bounds(1, 1000), Help("times that the server averages", "rounds")] = 30
    concentration: Annotated[
        float,
        Bounds(0.01, 1000.0, log=True),
        Help("of the Dirichlet split: near 0 each class has one client, large: all alike"),
    ] = 0.5
    pictures: Annotated[int, Bounds(0, 1000), Help("a client's behind one update; 0 takes all that it has", "pictures")] = 160
    protocol: Annotated[Protocol, Help("what a client sends")] = FedAvg(local_steps=5, batch_size=32, learning_rate=0.3)
    server_rate: Annotated[float, Bounds(1e-4, 100.0, log=True), Help("how far the server goes along the mean update")] = 1.0
    defences: Annotated[
        tuple[Defence, ...], AtMost(MAX_DEFENCES), Help("what each client does to its update before it leaves")
    ] = ()
    seed: Annotated[int, Bounds(0, 2**31 - 1), Help("the seed of everything random")] = 0
    secure: Annotated[bool, Help("masks hide each update, and the server sees a round's sum alone")] = False
    lost: Annotated[float, Bounds(0.0, 0.9), Help("chance of each client of a round to drop out of it")] = 0.0

    def check(self) -> None:
        """Pictures that can be shared out, a network that takes them, and no more clients drawn than there are."""
        if self.sampled > self.clients:
            raise LabError(
                f"federation: sampled = {self.sampled} clients of {self.clients} are too many; draw at most {self.clients}, "
                "or 0 for all."
            )
        if not isinstance(self.dataset, PublishedSet):
            known = ", ".join(name for name, entry in entries("dataset").items() if issubclass(entry, PublishedSet))
            raise LabError(f"The data set {self.dataset.name} has no training part to share out; choose one of: {known}.")
        if self.network.modality != self.dataset.modality:
            raise LabError(
                f"The network {self.network.name} takes {self.network.modality}, and the data set {self.dataset.name} has "
                f"{self.dataset.modality}; choose two of one kind."
            )

        if isinstance(self.protocol, SecureSum):
            raise LabError("In a federation the clients are its own; take the protocol fedavg, and secure (--secure) with it.")
        if self.secure and self.per_round < 2:
            raise LabError("The sum of one client is its update, which masks cannot hide; draw at least 2 clients for a round.")

    @property
    def per_round(self) -> int:
        """Clients of each round."""
        return self.sampled or self.clients

    @property
    def stride(self) -> float:
        """How far the server goes along the mean update; against it where that is a gradient."""
        return self.server_rate if self.protocol.sends_change else -self.server_rate

    @property
    def fewest(self) -> int:
        """Clients whose updates a mean has at least."""
        if not self.lost:
            return self.per_round
        return self.masking(1).threshold if self.secure else 1

    def drawn(self, number: int) -> list[int]:
        """The clients of a round, counted from 1."""
        order = torch.randperm(self.clients, generator=stream(self.seed, f"clients of round {number}"))
        return sorted(order[: self.per_round].tolist())

    def answering(self, number: int) -> list[int]:
        """Those of them who do not drop out; nobody where too few are left to unmask a sum."""
        drawn = self.drawn(number)
        chances = torch.rand(len(drawn), generator=stream(self.seed, f"drop-outs of round {number}"), dtype=torch.float64)
        there = [client for client, chance in zip(drawn, chances.tolist(), strict=True) if chance >= self.lost]
        return [] if self.secure and len(there) < self.masking(number).threshold else there

    def masking(self, number: int) -> Masking:
        """The masks of a round."""
        return Masking(self.seed, number, tuple(self.drawn(number)))
