"""What was shared, in double precision, and how far a picture is from explaining it."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from lab.distances.base import flat
from lab.labels import recover_labels
from lab.types import Images, Labels, Observation

EXACT = 1e-3
"""Relative mismatch ||g(x) - g*|| / ||g*|| up to which the picture explains the shared numbers."""

CLOSE = 1e-2
"""Relative mismatch that gradient matching, begun at the peeled picture, never brought lower."""


def mismatch(observation: Observation, images: Images) -> float:
    """||g(x) - g*|| / ||g*||: how far the picture is from explaining what was shared."""
    labels = known_labels(observation)
    update = observation.protocol.update(observation.network, images.to(observation.device), labels)
    pairs = [(update[name], shared) for name, shared in observation.update.items()]
    wrong = math.sqrt(sum(float((mine - shared).detach().square().sum()) for mine, shared in pairs))
    return wrong / max(math.sqrt(sum(float(shared.square().sum()) for _, shared in pairs)), 1e-300)


@dataclass(frozen=True)
class Fit:
    """How a picture explains a shared update of unknown length."""

    factor: float
    """s, by which the client's numbers are longer than the picture's own; 0 where these point away from them."""
    off: float
    """||s g(x) - g*|| / ||g*||."""


def fit(observation: Observation, images: Images) -> Fit:
    """The factor s >= 0 with which the picture's own update comes nearest to the shared one, and what is left then."""
    labels = known_labels(observation)
    made = observation.protocol.update(observation.network, images.to(observation.device), labels)
    own, shared = flat(made).detach().double(), flat(observation.update).double()
    factor = max(0.0, float(own @ shared / own.square().sum().clamp_min(1e-300)))
    return Fit(factor, float((factor * own - shared).norm() / shared.norm().clamp_min(1e-300)))


def known_labels(observation: Observation) -> Labels:
    """The labels that the server was told, else those that it infers."""
    return recover_labels(observation) if observation.labels is None else observation.labels


def in_double(observation: Observation) -> Observation:
    """The same numbers in float64 on the CPU (some accelerators have no float64); nothing is recomputed."""
    network = deepcopy(observation.network).to("cpu", torch.float64)
    update = {name: tensor.to("cpu", torch.float64) for name, tensor in observation.update.items()}
    labels = None if observation.labels is None else observation.labels.cpu()
    return replace(observation, network=network, update=update, labels=labels)


def percent(share: float) -> str:
    """A share in words."""
    return f"{100 * share:.2g} %"
