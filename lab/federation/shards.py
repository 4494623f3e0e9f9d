"""The inputs of a federation: each client's share for training, and those that the server tests with."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import Tensor, torch

from lab.client.batch import Batch
from lab.client.datasets.published import PublishedSet
from lab.client.datasets.split import Split
from lab.federated.tensors import Labels, Suspects
from lab.federation.settings import Federation
from lab.federation.split import dirichlet_split
from lab.randomness import stream

MAX_TESTED = 2000
"""Of the test's, for each round waits for them."""


@dataclass(frozen=True, eq=False)
class Shards:
    """All inputs as they are stored, bytes (count, ...), and whose they are."""

    settings: Federation
    stored: Tensor
    labels: Labels
    owned: list[Tensor]
    test: Suspects
    test_labels: Labels

    @classmethod
    def of(cls, settings: Federation) -> Shards:
        """Raises ``LabError`` where the data cannot be had or the split leaves a client empty."""
        data = settings.dataset
        assert isinstance(data, PublishedSet), "the settings have checked it"
        stored, labels = data.everything(Split.TRAIN)
        tested, test_labels = data.pixels(Split.TEST, 0, min(MAX_TESTED, data.length(Split.TEST)))
        owned = dirichlet_split(labels, settings.clients, settings.concentration, stream(settings.seed, "split"))
        return cls(settings, stored, labels, owned, _floats(tested), test_labels)

    def batch(self, client: int, number: int) -> Batch:
        """A client's inputs behind its update of one round, drawn without replacement, in the order of its local steps."""
        rows = self._rows(client, number)
        return Batch(_floats(self.stored[rows]), self.labels[rows])

    def same_pictures(self, client: int, number: int, other: int) -> bool:
        """Whether a client's updates of two rounds have the same pictures behind them."""
        one, two = (self._rows(client, each).sort().values for each in (number, other))
        return torch.equal(one, two)

    def decoys(self, client: int, number: int, count: int) -> Suspects:
        """Training inputs that are not behind that update."""
        free = torch.ones(len(self.labels), dtype=torch.bool)
        free[self._rows(client, number)] = False
        others = torch.nonzero(free)[:, 0]
        drawn = torch.randperm(len(others), generator=self._stream("line-up", client, number))[:count]
        return _floats(self.stored[others[drawn]])

    def known(self, count: int) -> Suspects:
        """So many of all training inputs, or as many as there are: what somebody may know of them."""
        return _floats(self.stored[:count])

    def _rows(self, client: int, number: int) -> Tensor:
        own = self.owned[client]
        order = torch.randperm(len(own), generator=self._stream("pictures", client, number))
        return own[order[: self.settings.pictures or len(own)]]

    def _stream(self, purpose: str, client: int, number: int) -> torch.Generator:
        return stream(self.settings.seed, f"{purpose} of client {client} in round {number}")


def _floats(stored: Tensor) -> Tensor:
    return stored.float() / 255
