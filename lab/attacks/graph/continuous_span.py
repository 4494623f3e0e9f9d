"""Inputs of a layer whose outputs lie in a span: what no list holds is sought by descent, one after another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.graph.bounds import ROUNDS, STARTS, STEPS

IDLE = 3
"""Rounds without a find after which it ends."""
MIN_SPREAD, MAX_SPREAD = 0.3, 1.8
"""Of the starts around zero; what enters has a spread of about 1."""
INSIDE = 1e-4
"""What share of an output may lie outside the span."""
APART = 0.02
"""Of its length by which an input differs from those that were found before."""
GENTLER, STRICTER, FIRST_DAMPING = 0.2, 4.0, 1e-2
"""Factors of Levenberg's damping after a step that was taken and one that was not, and its first value."""


@dataclass(frozen=True, eq=False)
class _Place:
    """Where each start stands."""

    inputs: Tensor
    entering: Tensor
    """W u + b, shape (starts, width)."""
    outside: Tensor
    """What of the outputs lies outside the span."""
    fresh: Tensor
    """What of them lies outside those that were found."""
    share: Tensor
    """How long what is outside is, relative to the whole."""
    cost: Tensor
    """log |outside| - log |fresh|."""


@dataclass(frozen=True, eq=False)
class ContinuousSpan:
    """All u with s(W u + b) in the span of the next layer's gradient.

    Each is sought by Levenberg and Marquardt's steps on the length of what lies outside the span, relative to that of what
    lies outside the outputs that were found already: a find is no longer a minimum, so every round brings others.
    """

    layer: nn.Linear
    activation: nn.Module
    span: RowSpan

    def inputs(self, most: int, generator: torch.Generator) -> Tensor:
        """At most so many, shape (found, entering), those that fit best in each round first."""
        found = torch.zeros(0, self.layer.in_features, dtype=torch.float64)
        idle = 0
        for _ in range(ROUNDS):
            before = len(found)
            found = self._with_new(found, self._sought(found, generator))
            idle = 0 if len(found) > before else idle + 1
            if len(found) >= most or idle == IDLE:
                break
        return found[:most]

    def outputs(self, inputs: Tensor) -> Tensor:
        """s(W u + b)."""
        with torch.no_grad():
            return self.activation(self.layer(inputs))

    def _with_new(self, found: Tensor, place: _Place) -> Tensor:
        for start in place.share.argsort().tolist():
            one = place.inputs[start : start + 1]
            if float(place.share[start]) > INSIDE:
                break
            if not len(found) or float((found - one).norm(dim=1).min()) > APART * max(float(one.norm()), 1.0):
                found = torch.cat([found, one])
        return found

    def _sought(self, found: Tensor, generator: torch.Generator) -> _Place:
        """Where starts end that were drawn around zero."""
        basis = torch.linalg.qr(self.outputs(found).T)[0]
        entering = self.layer.in_features
        spread = MIN_SPREAD + (MAX_SPREAD - MIN_SPREAD) * torch.rand(STARTS, 1, generator=generator, dtype=torch.float64)
        drawn = torch.randn(STARTS, entering, generator=generator, dtype=torch.float64)
        place = self._place(spread * drawn, basis)
        damping = torch.full((STARTS, 1, 1), FIRST_DAMPING, dtype=torch.float64)
        for _ in range(STEPS):
            tried = self._place(place.inputs + self._step(place, damping), basis)
            better = tried.cost < place.cost
            kept = [_chosen(better, *pair) for pair in zip(vars(tried).values(), vars(place).values(), strict=True)]
            place = _Place(*kept)
            damping = (damping * torch.where(better, GENTLER, STRICTER).view(-1, 1, 1)).clamp(1e-14, 1e4)
        return place

    def _place(self, inputs: Tensor, basis: Tensor) -> _Place:
        with torch.no_grad():
            entering = self.layer(inputs)
            outputs = self.activation(entering)
        outside = outputs - (outputs @ self.span.basis.T) @ self.span.basis
        fresh = outputs - (outputs @ basis) @ basis.T
        lengths = [part.norm(dim=1).clamp_min(1e-300) for part in (outside, fresh, outputs)]
        return _Place(inputs, entering, outside, fresh, lengths[0] / lengths[2], lengths[0].log() - lengths[1].log())

    def _step(self, place: _Place, damping: Tensor) -> Tensor:
        """Of outside / |fresh|, up to its length: J = d outside - outside (fresh . d outputs) / |fresh|^2."""
        with torch.enable_grad():
            entering = place.entering.detach().requires_grad_()
            (slopes,) = torch.autograd.grad(self.activation(entering).sum(), entering)
        whole = slopes.unsqueeze(2) * self.layer.weight.detach()
        shrinking = -(whole.mT @ place.fresh.unsqueeze(2)) / place.fresh.square().sum(1).clamp_min(1e-300).view(-1, 1, 1)
        jacobian = whole - self.span.basis.T @ (self.span.basis @ whole) + place.outside.unsqueeze(2) * shrinking.mT
        normal, down = jacobian.mT @ jacobian, -(jacobian.mT @ place.outside.unsqueeze(2))
        size = normal.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-300).view(-1, 1, 1)
        return torch.linalg.solve(normal + damping * size * torch.eye(normal.shape[-1], dtype=normal.dtype), down)[:, :, 0]


def _chosen(better: Tensor, tried: Tensor, kept: Tensor) -> Tensor:
    return torch.where(better.view(-1, *[1] * (kept.dim() - 1)), tried, kept)
