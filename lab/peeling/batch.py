"""Several pictures behind a fully connected ReLU network: set apart, then put into the order of their labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.labels import recover_labels
from lab.networks.base import Classifier
from lab.peeling.disaggregation import CONSISTENT, disaggregate
from lab.types import Gradients, Labels, Observation

MOST = 8
"""Pictures: beyond, sparse directions are rarely met by chance."""


def read_batch(observation: Observation, gradients: Gradients) -> Tensor | None:
    """The inputs of the lowest layer in the order of the labels, shape (pictures, inputs); None where they stay mixed.

    Needs a network without a body, whose lowest layer has a bias and a ReLU above it.
    """
    network, pictures = observation.network, observation.batch_size
    if not _is_open(network) or pictures > MOST:
        return None
    lowest = network.head[0]
    assert isinstance(lowest, nn.Linear)
    weight, bias = lowest.weight.detach(), lowest.bias.detach()
    generator = torch.Generator().manual_seed(0)
    apart = disaggregate(gradients["head.0.weight"], gradients["head.0.bias"], pictures, weight, bias, generator)
    if apart is None or apart.misfit > CONSISTENT:
        return None
    labels = recover_labels(observation) if observation.labels is None else observation.labels
    return apart.inputs[_order(network, apart.inputs, pictures * apart.slopes, labels)]


def _is_open(network: Classifier) -> bool:
    layers = list(network.head)
    plain = isinstance(network.features, nn.Identity) and len(layers) > 1
    return plain and isinstance(layers[0], nn.Linear) and layers[0].bias is not None and isinstance(layers[1], nn.ReLU)


def _order(network: Classifier, inputs: Tensor, slopes: Tensor, labels: Labels) -> Tensor:
    """For each label the input whose own gradient with that label is the slope found, shape (pictures,)."""
    from scipy.optimize import linear_sum_assignment  # imported here: only a batch needs it, and scipy is slow to load

    values = network.head[:1](inputs).detach().requires_grad_()
    logits = network.head[1:](values)
    costs = torch.empty(len(labels), len(inputs))
    for row, label in enumerate(labels.tolist()):
        wanted = torch.full((len(inputs),), label)
        loss = functional.cross_entropy(logits, wanted, reduction="sum")
        (made,) = torch.autograd.grad(loss, values, retain_graph=True)
        costs[row] = (made - slopes).square().sum(1)
    return torch.as_tensor(linear_sum_assignment(costs.numpy())[1])
