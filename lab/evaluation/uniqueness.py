"""How much of a reconstruction the update leaves open: what of a random change no shared number would show."""

from __future__ import annotations

from lab.lazy import Tensor, torch

from lab.attacks.closed_form.cgls import Rows, cgls
from lab.federated.gradients import parameter_gradient
from lab.federated.inputs import as_in, as_mapping
from lab.federated.observation import Observation
from lab.federated.second_derivatives import second_derivatives
from lab.federated.tensors import Inputs, Labels
from lab.randomness import stream

CHANGE = 0.1
"""Of the reconstruction, root mean square: a tenth of the range of a pixel in [0, 1]."""
ITERATIONS = 40
ROUNDING = 1e-5
"""A share of the gradient that single precision loses."""


def null_space_share(seen: Observation, inputs: Inputs, labels: Labels, residual: float) -> float:
    """Of a random change of the inputs the share (of its square) that changes the gradient by less than ``residual``.

    Near 0 where the numbers fix the inputs, 1 where they tell nothing of them; for small changes, at the weights that were
    sent. With J the derivative of the gradient in the inputs: the part of a change d that CGLS on min ||J (d - z)|| leaves.
    """
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in as_mapping(inputs).items()}
    moving = list(leaves.values())
    with torch.enable_grad(), second_derivatives():
        sent = parameter_gradient(seen.network, as_in(inputs, leaves), labels, seen.loss, differentiable=True)
        gradients = list(sent.values())
        weights = [torch.zeros_like(gradient, requires_grad=True) for gradient in gradients]
        pulled = _pull_back(gradients, moving, weights, differentiable=True)

    def forward(change: Tensor) -> Rows:
        """J change: the derivative of <change, J^T w> in w."""
        return torch.autograd.grad((pulled * change).sum(), weights, retain_graph=True, materialize_grads=True)

    def adjoint(rows: Rows) -> Tensor:
        return _pull_back(gradients, moving, rows)

    change = CHANGE * torch.randn(pulled.shape, generator=stream(0, "a change of the picture"), dtype=torch.float32).to(pulled)
    length = sum(float(gradient.detach().square().sum()) for gradient in gradients) ** 0.5
    with second_derivatives():
        target = [rows.detach() for rows in forward(change)]
        found = cgls(forward, adjoint, target, ITERATIONS, floor=max(residual, ROUNDING) * length)
    return float((change - found.solution).square().sum() / change.square().sum())


def _pull_back(gradients: list[Tensor], leaves: list[Tensor], rows: Rows, *, differentiable: bool = False) -> Tensor:
    """J^T rows, of all leaves one after another."""
    products = [(gradient * row).sum() for gradient, row in zip(gradients, rows, strict=True)]
    total = torch.stack(products).sum()
    found = torch.autograd.grad(total, leaves, retain_graph=True, create_graph=differentiable, materialize_grads=True)
    return torch.cat([tensor.flatten() for tensor in found])
