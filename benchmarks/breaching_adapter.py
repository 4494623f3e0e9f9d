"""Breaching 0.1.2 (Geiping et al., MIT licence) on the lab's networks and pictures: its own classes do all the work."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.contenders import Report
from lab.errors import LabError
from lab.evaluation.round import Round
from lab.federated.classifier import Normalise
from lab.federated.observation import Observation
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.tensors import Images, Labels
from lab.randomness import mixed_seed

DEFAULT_ITERATIONS = 24_000
DEFAULT_TOTAL_VARIATION = 0.2


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """It prints, and warns of what torch and hydra have deprecated since it was written."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def attack_settings(iterations: int, total_variation: float) -> Any:
    """Its ``invertinggradients`` configuration; only the budget and the weight of total variation are changed."""
    with hushed():
        try:
            import breaching
        except ImportError:
            raise LabError('The benchmarks compare with breaching; install it by: pip install -e ".[bench]".') from None
        return breaching.get_attack_config(
            "invertinggradients",
            overrides=[f"optim.max_iterations={iterations}", f"regularization.total_variation.scale={total_variation}"],
        )


def body(observation: Observation) -> nn.Module:
    """The network without its normalisation, which breaching does outside; the weights are shared, not copied."""
    network = observation.network
    return nn.Sequential(network.features, nn.Flatten(1), network.head)


class Breaching:
    """Its ``invertinggradients`` attack on what the lab's server observed, labels given."""

    def __init__(self, attacked: Round, seed: int, iterations: int, total_variation: float) -> None:
        self.observation = attacked.observation
        self.seed = seed
        self.iterations = iterations
        self.model = body(self.observation)
        self.settings = attack_settings(iterations, total_variation)
        self.payload = [server_payload(self.observation, self.model)]
        self.shared = [shared_data(self.observation)]

    def run(self, report: Report) -> Images:
        """Its whole run, from its own start (normal noise drawn from the seed)."""
        attacker = self._attacker(report)
        with torch.random.fork_rng(devices=[]), hushed():
            torch.manual_seed(mixed_seed(self.seed, "breaching"))
            found, _ = attacker.reconstruct(self.payload, self.shared, server_secrets={})
        return self.pixels(found["data"])

    def pixels(self, candidate: Tensor) -> Images:
        """From its normalised units to pixels in [0, 1]."""
        return of_pictures(self.observation).inverse(candidate.detach()).clamp(0, 1)

    def _attacker(self, report: Report) -> Any:
        like = next(iter(self.observation.update.values()))
        setup = {"dtype": like.dtype, "device": like.device}
        return _reporting_attacker()(self.model, nn.CrossEntropyLoss(), self.settings, setup, report, self.pixels)


def _reporting_attacker() -> type:
    """Its optimisation attack, untouched but for a report between two iterations."""
    with hushed():
        from breaching.attacks.optimization_based_attack import OptimizationBasedAttacker

    class Reporting(OptimizationBasedAttacker):
        def __init__(self, model: nn.Module, loss: nn.Module, settings: Any, setup: Any, report: Report, pixels: Any) -> None:
            super().__init__(model, loss, settings, setup)
            self.report, self.pixels = report, pixels

        def _compute_objective(self, candidate: Tensor, *others: Any, **named: Any) -> Any:
            """Called once at the start of each iteration: the one before is over."""
            self.report(partial(self.pixels, candidate))
            return super()._compute_objective(candidate, *others, **named)

        def _score_trial(self, candidate: Tensor, *others: Any, **named: Any) -> Any:
            """Called once after the last iteration."""
            self.report(partial(self.pixels, candidate))
            return super()._score_trial(candidate, *others, **named)

    return Reporting


def of_pictures(observation: Observation) -> Normalise:
    """What takes a mean off each channel and divides by a deviation."""
    entrance = observation.network.normalise
    assert isinstance(entrance, Normalise)
    return entrance


def server_payload(observation: Observation, model: nn.Module) -> dict[str, Any]:
    """What its server sends: weights, public buffers (so that batch norm is in eval mode) and what the data are."""
    normalise = of_pictures(observation)
    data = SimpleNamespace(
        shape=observation.image_shape,
        mean=normalise.mean.flatten().tolist(),
        std=normalise.std.flatten().tolist(),
        modality="vision",
    )
    return {"parameters": list(model.parameters()), "buffers": list(model.buffers()), "metadata": data}


def shared_data(observation: Observation) -> dict[str, Any]:
    """What its user sends: the update, the number of pictures, their labels and the local steps."""
    labels = observation.labels
    if labels is None:
        raise LabError("The comparison is made with known labels; let the experiment give them to the server.")
    metadata = {
        "num_data_points": observation.batch_size,
        "labels": labels,
        "local_hyperparams": _local_steps(observation, labels),
    }
    return {"gradients": list(observation.update.values()), "buffers": None, "metadata": metadata}


def _local_steps(observation: Observation, labels: Labels) -> dict[str, Any] | None:
    protocol, count = observation.protocol, observation.batch_size
    if not isinstance(protocol, FedAvg):
        return None
    size = min(protocol.batch_size or count, count)
    if count % size:
        raise LabError(f"Breaching takes no local batches of {size} out of {count} pictures; choose a divisor.")
    steps = [labels[(torch.arange(size) + step * size) % count] for step in range(protocol.local_steps)]
    return {"lr": protocol.learning_rate, "steps": protocol.local_steps, "data_per_step": size, "labels": steps}
