"""Lesson 3: the matching loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.course.exercises.base import Case, Exercise, Judge
from lab.federated.tensors import Images, Labels

HIDDEN, CLASSES = 6, 3
"""Units for each part of the picture, and classes."""

STEPS, RATE = 150, 0.05
NEAR = 0.05
"""The share of the starting cost that a loop may leave over, in each tensor; a right one leaves far less."""
PIECES = 25
"""Into so many the steps are divided, to time one of them."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """A grey and a colour picture, both from a grey start, on a smooth network whose tensors each know a part of it."""
    for shape in ((1, 4, 6), (3, 4, 5)):
        model = Parts(shape, generator)
        picture = torch.rand(1, *shape, generator=generator, dtype=torch.float32)
        start = torch.full_like(picture, 0.5)
        watched = Watched(model, model(start).argmin(1))  # the class it believes in least: its gradient is long
        shared = [tensor.detach() for tensor in watched(picture)]
        watched.calls = 0
        case = (watched, shared, start, STEPS, RATE)
        yield Case(case, _judge(watched, shared, start), f"on a picture of shape {shape}", partial(_pace, watched, start))


class Parts(nn.Module):
    """Two layers whose first one sees the picture in parts, a tensor for each: who leaves one out leaves a part unknown."""

    def __init__(self, shape: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        inputs = prod(shape)
        self.cuts = (inputs // 3, inputs // 3, inputs - 2 * (inputs // 3))
        drawn = [torch.randn(HIDDEN, cut, generator=generator, dtype=torch.float32) / cut**0.5 for cut in self.cuts]
        self.parts = nn.ParameterList(nn.Parameter(2 * weight) for weight in drawn)
        self.head = nn.Parameter(torch.randn(CLASSES, HIDDEN * len(self.cuts), generator=generator, dtype=torch.float32))

    def forward(self, x: Images) -> Tensor:
        """Logits (pictures, classes)."""
        pieces = x.flatten(1).split(self.cuts, dim=1)
        hidden = [functional.linear(piece, weight).sigmoid() for piece, weight in zip(pieces, self.parts, strict=True)]
        return functional.linear(torch.cat(hidden, dim=1), self.head)


class Watched:
    """The client's rule as the server simulates it: x to a list of tensors, in the graph of x. Counts its calls.

    It also sees whether the picture's ``.grad`` adds up: what a backward pass brings is told by a hook, and at the next
    call ``.grad`` is either that, or that and what was there before.
    """

    def __init__(self, model: nn.Module, y: Labels) -> None:
        self.model, self.y, self.calls, self.adds_up = model, y, 0, 0
        self.before: Tensor | None = None
        self.brought: list[Tensor] = []
        self.hooked: Tensor | None = None

    def __call__(self, x: Images) -> list[Tensor]:
        """The gradient that a client would send for x, one tensor for each parameter."""
        self.calls += 1
        self._look(x)
        value = functional.cross_entropy(self.model(x), self.y)
        return list(torch.autograd.grad(value, list(self.model.parameters()), create_graph=True))

    def _look(self, x: Images) -> None:
        if not (isinstance(x, Tensor) and x.is_leaf and x.requires_grad):
            return
        if x is not self.hooked:
            self.hooked = x
            x.register_hook(self._note)
        elif x.grad is not None and self.before is not None and len(self.brought) == 1:
            summed = self.before + self.brought[0]
            self.adds_up += bool(self.before.any()) and torch.allclose(x.grad, summed, rtol=1e-4, atol=0.0)
        self.before = None if x.grad is None else x.grad.detach().clone()
        self.brought.clear()

    def _note(self, slope: Tensor) -> None:
        self.brought.append(slope.detach().clone())

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        """The same counter wherever it is handed."""
        return self


def _pace(watched: Watched, start: Images) -> float:
    """A few gradients, each with a backward pass through it."""
    x = start.clone().requires_grad_()
    for _ in range(STEPS // PIECES):
        torch.autograd.grad(torch.stack([tensor.sum() for tensor in watched(x)]).sum(), x)
    watched.calls = 0
    return PIECES


def _judge(watched: Watched, shared: list[Tensor], start: Images) -> Judge:
    def costs(x: Images) -> list[float]:
        return [float((a.detach() - b).square().sum()) for a, b in zip(watched(x), shared, strict=True)]

    def judge(answer: Any) -> str:
        calls, adds_up = watched.calls, watched.adds_up
        form = _form(answer, start)
        if form:
            return form
        if calls < STEPS:
            return f"the gradient was computed {calls} times in {STEPS} steps: compare anew at each step."
        if answer.equal(start):
            return "this is the start, unmoved: give the picture that the optimiser has moved."
        if adds_up > STEPS // 2:
            return "`.grad` adds up over the steps: clear it before each backward pass (`zero_grad()`)."
        return _progress(costs(answer), costs(start), _vanished(watched, answer, start))

    return judge


def _vanished(watched: Watched, answer: Images, start: Images) -> bool:
    own, before = (sum(float(tensor.detach().square().sum()) for tensor in watched(x)) for x in (answer, start))
    return own < before


def _form(answer: Any, start: Images) -> str:
    if not isinstance(answer, Tensor) or answer.shape != start.shape:
        return f"give the picture that was found, a tensor of shape {tuple(start.shape)}."
    if answer.requires_grad:
        return "the picture still hangs in the graph of the loop; give `x.detach()`."
    if not answer.isfinite().all():
        return "the picture holds numbers that are not finite: the steps are too long."
    return ""


def _progress(costs: list[float], before: list[float], vanished: bool) -> str:
    left = sum(costs) / sum(before)
    each = [cost / old for cost, old in zip(costs, before, strict=True)]
    if max(left, *each) <= NEAR:
        return ""
    if left > 1 and vanished:
        return "your loop makes the candidate's gradient vanish; it should equal the shared one: subtract g*."
    if left > 1:
        return "the cost has grown: walk against its gradient, x - rate * d cost / dx, not along it."
    if min(each) <= NEAR:
        return "some tensors of the gradient match and others do not: the cost is the sum over all of them."
    return f"the cost fell to {left:.0%} of its start only; take all {STEPS} steps, each as long as `rate` says."


EXERCISE = Exercise(
    lesson=3,
    task="match_gradient(gradient_of, shared, x, steps, rate): move x until gradient_of(x) matches shared, and return it",
    praise="That is Deep Leakage from Gradients for a known label (theirs moves the label too). What follows in this course is "
    "a better cost and a better step.",
    cases=cases,
)
