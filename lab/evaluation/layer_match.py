"""Shared against candidate update, layer by layer: where the guess already sends what the client sent."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.attacks.base import AttackState
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients


@dataclass(frozen=True)
class LayerMatch:
    """How alike two updates of one layer (weights and bias together) are."""

    name: str
    """The layer's module in the network."""
    count: int
    """Parameters of the layer."""
    shared_norm: float
    candidate_norm: float
    ratio: float | None
    """||candidate|| / ||shared||; None where the shared update of the layer is zero."""
    cosine: float | None
    """cos of the angle between both; None where one of them is zero."""


class LayerMatcher:
    """Compares what a candidate would send with what the client sent.

    It sees the observation alone, and computes on a copy of the network: an attack that waits
    between two of its states may have hooks on the original.
    """

    def __init__(self, observation: Observation) -> None:
        self._network = deepcopy(observation.network)
        self._observation = observation

    def __call__(self, state: AttackState) -> tuple[LayerMatch, ...]:
        """Each layer in the network's order; nothing where neither server nor attack knows the labels. One training step."""
        observed = self._observation
        labels = observed.labels if observed.labels is not None else state.labels
        if labels is None:
            return ()
        candidate = observed.protocol.update(self._network, state.candidate.to(observed.device), labels.to(observed.device))
        return compare_layers(candidate, observed.update)


def compare_layers(candidate: Gradients, shared: Gradients) -> tuple[LayerMatch, ...]:
    """Norm ratio and cosine of two updates, layer by layer."""
    own, other = by_layer(candidate), by_layer(shared)
    return tuple(_match(layer, _flat(own[layer]), _flat(other[layer])) for layer in other)


def by_layer(update: Gradients) -> dict[str, list[Tensor]]:
    """The tensors of each layer, weight and bias together, under its module's name, in the update's order."""
    layers: dict[str, list[Tensor]] = {}
    for name, tensor in update.items():
        layers.setdefault(name.rpartition(".")[0], []).append(tensor)
    return layers


def _flat(tensors: list[Tensor]) -> Tensor:
    """All numbers of one layer in float64: cosines near 1 would drown in float32."""
    return torch.cat([tensor.detach().flatten().cpu().double() for tensor in tensors])


def _match(name: str, candidate: Tensor, shared: Tensor) -> LayerMatch:
    own, other = float(candidate.norm()), float(shared.norm())
    return LayerMatch(
        name=name,
        count=len(shared),
        shared_norm=other,
        candidate_norm=own,
        ratio=own / other if other else None,
        cosine=float(candidate @ shared) / (own * other) if own and other else None,
    )
