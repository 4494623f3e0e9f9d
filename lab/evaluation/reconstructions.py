"""What an attack found, paired with the private inputs."""

from __future__ import annotations

from lab.lazy import Tensor

from lab.attacks.base import AttackState
from lab.evaluation.round import Round
from lab.evaluation.truth import Truth
from lab.federated.inputs import first, moved_to, rows
from lab.federated.tensors import Inputs
from lab.modalities.base import modality_of


def paired(truth: Truth, state: AttackState) -> tuple[Inputs, Tensor]:
    """The candidate as inputs, and for each private one the place of its reconstruction in it."""
    candidate = truth.modality.decode(moved_to(state.candidate, first(truth.inputs)), truth.observation)
    return candidate, truth.modality.pair(truth.inputs, candidate)


def decoded(attacked: Round, state: AttackState) -> Inputs:
    """What the attack found, as inputs, in the order in which it found them."""
    return modality_of(attacked.observation.modality).decode(state.candidate, attacked.observation)


def reconstructions(attacked: Round, state: AttackState) -> Inputs:
    """What the attack made of each private input, in the private inputs' order."""
    candidate, pairing = paired(Truth.of(attacked), state)
    return rows(candidate, pairing)


def line_up_likeness(attacked: Round, state: AttackState) -> list[float]:
    """How like what the attack made of the first private input is to each suspect of its line-up, the private one first."""
    likeness = modality_of(attacked.observation.modality).likeness
    return likeness(rows(reconstructions(attacked, state), slice(1)), attacked.line_up).tolist()


def main_measure(attacked: Round, state: AttackState) -> float:
    """The modality's main measure, mean over the batch: what a curve shows, without the rest of the scores."""
    truth = Truth.of(attacked)
    candidate, pairing = paired(truth, state)
    return float(truth.modality.measures[truth.modality.main].of(rows(candidate, pairing), truth.inputs).mean())
