"""Lesson 1: what a FedSGD client sends."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from lab.course.exercises.base import Case, Exercise, Judge, equals
from lab.federated.gradients import parameter_gradient
from lab.federated.networks.mlp import MLP
from lab.federated.tensors import Gradients, Images, Labels

CLASSES = 4


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Batches of 1, 3 and 2 pictures, square and not; the same network twice, to see what is left behind in it."""
    for pictures, shape in ((1, (1, 6, 6)), (3, (1, 6, 6)), (2, (3, 4, 5))):
        model = MLP(depth=2, width=9).build(shape, CLASSES, generator)
        x = torch.rand(pictures, *shape, generator=generator, dtype=torch.float32)
        y = torch.randint(CLASSES, (pictures,), generator=generator)
        where = f"for a batch of {pictures} of shape {shape}"
        yield Case((model, x, y), _judge(model, x, y), where)
        parameter_gradients_left_behind(model, x, y)
        yield Case((model, x, y), _judge(model, x, y), f"{where}, after the network was used before")


def parameter_gradients_left_behind(model: nn.Module, x: Images, y: Labels) -> None:
    """Fill ``.grad`` as an earlier backward pass would have."""
    functional.cross_entropy(model(x), y).backward()


def _judge(model: nn.Module, x: Images, y: Labels) -> Judge:
    right = parameter_gradient(model, x, y)
    return equals(
        right,
        (_scaled(right, len(y)), "this is the gradient of the summed loss; the client's loss is the mean over the batch."),
        (_scaled(right, -1), "the sign is turned: the client sends dL/dtheta itself, the server subtracts it."),
        (_scaled(right, 2), "this is twice the gradient: `.grad` adds up over calls. Use `torch.autograd.grad`."),
        (_scaled(right, 0.5), "this is half the gradient: check the factor before the loss."),
        (_of_softmax_twice(model, x, y), "`cross_entropy` takes logits: it does the softmax itself, so leave yours out."),
        (list(right.values()), "these are the right numbers without their names; give a dictionary keyed by parameter name."),
        (tuple(right.values()), "these are the right numbers without their names; give a dictionary keyed by parameter name."),
        (_of_the_picture(model, x, y), "this is dL/dx. What leaves the phone is dL/dtheta, one tensor for each parameter."),
    )


def _scaled(gradient: Gradients, factor: float) -> Gradients:
    return {name: factor * tensor for name, tensor in gradient.items()}


def _of_softmax_twice(model: nn.Module, x: Images, y: Labels) -> Gradients:
    value = functional.cross_entropy(model(x).softmax(1), y)
    return dict(
        zip(dict(model.named_parameters()), torch.autograd.grad(value, list(model.parameters())), strict=True),
    )


def _of_the_picture(model: nn.Module, x: Images, y: Labels) -> Images:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(functional.cross_entropy(model(x), y), x)[0]


EXERCISE = Exercise(
    lesson=1,
    task="client_gradient(model, x, y): dL/dtheta of the mean cross entropy, a dictionary keyed by parameter name",
    praise="This dictionary is all that leaves the phone in FedSGD. The pictures are not in it, and yet they are.",
    cases=cases,
)
