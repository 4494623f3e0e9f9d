"""What a network of the catalogue is: frozen options that build a ``Classifier``."""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum
from functools import reduce
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from lab.catalogue import Entry
from lab.randomness import DrawingFrom
from lab.shapes import output_shape

CIFAR_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
GREY_STATISTICS = ((0.5,), (0.25,))
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Activation(Enum):
    """Nonlinearities; all but ReLU and leaky ReLU are smooth."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    SILU = "silu"
    GELU = "gelu"

    def layer(self) -> nn.Module:
        """A fresh layer, never in place: attacks differentiate twice through it."""
        return _LAYERS[self]()


_LAYERS = {
    Activation.RELU: nn.ReLU,
    Activation.LEAKY_RELU: nn.LeakyReLU,
    Activation.SIGMOID: nn.Sigmoid,
    Activation.TANH: nn.Tanh,
    Activation.SILU: nn.SiLU,
    Activation.GELU: nn.GELU,
}


class Padding(Enum):
    """What a convolution sees beyond the border; with circular padding absolute position is lost."""

    ZERO = "zeros"
    CIRCULAR = "circular"


class BatchNorm(Enum):
    """Which statistics batch normalisation uses: the stored ones, or the batch's own (unknown to a server)."""

    EVAL = "eval"
    TRAIN = "train"

    def layer(self, channels: int) -> nn.BatchNorm2d:
        """Batch normalisation that never changes its statistics while it is attacked."""
        return nn.BatchNorm2d(channels, track_running_stats=self is BatchNorm.EVAL)


class Normalise(nn.Module):
    """(pixels - mean) / std, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] to zero mean and unit spread."""
        return (images - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """Back to pixels in [0, 1]."""
        return values * self.std + self.mean


class Classifier(nn.Module):
    """``normalise`` -> ``features`` (any body) -> flatten -> ``head`` (fully connected layers and activations)."""

    def __init__(self, normalise: Normalise, features: nn.Module, head: nn.Sequential, classes: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.features = features
        self.head = head
        self.classes = classes
        for module in self.modules():
            if getattr(module, "inplace", False):  # what a layer was given is looked at again: by derivatives, and by algebra
                vars(module)["inplace"] = False

    def embed(self, images: Tensor) -> Tensor:
        """What enters the head, shape (batch, features)."""
        return self.features(self.normalise(images)).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (batch, classes)."""
        return self.head(self.embed(images))


class Network(Entry):
    """Base of all networks: an entry is a frozen set of options and builds its modules."""

    kind: ClassVar[str] = "network"
    image_size: ClassVar[int] = 32
    """The picture size, in pixels, that the architecture was made for."""

    @abstractmethod
    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """The body and the fully connected head, freshly initialised."""

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the normalisation, per channel."""
        return CIFAR_STATISTICS if channels == 3 else (GREY_STATISTICS[0] * channels, GREY_STATISTICS[1] * channels)

    def build(self, image_shape: tuple[int, int, int], classes: int, generator: torch.Generator) -> Classifier:
        """An untrained network in eval mode. ``image_shape`` is (channels, height, width)."""
        seed = int(torch.randint(2**31, (), generator=generator))
        with DrawingFrom(torch.Generator().manual_seed(seed)):
            body, head = self.modules(image_shape, classes)
            return Classifier(Normalise(*self.statistics(image_shape[0])), body, head, classes).eval()


def feature_count(body: nn.Sequential, image_shape: tuple[int, int, int]) -> int:
    """How many numbers a chain of layers gives for one picture."""
    return prod(reduce(lambda shape, layer: output_shape(layer, shape), body, (1, *image_shape)))
