"""What batch norms in train mode normalise by, and count: of each channel the mean and the variance over a whole batch.

A client that sends its state dictionary sends its batch norms' counts with it. After one step they tell the batch's own
statistics: r' = (1 - m) r + m s for a momentum m, where of the variance s is the unbiased one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.lazy import Float, Tensor, nn, torch

from lab.errors import LabError
from lab.federated.gradients import LocalSteps
from lab.federated.inputs import rows
from lab.federated.receiving import cast_like
from lab.federated.tensors import Inputs
from lab.federated.typed_torch import layers_of
from lab.federated.update_names import STATISTICS

if TYPE_CHECKING:
    BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

MEAN, VARIANCE, _ = STATISTICS


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of what enters one batch norm, over pictures and places."""

    mean: Float[Tensor, " channels"]
    variance: Float[Tensor, " channels"]
    """The biased one, by which a batch norm normalises."""

    def to(self, device: torch.device) -> Statistics:
        """On another device."""
        return Statistics(self.mean.to(device), self.variance.to(device))


def batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """Those that normalise by a batch's own statistics, by name."""
    norms = layers_of(network, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return {name: norm for name, norm in norms.items() if norm.training or norm.running_var is None}


def entering(network: nn.Module, inputs: Inputs) -> dict[str, Float[Tensor, "channels numbers"]]:
    """What enters each of these batch norms, channel by channel, in the graph of the inputs; one met twice is left out."""
    found: dict[str, list[Tensor]] = {}

    def hook(name: str, norm: BatchNorm) -> torch.utils.hooks.RemovableHandle:
        return norm.register_forward_pre_hook(lambda _, given: found.setdefault(name, []).append(given[0]))

    hooks = [hook(name, norm) for name, norm in batch_norms(network).items()]
    try:
        network(inputs)
    finally:
        for one in hooks:
            one.remove()
    return {name: values[0].transpose(0, 1).flatten(1) for name, values in found.items() if len(values) == 1}


def batch_statistics(network: nn.Module, inputs: Inputs) -> dict[str, Statistics]:
    """Of each batch norm that normalises by them, in the graph of the inputs."""
    entered = entering(network, inputs)
    return {name: Statistics(values.mean(1), values.var(1, correction=0)) for name, values in entered.items()}


def statistics_of_step(network: nn.Module, inputs: Inputs, steps: LocalSteps) -> dict[str, Statistics]:
    """What a client's counts tell of the batch of its step, outside any graph; of several steps, whose counts mix, nothing."""
    first, *others = steps.rows
    if others or not batch_norms(network):
        return {}
    with torch.no_grad():
        return batch_statistics(network, inputs if first is None else rows(inputs, first))


def statistics_of_change(
    model: nn.Module, change: Mapping[str, Any], network: nn.Module, now_called: Mapping[str, str], inputs: Inputs
) -> dict[str, Statistics]:
    """Of the batch of one step that changed what a model's batch norms count, by their names in the network that it became.

    ``now_called`` are the parameters of the network by their names in the model; as many ``inputs`` enter as at the client.
    A norm without weights has no name that stays, and is left out, as is one whose counts did not come.
    """
    with torch.no_grad():
        sizes = {name: values.shape[1] for name, values in entering(network, inputs).items()}
    found: dict[str, Statistics] = {}
    for name, norm in layers_of(model, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d).items():
        called = now_called.get(f"{name}.weight", "").removesuffix(".weight")
        own = {kind: change[f"{name}.{kind}"] for kind in (MEAN, VARIANCE) if f"{name}.{kind}" in change}
        read = read_off(norm, own, sizes[called]) if called in sizes else None
        if read is not None:
            found[called] = read
    return found


def read_off(norm: BatchNorm, change: Mapping[str, Any], count: int) -> Statistics | None:
    """The statistics of the one step in which what a batch norm counts changed so, by ``running_mean`` and its like.

    ``norm`` is as before the step, ``count`` how many numbers of one channel enter it. None where they did not come, are no
    tensors of its shape, or tell no variance.
    """
    if count < 2 or norm.running_mean is None or norm.running_var is None or not {MEAN, VARIANCE} <= change.keys():
        return None
    momentum = 1 / (1 + int(norm.num_batches_tracked or 0)) if norm.momentum is None else norm.momentum
    if not momentum:
        return None
    try:
        moved = [cast_like(norm.running_mean, change[kind], kind) for kind in (MEAN, VARIANCE)]
    except LabError:  # an update is more than its counts
        return None
    mean, variance = norm.running_mean + moved[0] / momentum, norm.running_var + moved[1] / momentum
    if not (mean.isfinite().all() and variance.isfinite().all() and (variance >= 0).all()):
        return None
    return Statistics(mean, variance * (count - 1) / count)
