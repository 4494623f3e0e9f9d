"""What the server reads while somebody draws: the newest drawing alone, by one division."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from widgets.run import jobs
from widgets.run.worker import Valve, Worker

if TYPE_CHECKING:
    import numpy as np

    from lab import Experiment
    from lab.client.datasets.drawing import Drawing


Read = tuple["np.ndarray", dict[str, Any]]
"""The pixels that were read, (32, 32, 3), and the update that they were read from in words."""


class Follower:
    """Hands the worker one drawing at a time; those that a newer one has overtaken are left unread."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._valve = Valve()

    def follow(self, drawing: Drawing, beside: Experiment, show: Callable[[Read], None], failed: Callable[[str], None]) -> None:
        """Read a drawing as the phone of ``beside`` would send it; ``failed`` gets a sentence."""
        self._valve.drop()
        self._valve = Valve()
        self._worker.do(partial(jobs.read_at_once, _quick(drawing, beside)), self._valve, failed, show)


def _quick(drawing: Drawing, beside: Experiment) -> Experiment:
    """The same phone with a network that gives its input away in milliseconds: the present one, if it is fully connected."""
    from lab import Experiment
    from lab.attacks.analytic import Analytic
    from lab.federated.networks.mlp import MLP

    network = beside.network if isinstance(beside.network, MLP) else MLP()
    return Experiment(dataset=drawing, network=network, defences=beside.defences, attack=Analytic(), seed=beside.seed)
