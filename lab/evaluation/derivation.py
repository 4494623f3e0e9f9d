"""The derivation of Proposition 3.1 with the numbers of one round: what the algebra panel shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.analytic import Analytic
from lab.attacks.base import Outcome
from lab.attacks.closed_form.linear_layers import RecoveredInput, recover_layer_inputs
from lab.evaluation.layers import head_input, head_input_error
from lab.evaluation.round import Round, RoundWithoutTruth
from lab.federated.inputs import rows
from lab.federated.tensors import Inputs
from lab.modalities.base import Modality, modality_of


@dataclass(frozen=True)
class Condition:
    """One way in which the division can fail: whether it does here, and what happens then."""

    title: str
    applies: bool
    sentence: str


@dataclass(frozen=True, eq=False)
class Derivation:
    """x = (dL/dW_i) / (dL/db_i) for the lowest fully connected layer of one round."""

    layer: str
    row: int
    bias_gradient: Tensor
    """dL/dz of each unit, shape (outputs,): the shared bias gradient where there is a bias."""
    weight_row: Tensor
    """dL/dW_i, shape (inputs,)."""
    recovered: Tensor
    """x, shape (inputs,)."""
    truth: Tensor | None
    """What really entered the layer, shape (pictures, inputs); None where nobody knows."""
    found: Inputs | None
    """The recovered input, a batch of one; None where it is features."""
    max_abs_error: float | None
    residual: float
    outcome: Outcome
    conditions: tuple[Condition, ...]


def derive(attacked: Round | RoundWithoutTruth, row: int | None = None) -> Derivation | None:
    """The derivation for unit ``row`` (the loudest where None); None where no layer can be read at all."""
    observation, network = attacked.observation, attacked.observation.network
    readings = recover_layer_inputs(observation, row)
    if not readings:
        return None
    state = next(iter(Analytic(row=row).reconstruct(observation, torch.Generator())))
    reading = readings[-1]
    gradient = observation.mean_gradient()
    is_input = isinstance(network.features, nn.Identity)
    assert state.outcome is not None
    inputs = attacked.batch.inputs if isinstance(attacked, Round) else None
    return Derivation(
        layer=reading.name,
        row=reading.row,
        bias_gradient=reading.output_gradient,
        weight_row=gradient[f"{reading.name}.weight"][reading.row],
        recovered=reading.recovered_input,
        truth=None if inputs is None else head_input(network, inputs),
        found=rows(state.candidate, slice(1)) if is_input else None,
        max_abs_error=None if inputs is None else head_input_error(network, inputs, reading.recovered_input.unsqueeze(0)),
        residual=reading.residual,
        outcome=state.outcome,
        conditions=conditions(attacked, reading, is_input=is_input),
    )


def conditions(attacked: Round | RoundWithoutTruth, reading: RecoveredInput, *, is_input: bool) -> tuple[Condition, ...]:
    """Every way in which the division can fail, in the order in which a reader asks."""
    observation = attacked.observation
    silent = int((reading.output_gradient.abs() < 1e-12).sum())
    local_steps = observation.local_steps
    modality = modality_of(observation.modality)
    unmoved = is_input and reading.has_bias and observation.batch_size == 1
    return (
        Condition("No bias", not reading.has_bias, _bias_sentence(reading)),
        Condition("A silent unit", silent > 0, _silent_sentence(silent, len(reading.output_gradient), modality)),
        Condition(f"Several {modality.many}", observation.batch_size > 1, _batch_sentence(observation.batch_size, modality)),
        Condition("Local steps", local_steps > 1 and not unmoved, _steps_sentence(local_steps, unmoved=unmoved)),
        Condition("Convolutions below", not is_input, _body_sentence(is_input, modality)),
    )


def _bias_sentence(reading: RecoveredInput) -> str:
    if reading.has_bias:
        return "This layer has a bias, so there is something to divide by. Without one, x would be known only up to its scale."
    if reading.up_to_scale:
        return "No layer has a bias: dL/dW is a column times x, which fixes x only up to its scale."
    return "This layer has no bias, but the layer above tells dL/dz by back-propagation, and the division works again."


def _silent_sentence(silent: int, units: int, modality: Modality) -> str:
    if silent == 0:
        responding = f"All {units} units respond to this {modality.one}."
        return f"{responding} For a silent one both numbers are zero, and 0 / 0 says nothing."
    return f"{silent} of {units} units are silent here: their numbers are zero, and 0 / 0 says nothing. Any other row will do."


def _batch_sentence(count: int, modality: Modality) -> str:
    if count == 1:
        return f"One {modality.one} made this gradient. With several, each row would be a weighted mixture of their inputs."
    return f"{count} {modality.many} were added up, so each ratio is a weighted mixture of {count} inputs, not one of them."


def _steps_sentence(steps: int, *, unmoved: bool) -> str:
    if steps == 1:
        return (
            "The gradient was sent as it is. Local steps would move the weights under way, but not what enters the first "
            "layer: there the ratio stays exact. Below moving layers it becomes approximate."
        )
    if unmoved:
        return (
            f"The client took {steps} local steps, and all weights moved. But the same x entered this layer at each of them: "
            "dL/dW and dL/db are sums with the same weights, and x is still their ratio. Weight decay or Adam would spoil that."
        )
    return (
        f"The client took {steps} local steps: what is divided are sums of {steps} different gradients, so it is approximate."
    )


def _body_sentence(is_input: bool, modality: Modality) -> str:
    if is_input:
        return f"Only fully connected layers here, so the input is the {modality.one}. Below convolutions it would be features."
    return f"Convolutions come first: the algebra gives the features that they hand over, not the {modality.one}."
