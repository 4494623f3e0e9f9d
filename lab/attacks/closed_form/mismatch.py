"""What was shared, in double precision, and how far a picture is from explaining it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

from lab.lazy import Tensor, torch

from lab.attacks.labels.llg import multi_labels, recover_labels
from lab.federated.inputs import moved_to
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Inputs, Targets
from lab.options.words import rounded

EXACT_MISMATCH = 1e-3
"""Relative mismatch ||g(x) - g*|| / ||g*|| up to which the picture explains the shared numbers."""

RESCALED_SHARE = 0.5
"""Another length than the one told is believed where it leaves less than this share of what that one leaves."""

CHUNK = 65_536
"""Numbers that are compared at once."""

MATCHING_FLOOR = 1e-2
"""Relative mismatch that gradient matching, begun at the picture in closed form, never brought lower."""


@dataclass(frozen=True)
class Fit:
    """How a picture explains a shared update, whose length may not be what it is told to be."""

    factor: float
    """s, by which the shared numbers are longer than the picture's own: 1 unless another explains clearly more."""
    residual: float
    """||s g(x) - g*|| / ||g*||."""
    as_sent: float
    """The same at s = 1."""

    @property
    def note(self) -> str:
        """What is to be said of the length; nothing where it is as told."""
        return "" if self.factor == 1 else f" It was sent {rounded(self.factor, 3)} times as long as the picture's own."


def fitted(made: Gradients, shared: Gradients) -> Fit:
    """How ``made`` explains what was shared, as it is or at another length (clipped, summed over the batch)."""
    products = [(float(g @ g), float(g @ other), float(other @ other)) for g, other in _chunks(made, shared)]
    own, product, whole = (max(sum(part), 1e-300) for part in zip(*products, strict=True))
    factor = product / own
    as_sent, best = (_residual(made, shared, s) / math.sqrt(whole) for s in (1.0, factor))
    return Fit(factor, best, as_sent) if best < RESCALED_SHARE * as_sent else Fit(1.0, as_sent, as_sent)


def _residual(made: Gradients, shared: Gradients, factor: float) -> float:
    """||s g - g*||."""
    return math.sqrt(sum(float((factor * g - other).square().sum()) for g, other in _chunks(made, shared)))


def _chunks(made: Gradients, shared: Gradients) -> Iterator[tuple[Tensor, Tensor]]:
    """Both in double precision, a few numbers at a time: a large network's update is not copied for it."""
    for name, tensor in made.items():
        pairs = zip(tensor.detach().flatten().split(CHUNK), shared[name].detach().flatten().split(CHUNK), strict=True)
        yield from ((one.double(), other.double()) for one, other in pairs)


def fit(observation: Observation, inputs: Inputs, labels: Targets | None = None) -> Fit:
    """How the input's own update explains the shared one; with these labels, or those that the server knows or infers."""
    labels = known_labels(observation) if labels is None else labels
    made = observation.protocol.update(observation.network, moved_to(inputs, observation.device), labels)
    return fitted(made, observation.update)


def mismatch(observation: Observation, inputs: Inputs) -> float:
    """||s g(x) - g*|| / ||g*||: how far the input is from explaining what was shared (``Fit``)."""
    return fit(observation, inputs).residual


def known_labels(observation: Observation) -> Targets:
    """The labels that the server was told, else those that it infers."""
    if observation.labels is not None:
        return observation.labels
    several = multi_labels(observation)
    return recover_labels(observation) if several is None else several


def in_double(observation: Observation) -> Observation:
    """The same numbers in float64 on the CPU (some accelerators have no float64); nothing is recomputed."""
    network = deepcopy(observation.network).to("cpu", torch.float64)
    update = {name: tensor.to("cpu", torch.float64) for name, tensor in observation.update.items()}
    labels = None if observation.labels is None else observation.labels.cpu()
    return replace(observation, network=network, update=update, labels=labels)
