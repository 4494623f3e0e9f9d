"""Proposition 3.1: a fully connected layer gives its input away as a ratio of two shared numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

from lab.lazy import Tensor, nn, torch

from lab.attacks.base import Attack, AttackState, Outcome, final_state, uninformed
from lab.attacks.closed_form.head_consistency import at_best_scale, determines_scale, head_residual
from lab.attacks.closed_form.linear_layers import CONSISTENT_RESIDUAL, RecoveredInput, recover_layer_inputs
from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, fit
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.labels.llg import label_of_one, multi_labels, recover_labels
from lab.federated.inputs import built, tree_map
from lab.federated.observation import LabelSource, Observation
from lab.federated.rounding import rounding
from lab.federated.tensors import Inputs, Labels, Targets
from lab.modalities.base import modality_of
from lab.options.fields import Bounds, Help
from lab.options.words import percent

ROUNDING_FACTOR = 4.0
"""The client rounded its weights and so does the picture's own run: both together stay below so many times the one."""


SCALE_REFINEMENTS = 9
"""So often the neighbourhood of a scale that is to be told is looked at closer."""
ZERO_PAIR = (
    "Of {name} a low-rank pair B A trains, and B is zero, as in a client's first round: of the {inputs} numbers that enter it "
    "only {rank} sums are told."
)


@dataclass(frozen=True)
class Analytic(Attack):
    """x = (dL/dW_i) / (dL/db_i) for any unit i with dL/db_i != 0 (Geiping et al. 2020, Proposition 3.1)."""

    row: Annotated[int | None, Bounds(0, 100_000), Help("which unit to divide by; empty takes the largest |dL/db_i|")] = None

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """One state: the input where the network is fully connected, else the features entering the head.

        Raises ``LabError`` where ``row`` names a unit that the layer does not have or that is silent.
        """
        readings = recover_layer_inputs(observation, self.row)
        state = AttackState(1, 1, uninformed(observation), float("nan"), {}, labels=_labels(observation))
        if not readings:
            outcome, note = why_not_recovered(observation)
            yield final_state(observation, state, outcome, note)
            return
        readings[-1] = first = _at_told_scale(readings[-1], observation)
        is_input = isinstance(observation.network.features, nn.Identity)
        found = _as_input(first, observation) if is_input else None
        outcome, note = diagnose(readings, observation, found)
        kept = _kept(first, observation) if outcome is ClosedFormOutcome.EXACT else None
        if kept is not None:
            found, outcome = _as_input(kept, observation), ClosedFormOutcome.DROPPED_INPUT
        state = replace(
            state,
            candidate=state.candidate if found is None else found,
            objective=first.residual,
            terms={"residual": first.residual},
            features=first.recovered_input.unsqueeze(0),
        )
        yield final_state(observation, state, outcome, note)


def _at_told_scale(reading: RecoveredInput, observation: Observation) -> RecoveredInput:
    """What enters a low-rank pair, whose length the logits tell: dL/dz turns with it; as it is where they do not."""
    alone = observation.batch_size == observation.local_steps == 1
    labels = _labels(observation) if reading.is_pair and reading.up_to_scale and alone else None
    if labels is None:
        return reading

    def left(inputs: Tensor) -> float:
        return head_residual(observation, inputs, labels)

    inputs, least = at_best_scale(left, reading.recovered_input.unsqueeze(0), SCALE_REFINEMENTS)
    told = least <= CONSISTENT_RESIDUAL and determines_scale(left, inputs, least)
    return replace(reading, recovered_input=inputs[0], up_to_scale=False) if told else reading


def why_not_recovered(observation: Observation) -> tuple[Outcome, str]:
    """Why ``recover_layer_inputs`` gave nothing, with a number."""
    layers = list(reversed(observation.network.linear_layers))
    if not observation.protocol.is_linear:
        return ClosedFormOutcome.DIVIDED_STEPS, f"{observation.local_steps} local steps."
    if not layers:
        return ClosedFormOutcome.NO_LINEAR_LAYER, "0 fully connected layers."
    pairs = {name: observation.update[f"{name}.down"] for name in layers if f"{name}.down" in observation.update}
    for name, numbers in pairs.items():
        if not numbers.any():
            first = ZERO_PAIR.format(name=name, rank=len(numbers), inputs=f"{numbers.shape[1]:,}")
            return ClosedFormOutcome.NOT_SENT, first
    if pairs:
        return ClosedFormOutcome.NOT_SENT, f"Of {' and '.join(pairs)} low-rank pairs alone were sent."
    unsent = [name for name in layers if f"{name}.weight" not in observation.update]
    if unsent:
        return ClosedFormOutcome.NOT_SENT, f"Nothing of {' and '.join(unsent)} was sent."
    return ClosedFormOutcome.DEAD_UNITS, "A fully connected layer has a gradient of 0 throughout."


def _kept(reading: RecoveredInput, observation: Observation) -> RecoveredInput | None:
    """What stayed on of a layer's inputs under dropout, the others zero; None where all did."""
    from lab.attacks.matching.dropped_features import detect_dropped  # imported here: it needs torch

    dropped = detect_dropped(observation)
    mask = None if dropped is None else dropped.mask(reading.name)
    if mask is None:
        return None
    recovered = reading.recovered_input
    return replace(reading, recovered_input=torch.where(mask > 0, recovered / mask, torch.zeros_like(recovered)))


def _as_input(reading: RecoveredInput, observation: Observation) -> Inputs:
    """What entered the head as an input of its kind, in the place of every input of the batch."""
    entered = _as_entered(reading.recovered_input, observation)
    if reading.up_to_scale:
        found = modality_of(observation.modality).at_some_scale(entered, observation)
    else:
        found = observation.network.normalise.inverse(entered)
    return tree_map(lambda tensor: tensor.detach().expand(observation.batch_size, *tensor.shape[1:]).clone(), found)


def _as_entered(vector: Tensor, observation: Observation) -> Tensor:
    """What entered the head, in the shape in which the network's input_transform gives it, a batch of one."""
    with torch.no_grad():
        like = observation.network.normalise(built(observation.input_shape, lambda shape: vector.new_zeros(1, *shape)))
    return vector.reshape(like.shape)


def diagnose(readings: list[RecoveredInput], observation: Observation, found: Inputs | None) -> tuple[Outcome, str]:
    """What the lowest reading is worth, the first reason why it is not exact, and a number; ``found`` where it is an input."""
    reading = readings[-1]
    if observation.batch_size > 1:
        return ClosedFormOutcome.MIXTURE, ""
    if observation.local_steps > 1 and (found is None or not (reading.has_bias or reading.up_to_scale)):
        return ClosedFormOutcome.AFTER_LOCAL_STEPS, ""
    if reading.residual > CONSISTENT_RESIDUAL:
        return ClosedFormOutcome.INCONSISTENT, ""
    if observation.local_steps > 1 and found is not None and not reading.up_to_scale:
        return after_steps(observation, found)
    residual, allowed = _head_residual(readings, observation), CONSISTENT_RESIDUAL
    if observation.local_steps > 1:
        allowed = max(allowed, ROUNDING_FACTOR * rounding(observation))
    if residual > allowed:
        return (
            ClosedFormOutcome.INCONSISTENT,
            f"One input fits {reading.name}, but leaves {percent(residual)} of the other numbers unexplained.",
        )
    if reading.up_to_scale:
        return ClosedFormOutcome.UP_TO_SCALE, "" if found is None else modality_of(observation.modality).scale_note
    return ClosedFormOutcome.FEATURES_ONLY if found is None else ClosedFormOutcome.EXACT, ""


def _head_residual(readings: list[RecoveredInput], observation: Observation) -> float:
    """What the lowest reading, though it fits its own layer, leaves unexplained of the others."""
    lowest, labels = readings[-1], observation.labels
    if labels is None:
        labels = _labels_by(readings[0].output_gradient, observation)

    def residual(inputs: Tensor) -> float:
        if observation.local_steps == 1:
            return head_residual(observation, inputs, labels)
        return fit(observation, observation.network.normalise.inverse(_as_entered(inputs, observation))).residual

    inputs = lowest.recovered_input.unsqueeze(0)
    return at_best_scale(residual, inputs)[1] if lowest.up_to_scale else residual(inputs)


def _labels_by(logit_gradient: Tensor, observation: Observation) -> Targets:
    """One picture's labels, by its dL/dlogits."""
    loss = observation.loss
    if loss.takes_rows and observation.classes > 1:
        return (logit_gradient < 0).to(logit_gradient).unsqueeze(0)
    return label_of_one(logit_gradient) if loss.label_has_lowest_gradient else recover_labels(observation)


def after_steps(observation: Observation, found: Inputs) -> tuple[Outcome, str]:
    """What the input of a network's first layer is worth, read as one ratio after several local steps.

    One input enters that layer unchanged at every step: sums of gradients, however weighted (SGD, momentum), are
    sum_k c_k dz_k x^T and sum_k c_k dz_k, and their ratio is x. Steps of Adam give sign(x) instead, which fits as well;
    so the claim is that the input's own steps send the shared numbers, but for their length.
    """
    fitted, rounded = fit(observation, found), rounding(observation)
    spoken = modality_of(observation.modality).one
    note = f"{observation.local_steps} local steps; the {spoken}'s own update is {percent(fitted.residual)} off"
    note += f", where rounding the weights alone makes {percent(rounded)}."
    confirmed = fitted.residual <= max(EXACT_MISMATCH, ROUNDING_FACTOR * rounded)
    return ClosedFormOutcome.UNMOVED_INPUT if confirmed else ClosedFormOutcome.UNCONFIRMED_RATIO, note


def _labels(observation: Observation) -> Labels | None:
    """The labels where they are known or can be read off, one for each picture; the algebra itself needs none."""
    if observation.label_source is LabelSource.INFERRED:
        return recover_labels(observation) if multi_labels(observation) is None else None
    rows = observation.labels is not None and observation.labels.is_floating_point()
    return None if rows else observation.labels
