"""Shared against candidate update, layer by layer: where the guess already sends what the client sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.lazy import Float, Int, Tensor, torch

from lab.attacks.base import AttackState
from lab.federated.inputs import moved_to
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients

SAMPLE_SIZE = 48
"""So many numbers stand for a layer where it is drawn."""
SAMPLED_UNITS = 24
"""So many units, and ``SAMPLE_SIZE`` numbers of each, stand for it where it is opened."""
MAX_OPENED = 8
"""So many layers can be opened once an attack is over."""


@dataclass(frozen=True)
class LayerSample:
    """Weights of a layer, unit by unit, of both updates in the same places; 1 is the largest shared one among them."""

    units: int
    sent: tuple[float, ...]
    guess: tuple[float, ...]


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
    drawn: tuple[float, ...]
    """The candidate's numbers in the places of ``sample_entries``, in units of the largest shared one there."""
    sheet: LayerSample | None = None
    """Where the layer is opened."""


class LayerMatcher:
    """Compares what a candidate would send with what the client sent.

    It sees the observation alone, which is to be a copy while an attack runs: one that waits between two of its states may
    have hooks on the original network.
    """

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def __call__(self, state: AttackState, opened: str = "") -> tuple[LayerMatch, ...]:
        """Each layer in the network's order; nothing where neither server nor attack knows the labels. One training step.

        The layer ``opened`` has its sheet; in the end those of the longest updates have.
        """
        observed = self._observation
        labels = observed.labels if observed.labels is not None else state.labels
        if labels is None:
            return ()
        candidate = observed.protocol.update(
            observed.network, moved_to(state.candidate, observed.device), labels.to(observed.device)
        )
        found = compare_layers(candidate, observed.update)
        longest = sorted(found, key=lambda layer: layer.shared_norm)[-MAX_OPENED:]
        wanted = {opened} if state.outcome is None else {layer.name for layer in longest}
        own, other = by_layer(candidate), by_layer(observed.update)
        return tuple(
            replace(layer, sheet=_sheet(own[layer.name], other[layer.name])) if layer.name in wanted else layer
            for layer in found
        )


def compare_layers(candidate: Gradients, shared: Gradients) -> tuple[LayerMatch, ...]:
    """Norm ratio and cosine of two updates, layer by layer."""
    own, other = by_layer(candidate), by_layer(shared)
    return tuple(_match(layer, own[layer], other[layer]) for layer in other)


def sample_entries(shared: Gradients) -> dict[str, tuple[float, ...]]:
    """Of each layer ``SAMPLE_SIZE`` weights of the unit with the longest update, evenly spaced, in units of the largest."""
    return {name: _drawn(tensors, tensors) for name, tensors in by_layer(shared).items()}


def by_layer(update: Gradients) -> dict[str, list[Tensor]]:
    """The tensors of each layer, weight and bias together, under its module's name, in the update's order."""
    layers: dict[str, list[Tensor]] = {}
    for name, tensor in update.items():
        layers.setdefault(name.rpartition(".")[0], []).append(tensor)
    return layers


def _flat(tensors: list[Tensor]) -> Tensor:
    """All numbers of one layer in float64: cosines near 1 would drown in float32."""
    return torch.cat([tensor.detach().flatten().cpu().double() for tensor in tensors])


def _drawn(candidate: list[Tensor], shared: list[Tensor]) -> tuple[float, ...]:
    """The numbers of the candidate in the places that ``sample_entries`` describes; zeros where the shared ones are zero."""
    units = _units(shared)
    unit = int(units.norm(dim=1).argmax())
    own = candidate[0].detach().reshape(units.shape)[unit]
    places = _spread(len(own), SAMPLE_SIZE)
    size = float(units[unit][places].abs().max())
    return tuple((own[places].double() / size).tolist()) if size else (0.0,) * len(places)


def _units(tensors: list[Tensor]) -> Float[Tensor, "units numbers"]:
    """The weights of a layer, a row for each unit; its only tensor as one row where that has no more than one axis."""
    first = tensors[0].detach()
    return first.flatten(1) if first.dim() > 1 else first.unsqueeze(0)


def _spread(count: int, most: int) -> Int[Tensor, " places"]:
    """At most so many places among ``count``, evenly spaced, the first and the last among them."""
    return torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).round().long()


def _sheet(candidate: list[Tensor], shared: list[Tensor]) -> LayerSample:
    units = _units(shared)
    rows, places = _spread(len(units), SAMPLED_UNITS), _spread(units.shape[1], SAMPLE_SIZE)
    sent = units.cpu()[rows][:, places].double()
    guess = candidate[0].detach().cpu().reshape(units.shape)[rows][:, places].double()
    size = float(sent.abs().max()) or 1.0
    return LayerSample(len(rows), tuple((sent / size).flatten().tolist()), tuple((guess / size).flatten().tolist()))


def _match(name: str, own_tensors: list[Tensor], shared_tensors: list[Tensor]) -> LayerMatch:
    candidate, shared = _flat(own_tensors), _flat(shared_tensors)
    own, other = float(candidate.norm()), float(shared.norm())
    return LayerMatch(
        name=name,
        count=len(shared),
        shared_norm=other,
        candidate_norm=own,
        ratio=own / other if other else None,
        cosine=float(candidate @ shared) / (own * other) if own and other else None,
        drawn=_drawn(own_tensors, shared_tensors),
    )
