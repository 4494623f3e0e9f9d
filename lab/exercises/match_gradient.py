"""Lesson 3: the matching loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lab.exercises.base import Case, Exercise
from lab.networks.base import Activation
from lab.networks.mlp import MLP
from lab.types import Images, Labels

STEPS, RATE = 150, 0.05
NEAR = 0.05
"""The share of the starting cost that a loop may leave over; a right one leaves far less."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """A grey and a colour picture, both from a grey start, on a smooth network."""
    for shape in ((1, 5, 5), (3, 4, 4)):
        model = MLP(depth=2, width=12, activation=Activation.SIGMOID).build(shape, 3, generator)
        picture, y = torch.rand(1, *shape, generator=generator), torch.tensor([1])
        watched = Watched(model, y)
        shared = [tensor.detach() for tensor in watched(picture)]
        start = torch.full_like(picture, 0.5)
        watched.calls = 0
        yield Case((watched, shared, start, STEPS, RATE), _judge(watched, shared, start), f"on a picture of shape {shape}")


class Watched:
    """The client's rule as the server simulates it: x to a list of tensors, in the graph of x. Counts its calls."""

    def __init__(self, model: torch.nn.Module, y: Labels) -> None:
        self.model, self.y, self.calls = model, y, 0

    def __call__(self, x: Images) -> list[Tensor]:
        """The gradient that a client would send for x, one tensor for each parameter."""
        self.calls += 1
        value = functional.cross_entropy(self.model(x), self.y)
        return list(torch.autograd.grad(value, list(self.model.parameters()), create_graph=True))

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        """The same counter wherever it is handed."""
        return self


def _judge(watched: Watched, shared: list[Tensor], start: Images) -> Callable[[Any], str]:
    def cost(x: Images) -> float:
        return float(sum((a.detach() - b).square().sum() for a, b in zip(watched(x), shared, strict=True)))

    def judge(answer: Any) -> str:
        calls = watched.calls
        form = _form(answer, start)
        if form:
            return form
        if calls < STEPS:
            return f"the gradient was computed {calls} times in {STEPS} steps: compare anew at each step."
        if answer.equal(start):
            return "this is the start, unmoved: give the picture that the optimiser has moved."
        left = cost(answer) / cost(start)
        return _progress(left, answer, start, watched)

    return judge


def _form(answer: Any, start: Images) -> str:
    if not isinstance(answer, Tensor) or answer.shape != start.shape:
        return f"give the picture that was found, a tensor of shape {tuple(start.shape)}."
    if answer.requires_grad:
        return "the picture still hangs in the graph of the loop; give `x.detach()`."
    if not answer.isfinite().all():
        return "the picture holds numbers that are not finite: the steps are too long."
    return ""


def _progress(left: float, answer: Images, start: Images, watched: Watched) -> str:
    if left <= NEAR:
        return ""
    own, before = (sum(float(t.detach().square().sum()) for t in watched(x)) for x in (answer, start))
    if left > 1 and own < before:
        return "your loop makes the candidate's gradient vanish; it should equal the shared one: subtract g*."
    if left > 1:
        return "the cost has grown: walk against its gradient, x - rate * d cost / dx, not along it."
    return f"the cost fell to {left:.0%} of its start only; clear the gradient before each step, and sum over all tensors."


EXERCISE = Exercise(
    lesson=3,
    task="match_gradient(gradient_of, shared, x, steps, rate): move x until gradient_of(x) matches shared, and return it",
    praise="That is Deep Leakage from Gradients, complete. All that follows in this course is a better cost and a better step.",
    cases=cases,
)
