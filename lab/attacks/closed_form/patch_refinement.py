"""The picture that solves the patches' equations, drawn to all else that local steps changed.

A client stores its weights after each step, and rounds them. Of the patch embedding, whose weights are large beside their
change, that takes the digits on which the equations rest (of 1e-4 of the change after five steps at 1e-4), and G's condition
number multiplies what it took. Biases begin at zero and lose hardly any, and the blocks have many more numbers; both depend on
the picture, too. So the picture is moved until its own steps send all tensors alike well,

    sum_n  size_n |u_n - u_n(x)|^2 / |u_n|^2 (t^2 + r_n^2),

r_n being what rounding took of tensor n, for a tolerance t that shrinks. The steps are taken for a single one, and simulated
once for each tolerance (``LongStepSurrogate``). L-BFGS knows from the start how the equations curve: by G G^T.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch

from lab.lazy import Tensor

from lab.attacks.closed_form.mismatch import in_double, known_labels
from lab.attacks.closed_form.patch_equations import PatchEquations
from lab.attacks.matching.local_steps import LongStepSurrogate
from lab.attacks.matching.optimisers.quasi_newton import QuasiNewtonStepper
from lab.attacks.matching.optimisers.stepper import Metric
from lab.federated.gradients import parameter_gradient
from lab.federated.observation import Observation
from lab.federated.rounding import rounding
from lab.federated.second_derivatives import second_derivatives
from lab.federated.tensors import Gradients, Images, Targets

TOLERANCES = (30.0, 0.3)
"""One after another, in units of what the first picture leaves unexplained of the update."""
HISTORY = 50
SPREAD = 0.03
"""Deviation of a pixel from the solution, as far as anybody knows before the equations are asked."""


def refined(observation: Observation, equations: PatchEquations, picture: Images, iterations: int) -> Iterator[Images]:
    """The pictures on the way, from the one that solves the equations; none where its steps explain nothing of the update."""
    surrogate, labels = LongStepSurrogate(in_double(observation)), known_labels(observation)
    like = next(iter(observation.update.values()))
    client = deepcopy(surrogate.observation.network).to(like)
    metric = _metric(observation, equations, like)
    left = surrogate.residual(picture.to("cpu", torch.float64), labels.cpu())
    for share in TOLERANCES:
        difference, _, missing = surrogate.simulated(picture.to("cpu", torch.float64), labels.cpu())
        if missing >= 1:
            return
        own = parameter_gradient(client, picture.to(like), labels)
        target = {name: tensor.to(like) - surrogate.long_step.rate * own[name] for name, tensor in difference.items()}
        match = _Match(client, -surrogate.long_step.rate, labels, _weighted(observation, target, share * left))
        leaf = picture.detach().to(like).clone().requires_grad_()
        stepper = QuasiNewtonStepper([leaf], 1.0, HISTORY, metric)
        for _ in range(-(-iterations // len(TOLERANCES))):
            stepper.step(lambda leaf=leaf, match=match: match(leaf))
            picture = leaf.detach().clone()
            yield picture


def _weighted(observation: Observation, target: Gradients, tolerance: float) -> dict[str, tuple[Tensor, float]]:
    """What each tensor should be, and how much its squared distance to that weighs."""
    rows: dict[str, tuple[Tensor, float]] = {}
    for name, tensor in target.items():
        variance = float(observation.update[name].double().square().mean())
        if variance > 0:
            rows[name] = tensor, 1 / (variance * (tolerance**2 + rounding(observation, name) ** 2))
    return rows


def _metric(observation: Observation, equations: PatchEquations, like: Tensor) -> Metric:
    """(G G^T / s^2 + 1 / SPREAD^2)^-1 on a picture's patches, s being what rounding took of a number of dL/dW."""
    grid, tokens = equations.grid, equations.token_gradients
    variance = float(equations.weight_gradient.square().mean()) * rounding(observation, equations.weight) ** 2
    sizes, vectors = torch.linalg.eigh(tokens @ tokens.T)
    inverse = vectors @ ((sizes.clamp_min(0) / max(variance, 1e-300) + 1 / SPREAD**2) ** -1)[:, None].mul(vectors.T)
    inverse = inverse.to(like)
    return lambda gradient: grid.joined(inverse @ grid.cut(gradient))


class _Match:
    """The weighted distance of a picture's single step, and its gradient left in the leaf."""

    def __init__(self, client: torch.nn.Module, rate: float, labels: Targets, rows: dict[str, tuple[Tensor, float]]) -> None:
        self.client, self.rate, self.labels, self.rows = client, rate, labels, rows

    def __call__(self, leaf: Images) -> float:
        """Of this picture."""
        with second_derivatives(), torch.enable_grad():
            found = parameter_gradient(self.client, leaf, self.labels, differentiable=True)
            parts = [(self.rate * found[name] - goal).square().sum() * weight for name, (goal, weight) in self.rows.items()]
            value = torch.stack(parts).sum() / 2
            (leaf.grad,) = torch.autograd.grad(value, [leaf])
        return float(value.detach())
