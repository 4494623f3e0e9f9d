"""One observation as the layer-by-layer inversion sees it: in double precision, read from the top, with its noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.analytic import after_steps, why_not_recovered
from lab.attacks.base import AttackState
from lab.attacks.closed_form.batch import HeadInputs, recover_head_inputs
from lab.attacks.closed_form.chain import Link, Obstacle, chain, obstacle
from lab.attacks.closed_form.layer_output import Progress
from lab.attacks.closed_form.layerwise import LayerwiseInversion
from lab.attacks.closed_form.linear_layers import RecoveredInput, recover_layer_inputs
from lab.attacks.closed_form.local_steps import after_local_steps
from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, MATCHING_FLOOR, fit, in_double, mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.spatial.blockwise import BlockwiseInversion
from lab.attacks.closed_form.spatial.feature_inversion import Box
from lab.attacks.closed_form.spatial.topmost_convolution import TopmostConvolution, find_topmost_convolution
from lab.attacks.closed_form.system import Noise
from lab.attacks.matching.dropped_features import detect_dropped
from lab.federated.inputs import first
from lab.federated.observation import LabelSource, Observation
from lab.federated.singular_values import noise_behind, rank_of
from lab.federated.tensors import Gradients, Images
from lab.options.words import percent, rounded

BOX_TOLERANCE = 0.02
"""So far beyond 0 or 1 may rounding carry a pixel."""
PROJECTIONS = 20
"""Between the equations and the box; most is gained in the first few."""
HIDES_POSITIONS = (ClosedFormOutcome.PEEL_MAX_POOLING, ClosedFormOutcome.PEEL_SKIP)
"""Verdicts on a body below whose head no single unit can be told, though the gradients of its convolutions may."""
FLOAT32_NOISE = 1e-5
"""Relative noise up to which the shared numbers count as plain float32."""
NOISE_FACTOR = 2.0
"""A mismatch up to this many times the noise is as good as the truth's own."""
EXPLAINING = (
    ClosedFormOutcome.PEELED,
    ClosedFormOutcome.STRAIGHTENED,
    ClosedFormOutcome.EXACT,
    ClosedFormOutcome.SET_APART,
    ClosedFormOutcome.UNMOVED_INPUT,
)
"""Verdicts of a picture that explains every shared number: nothing is left for gradient matching to do."""
UNDERDETERMINED = (ClosedFormOutcome.PEEL_OPEN, ClosedFormOutcome.PEEL_RANK)
"""Verdicts of equations that hold, but leave more open: matching from its own start chooses, and they are met at last."""
KEPT_WITHOUT_MATCHING = (*EXPLAINING, ClosedFormOutcome.PEEL_CLOSE)
"""And of one that explains so much of them that matching would lead away from it."""


class Inversion:
    """One observation in double precision, read from the top.

    ``corrected`` is the same observation in double precision without the drift of its local steps, where that is
    known by now.
    """

    def __init__(self, observation: Observation, corrected: Observation | None = None) -> None:
        self.observation = observation
        self.shares_anything = any(bool(tensor.any()) for tensor in observation.update.values())
        self.precise = corrected or in_double(observation)
        self.gradients = self.precise.mean_gradient() if self.precise.protocol.is_linear else dict[str, Tensor]()
        readings = recover_layer_inputs(self.precise)
        self.readings = [] if any(one.is_pair for one in readings) else readings  # the way down takes whole layers
        self.links = chain(self.precise.network, observation.image_shape, observation.batch_size)
        self.noise = _noise(self.readings, self.gradients, observation.batch_size)
        self.last = Progress((), None)
        self.layerwise: LayerwiseInversion | None = None

    @cached_property
    def head(self) -> HeadInputs | None:
        """What entered the head, picture by picture, and the loss's gradient there; None where that cannot be told.

        Of one picture by least squares over all units: x = dW^T dz / |dz|^2.
        """
        if not self.readings:
            return None
        if self.observation.batch_size > 1:
            if self.unsent:
                return None
            return recover_head_inputs(self.precise, self.gradients)
        lowest = self.readings[-1]
        weight = dict(self.precise.network.named_parameters())[f"{lowest.name}.weight"].detach()
        inputs, input_gradients = _least_squares_input(lowest, self.gradients), weight.T @ lowest.output_gradient
        return HeadInputs(inputs.unsqueeze(0), input_gradients.unsqueeze(0))

    @property
    def unsent(self) -> list[str]:
        """Parameters of layers that are solved by their gradients, and of which the update holds none."""
        read = (nn.Linear, nn.Conv2d, nn.BatchNorm2d)
        layers = [name for name, module in self.precise.network.named_modules() if isinstance(module, read)]
        weights = dict(self.precise.network.named_parameters())
        names = (f"{layer}.{part}" for layer in layers for part in ("weight", "bias"))
        return [name for name in names if name in weights and name not in self.gradients]

    @property
    def features(self) -> Float[Tensor, "pictures features"] | None:
        """The input of the head, shape (pictures, features)."""
        return None if self.head is None else self.head.inputs

    def obstacle(self) -> Obstacle | None:
        """What keeps the inversion from beginning."""
        if not self.readings:
            return Obstacle(*why_not_recovered(self.observation))
        if self.unsent:
            return Obstacle(ClosedFormOutcome.NOT_SENT, f"Nothing of {' and '.join(self.unsent)} was sent.")
        if self.head is None:
            return Obstacle(ClosedFormOutcome.PEEL_BATCH, _batch_note(self.observation, self.gradients))
        if self.observation.batch_size == 1 and self.readings[-1].up_to_scale:
            return Obstacle(ClosedFormOutcome.UP_TO_SCALE, f"{self.readings[-1].name} has no bias to divide by.")
        if self.body_obstacle is None or self.topmost is None:
            return self.body_obstacle
        return (
            replace(self.body_obstacle, note=f"{self.body_obstacle.note} {self.topmost.shortcoming}")
            if self.topmost.shortcoming
            else None
        )

    @cached_property
    def body_obstacle(self) -> Obstacle | None:
        """What in the body hides single units; None where nothing does."""
        return obstacle(self.links)

    @cached_property
    def topmost(self) -> TopmostConvolution | None:
        """Where the places come to light again of a body that hides them; None for one that does not, or for good.

        All digits of one picture's own gradient are needed for that.
        """
        if self.body_obstacle is None or self.body_obstacle.outcome not in HIDES_POSITIONS or self.head is None:
            return None
        if self.observation.batch_size > 1 or self.observation.local_steps > 1 or self.noise.relative > FLOAT32_NOISE:
            return None
        return find_topmost_convolution(self.links, self.gradients, self.head.input_gradients.view(self._output_shape()))

    def invert(self, state: AttackState) -> Iterator[AttackState]:
        """States of the way down; each state's objective is its picture's mismatch, once there is a picture."""
        head = self.head
        assert head is not None
        shape = self._output_shape()
        if not self.links:
            yield self._state(state, Progress((), head.inputs.view(shape)), 1)
            return
        for iteration, progress in enumerate(
            self._layer_by_layer(head.inputs.view(shape), head.input_gradients.view(shape)), start=1
        ):
            self.last = progress
            yield self._state(state, progress, iteration)

    def _layer_by_layer(self, features: Tensor, output_gradient: Tensor) -> Iterator[Progress]:
        if self.topmost is None:
            self.layerwise = LayerwiseInversion(self.links, _convolution_gradients(self.links, self.gradients), self.noise)
            return self.layerwise.run(features, output_gradient)
        black = torch.zeros((1, *self.observation.image_shape), dtype=torch.float64)
        box = Box(*(self.precise.network.normalise(pixels) for pixels in (black, black + 1)))
        return BlockwiseInversion(self.links, self.gradients, self.topmost).run(box)

    def _output_shape(self) -> tuple[int, ...]:
        if not self.links:
            return (self.observation.batch_size, *self.observation.image_shape)
        topmost = self.links[-1]
        with torch.no_grad():
            return tuple(topmost.module(torch.zeros(topmost.input_shape, dtype=torch.float64)).shape)

    def _state(self, state: AttackState, progress: Progress, iteration: int) -> AttackState:
        candidate, objective, terms = state.images, math.nan, {}
        if progress.picture is not None:
            pixels = first(self.precise.network.normalise.inverse(progress.picture))
            candidate = pixels.detach().to(state.images)
            objective = mismatch(self.observation, candidate)
            terms = {"mismatch": objective}
        if progress.layers:
            terms["residual"] = progress.layers[-1].residual
        planned = max(iteration, sum(isinstance(link.module, nn.Conv2d) for link in self.links))
        return replace(
            state,
            iteration=iteration,
            iterations=planned,
            candidate=candidate,
            objective=objective,
            terms=terms,
            features=self.features,
            layers=progress.layers,
        )

    def verdict(self, state: AttackState) -> Obstacle:
        """What the picture is worth, the first reason why it is not exact, and its length where that is not as told."""
        found = self._verdict(state)
        if not math.isfinite(state.objective):
            return found
        return replace(found, note=f"{found.note}{fit(self.observation, state.images).note}")

    def _verdict(self, state: AttackState) -> Obstacle:
        residual = state.objective
        if self.observation.local_steps > 1:
            if not self.links and self.observation.batch_size == 1 and self.readings[-1].has_bias:
                return Obstacle(*after_steps(self.observation, state.images))
            found = after_local_steps(self.observation, residual)
            if (
                found.outcome is ClosedFormOutcome.STRAIGHTENED and self.is_underdetermined
            ):  # rounding may carry its pixels far out of the box
                return Obstacle(ClosedFormOutcome.PEEL_OPEN, f"{self._ambiguity(state)} {found.note}")
            return found
        several = self.observation.batch_size > 1
        ambiguity = self._ambiguity(state)
        if residual <= EXACT_MISMATCH and self.noise.relative <= FLOAT32_NOISE:
            return Obstacle(ClosedFormOutcome.PEEL_OPEN, ambiguity) if ambiguity else self._exact(residual)
        if residual <= MATCHING_FLOOR and self.noise.relative <= FLOAT32_NOISE and not self.is_underdetermined:
            return Obstacle(
                ClosedFormOutcome.PEEL_CLOSE, f"The picture found is {percent(residual)} off. {self.last.note}".rstrip()
            )
        if several and not state.layers:
            return Obstacle(ClosedFormOutcome.PEEL_INEXACT, f"Set apart, but the pictures found are {percent(residual)} off.")
        return self._shortcoming(state, residual)

    def _exact(self, residual: float) -> Obstacle:
        several = self.observation.batch_size > 1
        if several:
            outcome = ClosedFormOutcome.SET_APART
        elif self.links:
            outcome = ClosedFormOutcome.PEELED
        else:
            outcome = ClosedFormOutcome.EXACT if detect_dropped(self.observation) is None else ClosedFormOutcome.DROPPED_INPUT
        whose = "pictures'" if several else "picture's"
        note = f"The {whose} own gradient differs from the shared one by {rounded(residual, 2)} of its size."
        return Obstacle(outcome, f"{note} {self.last.note}".rstrip())

    @property
    def is_underdetermined(self) -> bool:
        """Whether the equations are fewer than the unknowns, so that whoever meets them has still to choose."""
        return self.last.underdetermined is not None

    def _ambiguity(self, state: AttackState) -> str:
        """Why a picture that explains what was shared need not be the private one; empty where nothing speaks against it."""
        underdetermined, low, high = self.last.underdetermined, float(state.images.min()), float(state.images.max())
        if underdetermined is not None:
            return _rank_note(underdetermined)
        if low < -BOX_TOLERANCE or high > 1 + BOX_TOLERANCE:
            return f"No picture has pixels from {low:.2f} to {high:.2f}."
        return ""

    def nearest_consistent(self, images: Images) -> Images:
        """The picture nearest to these that solves what was told of the lowest layers, its pixels in the box.

        The private picture does so, too: each step towards all that do, and into the box, is one that comes nearer to it.
        """
        if self.layerwise is None or not self.layerwise.anchors:
            return images
        found = images.to("cpu", torch.float64)
        for _ in range(PROJECTIONS):
            solved = self.layerwise.nearest_solution(self.precise.network.normalise(found))
            found = first(self.precise.network.normalise.inverse(solved)).clamp(0, 1)
        return found.detach().to(images)

    def _shortcoming(self, state: AttackState, residual: float) -> Obstacle:
        noise = self.noise.relative
        if not math.isfinite(residual):
            return Obstacle(ClosedFormOutcome.PEEL_INEXACT, self.last.note or "No picture was reached.")
        if noise > FLOAT32_NOISE and residual <= NOISE_FACTOR * noise:
            return Obstacle(
                ClosedFormOutcome.PEEL_NOISE,
                f"Noise of {percent(noise)} of the gradient; the picture found is {percent(residual)} off.",
            )
        underdetermined = self.last.underdetermined
        if underdetermined is not None:
            return Obstacle(ClosedFormOutcome.PEEL_RANK, _rank_note(underdetermined))
        if self.topmost is None and state.layers and state.layers[0].forward_equations == 0:
            return Obstacle(ClosedFormOutcome.DEAD_UNITS, f"{state.layers[0].name}: 0 of its units are active.")
        if noise > FLOAT32_NOISE:
            return Obstacle(
                ClosedFormOutcome.PEEL_NOISE,
                f"Noise of {percent(noise)} of the gradient; the picture found is {percent(residual)} off.",
            )
        return Obstacle(ClosedFormOutcome.PEEL_INEXACT, f"The picture found is {percent(residual)} off the shared numbers.")


def picture_of(state: AttackState) -> dict[str, Any]:
    """The picture, its mismatch and the layers behind it, to carry into a later state that explains less."""
    return {"candidate": state.candidate, "objective": state.objective, "layers": state.layers}


def _least_squares_input(reading: RecoveredInput, gradients: Gradients) -> Tensor:
    output_gradient = reading.output_gradient
    return gradients[f"{reading.name}.weight"].T @ output_gradient / output_gradient.square().sum()


def _noise(readings: list[RecoveredInput], gradients: Gradients, pictures: int) -> Noise:
    """The noise level from what of the lowest linear layer's gradient is not of the rank of the batch."""
    if not readings:
        return Noise(0.0, 0.0, 0.0)
    reading, weight = readings[-1], gradients[f"{readings[-1].name}.weight"]
    if pictures == 1:  # whose dL/dz is told by itself, and takes no direction from the noise
        residual = weight - torch.outer(reading.output_gradient, _least_squares_input(reading, gradients))
        level = float(residual.norm()) / math.sqrt(max(1, (weight.shape[0] - 1) * weight.shape[1]))
    else:
        level = noise_behind(torch.linalg.svdvals(weight), weight.shape, pictures)
    total = math.sqrt(sum(float(tensor.square().sum()) for tensor in gradients.values()))
    count = sum(tensor.numel() for tensor in gradients.values())
    size = max(float(reading.output_gradient.norm()), 1e-300)
    return Noise(level, level / size, level * math.sqrt(count) / max(total, 1e-300))


def _convolution_gradients(links: list[Link], gradients: Gradients) -> Mapping[str, Tensor]:
    return {link.name: gradients[f"{link.name}.weight"] for link in links if isinstance(link.module, nn.Conv2d)}


def _rank_note(layer: LayerRecovery) -> str:
    """By how much a layer's equations are too few."""
    return f"{layer.name}: {layer.equations:,} equations of rank {layer.rank:,} for {layer.unknowns:,} unknowns."


def _batch_note(observation: Observation, gradients: Gradients) -> str:
    pictures = f"{observation.batch_size} pictures"
    layers = [name for name, module in observation.network.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        return f"{pictures}."
    sizes = torch.linalg.svdvals(gradients[f"{layers[-1]}.weight"])
    rank = rank_of(sizes, 1e-5)
    return f"{pictures}: the gradient of {layers[-1]} has rank {rank} where one picture would leave rank 1."


def grey_state(observation: Observation) -> AttackState:
    """The untouched start of a closed form: mid-grey, and nothing known of its objective."""
    shape = (observation.batch_size, *observation.image_shape)
    like = next(iter(observation.update.values()))
    grey = torch.full(shape, 0.5, dtype=like.dtype, device=like.device)
    labels = observation.labels if observation.label_source is LabelSource.KNOWN else None
    return AttackState(0, 1, grey, math.nan, {}, labels=labels)
