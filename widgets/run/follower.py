"""What the server reads while somebody draws: the newest drawing alone, by an attack that takes a moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from widgets.run import jobs
from widgets.run.frames import Places
from widgets.run.worker import Gate, Worker

if TYPE_CHECKING:
    from lab import Experiment
    from lab.client.datasets.base import Dataset
    from lab.federated.networks.base import Network


class Follower:
    """Hands the worker one drawing at a time; those that a newer one has overtaken are left unread."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._gate = Gate()

    def follow(
        self,
        drawing: Dataset,
        beside: Experiment,
        show: Callable[[jobs.Read], None],
        failed: Callable[[str], None],
        places: Places | None = None,
    ) -> None:
        """Read a drawing as the phone of ``beside`` would send it; ``failed`` gets a sentence."""
        self._gate.drop()
        self._gate = Gate()
        self._worker.do(partial(jobs.read_at_once, _quick(drawing, beside), places), self._gate, failed, show)


def _quick(drawing: Dataset, beside: Experiment) -> Experiment:
    """The same phone with a network that gives its input away at once: the present one, if it does."""
    from lab import Experiment
    from lab.attacks.analytic import Analytic
    from lab.attacks.neighbourhoods import Neighbourhoods
    from lab.federated.networks.gcn import GCN
    from lab.federated.networks.mlp import MLP
    from lab.federated.tensors import IMAGES

    network: Network = beside.network
    if drawing.modality == IMAGES:
        network, attack = network if isinstance(network, MLP) else MLP(), Analytic()
    else:
        network, attack = network if network.modality == drawing.modality else GCN(), Neighbourhoods()
    return Experiment(dataset=drawing, network=network, defences=beside.defences, attack=attack, seed=beside.seed)
