"""One round with its truth: what the judge alone may hold."""

from __future__ import annotations

from dataclasses import dataclass

from lab.client.batch import Batch
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Inputs


@dataclass(frozen=True, eq=False)
class Round:
    """One round of training: the truth beside, never inside, what the server observes."""

    batch: Batch
    clean_update: Gradients
    observation: Observation
    line_up: Inputs
    """Inputs to pick the secret from: the first is the first private one, the others are decoys."""


@dataclass(frozen=True, eq=False)
class RoundWithoutTruth:
    """An update that somebody sent, whose truth nobody here knows: what is found is held against the update alone."""

    observation: Observation
