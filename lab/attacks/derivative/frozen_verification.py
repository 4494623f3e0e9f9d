"""Whether freezing a network's kinks is right for it: verified numerically on the network itself, whoever wrote it.

Two checks together. The graph of one forward pass must be made of smooth operations, of as many kinks as the tape has
recorded, and of no weights but those it was given. And at a random picture the finite difference must be what
differentiating twice gives: that finds what leaves no trace in a graph, such as chance, masks multiplied in, weights
taken out of the graph, or a module that does more than its type.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.derivative.frozen_network import Freezable
from lab.errors import is_short_of_memory
from lab.federated.gradients import MEAN_CROSS_ENTROPY, parameter_gradient, pull_back
from lab.federated.inputs import as_mapping, moved_to, tree_map, uniform
from lab.federated.losses.base import Loss
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Inputs, Labels, Shape
from lab.federated.updates import length
from lab.randomness import stream

KINKED_OPERATIONS = frozenset(["Relu", "LeakyRelu", "MaxPool2DWithIndices"])
"""What a tape records."""
LINEAR_OPERATIONS = (
    "Add Sub Neg T Transpose Permute View UnsafeView ReshapeAlias Expand Repeat Squeeze Unsqueeze Slice Select Cat Stack Split"
)
LINEAR_OPERATIONS += (
    " SplitWithSizes Unbind Narrow Flip Roll Mean Sum ConstantPadNd ReflectionPad2D ReplicationPad2D Clone Copy ToCopy Alias"
)
LINEAR_OPERATIONS += (
    " AvgPool2D AdaptiveAvgPool2D UpsampleNearest2D UpsampleBilinear2D UpsampleBicubic2D PixelShuffle Im2Col Col2Im AsStrided"
)
SMOOTH_OPERATIONS = (
    "Mul Div Addmm Addmv Mm Mv Bmm Baddbmm Dot Convolution _Convolution NativeBatchNorm NativeGroupNorm NativeLayerNorm"
)
SMOOTH_OPERATIONS += (
    " Sigmoid Tanh Silu Gelu Mish Softplus Elu Softmax LogSoftmax Exp Log Pow Sqrt Rsqrt Sin Cos Erf Reciprocal"
)
KNOWN_OPERATIONS = KINKED_OPERATIONS | {*LINEAR_OPERATIONS.split(), *SMOOTH_OPERATIONS.split()}
"""Torch's names of operations without a kink, and of those with one that a tape records."""
LEAF_NODES, SPLIT_NODE = "torch::autograd::AccumulateGrad", "torch::autograd::CopySlices"

STEP_SHARE = 1e-3
"""By so much the gradient towards the picture is to change between the two passes, as in ``FrozenMatcher``."""
DERIVATIVE_TOLERANCE = 0.02
"""Up to here both derivatives agree, relative to the exact one: rounding leaves up to 0.006, overlooked kinks 0.1 and more."""
LOGIT_TOLERANCE = 1e-3
"""Up to here two vectors of logits are the same but for rounding."""


def can_freeze(observation: Observation) -> bool:
    """Whether the checks succeed on an input like those observed; a network that cannot even be asked has failed them."""
    network, shape, loss = observation.network, observation.input_shape, observation.loss
    try:
        if is_verified(network, shape, loss):
            return True
        return is_verified(deepcopy(network).double(), shape, loss)  # rounding may hide a tiny derivative
    except Exception as error:  # a network of the user's own may fail in any way, and says so once it is attacked
        if is_short_of_memory(error):
            raise  # which says nothing of the network
        return False


def is_verified(network: nn.Module, shape: Shape, loss: Loss = MEAN_CROSS_ENTROPY) -> bool:
    """Whether the second pass may decide as the first one did; costs about five training steps on one input of this shape."""
    like = next(network.parameters())
    tried = moved_to(uniform(shape, 1, stream(0, "a picture for a proof"), like.dtype), like.device)
    label = torch.zeros(1, dtype=torch.long, device=like.device)
    frozen = _Frozen(Freezable(network), tried, label, loss)
    logits, gradients = frozen.recorded()
    with torch.no_grad():
        expected = network(tried)
    return (
        _is_small(logits - expected, LOGIT_TOLERANCE, expected)
        and frozen.is_accounted_for(logits)
        and _agree(network, frozen, gradients)
    )


def _agree(network: nn.Module, frozen: _Frozen, gradients: _Gradients) -> bool:
    """Whether d/dx <g(x), v> at v = g(x) is the same by both ways."""
    leaf = tree_map(_leaf, frozen.inputs)
    update = parameter_gradient(network, leaf, frozen.label, frozen.loss, differentiable=True)
    found = pull_back(list(update.values()), list(as_mapping(leaf).values()), [tensor.detach() for tensor in update.values()])
    exact = _side_by_side(found)
    return _is_small(frozen.mixed_derivative(gradients) - exact, DERIVATIVE_TOLERANCE, exact)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.clone().requires_grad_()


def _side_by_side(gradients: Sequence[Tensor]) -> Tensor:
    """Those of an input's tensors as one."""
    return gradients[0] if len(gradients) == 1 else torch.cat([gradient.flatten() for gradient in gradients])


def _is_small(gap: Tensor, share: float, whole: Tensor) -> bool:
    return bool(gap.norm() <= share * whole.norm())


@dataclass(frozen=True, eq=False)
class _Gradients:
    """Of the loss at a place."""

    inputs: Tensor
    weights: Gradients


class _Frozen:
    """One input's passes through the copy of a network that can be frozen."""

    def __init__(self, model: Freezable, inputs: Inputs, label: Labels, loss: Loss) -> None:
        self.model, self.inputs, self.label, self.loss = model, inputs, label, loss
        self.leaf = tree_map(_leaf, inputs)
        self.weights = {name: tensor.detach().clone().requires_grad_() for name, tensor in model.weights.items()}
        self.decisions: list[Tensor] = []

    def recorded(self) -> tuple[Tensor, _Gradients]:
        """The logits, in their graph, and the gradients; the tape is kept."""
        self.model.use(self.weights)
        logits = self.model(self.leaf)
        self.decisions = list(self.model.tape.decisions)
        leaves = list(as_mapping(self.leaf).values())
        wanted = [*leaves, *self.weights.values()]
        found = torch.autograd.grad(self.loss.value(logits, self.label), wanted, retain_graph=True, materialize_grads=True)
        weights = dict(zip(self.weights, found[len(leaves) :], strict=True))
        return logits, _Gradients(_side_by_side(found[: len(leaves)]), weights)

    def mixed_derivative(self, gradients: _Gradients) -> Tensor:
        """d/dx <g(x), v> at v = g(x) as ``FrozenMatcher`` finds it: by how much dL/dx changes along v."""
        h = STEP_SHARE * float(length(self.model.weights).detach() / length(gradients.weights))
        change = self._change(h, gradients)
        share = float(change.norm() / gradients.inputs.norm())
        if 0 < share < float("inf"):
            h *= STEP_SHARE / share
            change = self._change(h, gradients)
        return change / h

    def _change(self, h: float, gradients: _Gradients) -> Tensor:
        self.model.use({name: (tensor + h * gradients.weights[name]).detach() for name, tensor in self.model.weights.items()})
        self.model.tape.replaying, self.model.tape.decisions = True, deque(self.decisions)
        leaf = tree_map(_leaf, self.inputs)
        found = torch.autograd.grad(self.loss.value(self.model(leaf), self.label), list(as_mapping(leaf).values()))
        return _side_by_side(found) - gradients.inputs

    def is_accounted_for(self, logits: Tensor) -> bool:
        """Whether their graph holds known operations alone, each kink recorded, and no weights but those given."""
        met, given = Counter[str](), {id(leaf) for leaf in (*as_mapping(self.leaf).values(), *self.weights.values())}
        for node in _nodes(logits):
            if node.name() == LEAF_NODES:
                if id(getattr(node, "variable", None)) not in given:
                    return False
            elif node.name() != SPLIT_NODE:
                met[re.sub(r"Backward\d*$", "", node.name())] += 1
        return met.keys() <= KNOWN_OPERATIONS and sum(met[kink] for kink in KINKED_OPERATIONS) == len(self.decisions)


def _nodes(logits: Tensor) -> Iterator[torch.autograd.graph.Node]:
    """Every operation that the logits came from, each once."""
    waiting, seen = [logits.grad_fn], set[object]()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [below for below, _ in node.next_functions]
            yield node
