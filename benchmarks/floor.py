"""The floor of an iteration: what it needs at least in training steps, counted from the multiply-adds of the layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.federated.classifier import Classifier
from lab.federated.networks.base import Network
from lab.randomness import stream

WEIGHTED = (nn.Conv2d, nn.Linear)
COLOURS, CLASSES = 3, 10


@dataclass(frozen=True)
class Products:
    """Multiply-adds of one pass through the layers that have weights; a pass forward or back in either way takes as many."""

    all: int
    first: int
    """Of the layers that read the picture itself."""

    @property
    def training_step(self) -> int:
        """Forward, the gradient of each layer's weights, and that of its input; of the picture nobody asks it."""
        return 3 * self.all - self.first

    @property
    def iteration(self) -> int:
        """A finite difference of dLoss/dpicture at two points of the weights, at the first of which g is asked for as well."""
        forward, of_weights, of_inputs = self.all, self.all, self.all
        return (forward + of_weights + of_inputs) + (forward + of_inputs)


def floor(network: Network, batch_size: int = 1) -> float:
    """Training steps that an iteration for one local step needs at least, by finite differences: 5/3 and a little more.

    The little is the first layer's share: only the attack wants its gradient with respect to the picture.
    """
    side = network.image_size
    model = network.build((COLOURS, side, side), CLASSES, stream(0, "benchmark"))
    counted = products(model, torch.zeros(batch_size, COLOURS, side, side))
    return counted.iteration / counted.training_step


def products(model: Classifier, images: Tensor) -> Products:
    """Counted while the pictures pass: each number of an output takes as many as one row of the weights has."""
    found: dict[bool, int] = {True: 0, False: 0}

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        reads_picture = not inputs[0].requires_grad
        found[reads_picture] += output.numel() * layer.get_parameter("weight")[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, WEIGHTED)]
    try:
        with torch.enable_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return Products(sum(found.values()), found[True])
