"""Several pictures behind one gradient: what entered the fully connected head, picture by picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.closed_form.activations import POINTWISE, invert
from lab.attacks.closed_form.batch_by_labels import separate_by_labels
from lab.attacks.closed_form.batch_by_sparsity import INCONSISTENT_SHARE, disaggregate
from lab.attacks.closed_form.batch_by_whole_head import separate_by_whole_head
from lab.attacks.closed_form.head_consistency import head_residual
from lab.attacks.closed_form.layer_output import FLOAT32_ERROR
from lab.attacks.closed_form.linear_layers import CONSISTENT_RESIDUAL
from lab.attacks.closed_form.mismatch import known_labels
from lab.federated.classifier import Classifier
from lab.federated.losses.base import Loss
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Labels

MAX_BY_SPARSITY = 8
"""Pictures: beyond, sparse directions are rarely met by chance."""
MAX_BY_LABELS = 10
"""Pictures: the circle has the square of their number as unknowns."""


@dataclass(frozen=True, eq=False)
class HeadInputs:
    """The head's input, in the order of the labels."""

    inputs: Float[Tensor, "pictures inputs"]
    """Shape (pictures, inputs)."""
    input_gradients: Float[Tensor, "pictures inputs"]
    """The loss's gradient there, each picture's share, shape (pictures, inputs)."""
    is_alone: bool = False
    """Whether all layers of the head together were seen to allow no others, pictures of one label included."""


def recover_head_inputs(observation: Observation, gradients: Gradients) -> HeadInputs | None:
    """The head's inputs set apart, by silent units, by labels or by the whole head; None where they stay mixed."""
    labels = known_labels(observation)
    if labels.is_floating_point():  # of pictures with any number of labels none is set apart by them
        return None
    network, loss = observation.network, observation.loss
    silent = _by_inactive_units(network, gradients, labels, loss)
    if silent is not None:
        return silent
    differ = len(labels.unique()) == len(labels)
    labelled = _by_labels(network, gradients, labels, loss) if differ else None
    if labelled is not None and head_residual(observation, labelled.inputs, labels) <= CONSISTENT_RESIDUAL:
        return labelled
    together = _by_whole_head(network, gradients, labels, loss) if observation.local_steps == 1 else None
    if together is not None or differ:
        return together or labelled
    return _by_labels(network, gradients, labels, loss)


def _by_whole_head(network: Classifier, gradients: Gradients, labels: Labels, loss: Loss) -> HeadInputs | None:
    separated = separate_by_whole_head(network.head, gradients, labels, loss)
    if separated is None:
        return None
    inputs, output_gradients = separated
    lowest = next(layer for layer in network.head if isinstance(layer, nn.Linear))
    return HeadInputs(inputs, output_gradients @ lowest.weight.detach(), is_alone=True)


def _by_labels(network: Classifier, gradients: Gradients, labels: Labels, loss: Loss) -> HeadInputs | None:
    """From the logits down: once a layer's dz are known picture by picture, its inputs follow by least squares."""
    layers = list(network.head.named_children())
    (name, last), below = layers[-1], layers[-2::-1]
    plain = all(isinstance(module, (nn.Linear, *POINTWISE)) for _, module in below)
    if not plain or not isinstance(last, nn.Linear) or last.bias is None or len(labels) > MAX_BY_LABELS:
        return None
    weight, bias = last.weight.detach(), last.bias.detach()
    of_weight, of_bias = gradients[f"head.{name}.weight"], gradients[f"head.{name}.bias"]
    separated = separate_by_labels(of_weight, of_bias, weight, bias, labels, loss)
    if separated is None:
        return None
    inputs, gradient = separated.inputs, separated.logit_gradients @ weight
    for name, module in below:
        if isinstance(module, nn.Linear):
            inputs = torch.linalg.lstsq(gradient.T, gradients[f"head.{name}.weight"], driver="gelsd").solution
            gradient = gradient @ module.weight.detach()
        else:
            gradient = gradient * invert(module, inputs, FLOAT32_ERROR * float(inputs.abs().max())).derivative
    return HeadInputs(inputs, gradient)


def _by_inactive_units(network: Classifier, gradients: Gradients, labels: Labels, loss: Loss) -> HeadInputs | None:
    """Needs a network without a body, whose lowest layer has a bias and a ReLU above it."""
    if not _is_relu_mlp(network) or len(labels) > MAX_BY_SPARSITY:
        return None
    lowest = network.head[0]
    assert isinstance(lowest, nn.Linear)
    weight, bias = lowest.weight.detach(), lowest.bias.detach()
    generator = torch.Generator().manual_seed(0)
    separated = disaggregate(gradients["head.0.weight"], gradients["head.0.bias"], len(labels), weight, bias, generator)
    if separated is None or separated.residual > INCONSISTENT_SHARE:
        return None
    order = _order(network, separated.inputs, separated.output_gradients, labels, loss)
    return HeadInputs(separated.inputs[order], separated.output_gradients[order] @ weight)


def _is_relu_mlp(network: Classifier) -> bool:
    layers = list(network.head)
    plain = isinstance(network.features, nn.Identity) and len(layers) > 1
    return plain and isinstance(layers[0], nn.Linear) and layers[0].bias is not None and isinstance(layers[1], nn.ReLU)


def _order(network: Classifier, inputs: Tensor, output_gradients: Tensor, labels: Labels, loss: Loss) -> Tensor:
    """For each label the input whose own gradient with that label points where the gradient found does, shape (pictures,)."""
    from scipy.optimize import linear_sum_assignment  # imported here: only a batch needs it, and scipy is slow to load

    values = network.head[:1](inputs).detach().requires_grad_()
    logits = network.head[1:](values)
    costs = torch.empty(len(labels), len(inputs), dtype=torch.float32)
    for row, label in enumerate(labels.tolist()):
        wanted = torch.full((len(inputs),), label, dtype=torch.long)
        (made,) = torch.autograd.grad(loss.value(logits, wanted), values, retain_graph=True)
        costs[row] = -torch.cosine_similarity(made, output_gradients)
    return torch.as_tensor(linear_sum_assignment(costs.numpy())[1])
