"""What every network is when built: inputs, brought into form, through a body into fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lab.federated.tensors import Inputs
from lab.federated.twice_differentiable import made_twice_differentiable


class InputTransform(nn.Module):
    """What inputs pass first: it brings them, one tensor or several by name, into the form that a body takes."""

    def inverse(self, values: Tensor) -> Inputs:
        """The inputs again, from what a body takes, shape (batch, ...)."""
        raise NotImplementedError

    @property
    def unit(self) -> float:
        """How much of an input is one unit of what a body takes, where that is the most."""
        return 1.0


class Normalise(InputTransform):
    """(pixels - mean) / std, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] to zero mean and unit spread."""
        return (images - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """Back to pixels in [0, 1]."""
        return values * self.std + self.mean

    @property
    def unit(self) -> float:
        """Of the channel that spreads most."""
        return float(self.std.max())


class Classifier(nn.Module):
    """``normalise`` -> ``features`` (any body) -> flatten -> ``head`` (fully connected layers and activations).

    What stands first is called after what it does to pictures; other inputs pass an ``InputTransform`` of their own.
    """

    def __init__(self, normalise: InputTransform, features: nn.Module, head: nn.Sequential, classes: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.features = features
        self.head = head
        self.classes = classes
        made_twice_differentiable(self)

    @property
    def linear_layers(self) -> dict[str, nn.Linear]:
        """The head's fully connected layers by name, first to last."""
        return {f"head.{name}": layer for name, layer in self.head.named_children() if isinstance(layer, nn.Linear)}

    @property
    def last_linear(self) -> tuple[str, nn.Linear] | None:
        """The layer that makes the logits, by name; None where the head ends in no fully connected one."""
        found = list(self.linear_layers.items())
        return found[-1] if found and found[-1][1] is [*self.head.children()][-1] else None

    def embed(self, inputs: Inputs) -> Tensor:
        """What enters the head, shape (batch, features)."""
        return self.features(self.normalise(inputs)).flatten(1)

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits, shape (batch, classes)."""
        return self.head(self.embed(inputs))
