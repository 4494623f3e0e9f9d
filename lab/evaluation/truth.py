"""What a reconstruction is held against: the private inputs, beside decoys of the set that ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.lazy import torch

from lab.attacks.base import AttackState
from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.errors import LabError, quoted
from lab.evaluation.round import Round
from lab.federated.inputs import concatenated, count, rows, shape_of, spoken_shape
from lab.federated.observation import Observation
from lab.federated.tensors import IMAGES, Inputs, Labels
from lab.modalities.base import Modality, modality_of
from lab.options.catalogue import find
from lab.randomness import stream

DECOYS = 7
"""Inputs beside the private one in a line-up."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reconstruction is held against."""

    modality: Modality
    inputs: Inputs
    labels: Labels | None
    line_up: Inputs
    """The first private input, then decoys."""
    observation: Observation | None
    """What the attack saw; without it nothing tells whether it was given its labels, nor what a network's features are."""

    @classmethod
    def of(cls, attacked: Round) -> Truth:
        """That of a simulated round."""
        batch, seen = attacked.batch, attacked.observation
        return cls(modality_of(seen.modality), batch.inputs, batch.labels, attacked.line_up, seen)

    @property
    def told_labels(self) -> bool:
        """Whether labels that the attack names are none of its own finding, as far as is known."""
        return self.observation is None or self.observation.labels is not None


def truth_of(state: AttackState, given: Any, seen: Any) -> Truth:
    """Private inputs beside decoys of the set that ships."""
    modality = modality_of(IMAGES) if seen is None else modality_of(seen.modality)
    batch = given if isinstance(given, Batch) else None
    found = modality.decode(state.candidate, seen)
    inputs = _as_tensors(batch.inputs if batch else given, found, modality)
    modality.refuse(inputs)
    decoys = shipped_set(modality).decoys(inputs, DECOYS, stream(0, "line-up"))
    line_up = concatenated(rows(inputs, slice(1)), modality.alike(decoys, inputs))
    return Truth(modality, inputs, batch.labels if batch else None, line_up, seen)


def _as_tensors(given: Any, found: Inputs, modality: Modality) -> Inputs:
    """The truth as tensors like those found. Raises ``LabError`` where it cannot be them."""
    try:
        if isinstance(found, Mapping):
            inputs = {name: torch.as_tensor(given[name]).detach().to(tensor) for name, tensor in found.items()}
        else:
            inputs = torch.as_tensor(given).detach().to(found)
    except (TypeError, ValueError, RuntimeError, LookupError):
        raise LabError(f"truth = {quoted(given)} is no batch of {modality.many}; give a tensor of their pixels.") from None
    if (count(inputs), shape_of(inputs)) != (count(found), shape_of(found)):
        raise LabError(
            f"truth has the shape {spoken_shape(inputs)}, and the attack found {modality.many} of the shape "
            f"{spoken_shape(found)}; give the private {modality.many} of that shape."
        )
    return inputs


def shipped_set(modality: Modality) -> Dataset:
    """The data set of a modality that needs no file."""
    found = find("dataset", modality.dataset)()
    assert isinstance(found, Dataset)
    return found
