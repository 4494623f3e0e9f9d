"""Lesson 1: how many numbers leave the phone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from lab.course.exercises.base import Case, Exercise, Judge, equals
from lab.federated.networks.base import Network
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet

NETWORKS: tuple[tuple[Network, str], ...] = (
    (LeNet(), "for LeNet"),
    (MLP(depth=2, width=11, bias=False), "for a network without biases"),
    (ResNet(depth=8), "for a network with batch normalisation"),
)


def cases(generator: torch.Generator) -> Iterator[Case]:
    """LeNet, a network without biases, one with batch normalisation."""
    for network, where in NETWORKS:
        model = network.build((3, 32, 32), 10, generator)
        yield Case((model,), _judge(model), where)


def _judge(model: nn.Module) -> Judge:
    parameters = list(model.parameters())
    right = sum(p.numel() for p in parameters)
    weights = sum(p.numel() for p in parameters if p.ndim > 1)
    buffers = sum(b.numel() for b in model.buffers())
    kept = sum(t.numel() for t in model.state_dict().values())
    return equals(
        right,
        (len(parameters), "this counts tensors; count the numbers in each of them (`numel`)."),
        (weights, "the biases are missing: they are parameters, and they leave the phone as well."),
        (right + buffers, "buffers (stored statistics) have no gradient; count the parameters alone."),
        (kept, "a state_dict holds stored statistics too, and they have no gradient; count the parameters alone."),
        (4 * right, "these are bytes; the question is how many numbers."),
        (sum(p.shape[0] for p in parameters), "this counts rows; `numel` counts all numbers of a tensor."),
        tolerance=0.0,
    )


EXERCISE = Exercise(
    lesson=1,
    task="count_numbers(model): how many numbers the client's gradient holds",
    praise="As many numbers as the network has parameters, however small the picture is: usually far more than it has pixels.",
    cases=cases,
)
