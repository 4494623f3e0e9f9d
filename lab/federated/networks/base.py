"""What a network of the catalogue is: frozen options that build a ``Classifier``."""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum
from functools import reduce
from math import gcd, prod
from typing import TYPE_CHECKING, Any, ClassVar

from lab.lazy import nn, torch

from lab.federated.tensors import IMAGES, Shape
from lab.options.catalogue import Entry

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier, InputTransform

CIFAR_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
GREY_STATISTICS = ((0.5,), (0.25,))
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Activation(Enum):
    """Nonlinearities; all but ReLU and leaky ReLU are smooth, ELU once."""

    RELU = "relu"
    LEAKY_RELU = "leaky_relu"
    SIGMOID = "sigmoid"
    TANH = "tanh"
    SILU = "silu"
    GELU = "gelu"
    ELU = "elu"

    def layer(self) -> nn.Module:
        """A fresh layer, never in place: attacks differentiate twice through it."""
        layers = {
            Activation.RELU: nn.ReLU,
            Activation.LEAKY_RELU: nn.LeakyReLU,
            Activation.SIGMOID: nn.Sigmoid,
            Activation.TANH: nn.Tanh,
            Activation.SILU: nn.SiLU,
            Activation.GELU: nn.GELU,
            Activation.ELU: nn.ELU,
        }
        return layers[self]()


class Padding(Enum):
    """What a convolution sees beyond the border; with circular padding absolute position is lost."""

    ZERO = "zeros"
    CIRCULAR = "circular"


MAX_GROUPS = 8
NORM_HELP = "batch norm by stored statistics (eval) or the batch's own (train); group, instance or layer norm in its place"


class BatchNorm(Enum):
    """Which statistics normalise: a batch norm's stored ones, the batch's own (unknown to a server), or each picture's own."""

    EVAL = "eval"
    TRAIN = "train"
    GROUP = "group"
    INSTANCE = "instance"
    LAYER = "layer"

    def layer(self, channels: int) -> nn.Module:
        """Normalisation that never changes its statistics while it is attacked; ``LAYER`` is over all channels and places."""
        if self is BatchNorm.INSTANCE:
            return nn.InstanceNorm2d(channels, affine=True)
        if self in (BatchNorm.GROUP, BatchNorm.LAYER):
            return nn.GroupNorm(1 if self is BatchNorm.LAYER else gcd(channels, MAX_GROUPS), channels)
        return nn.BatchNorm2d(channels, track_running_stats=self is BatchNorm.EVAL)


class Network(Entry):
    """Base of all networks: an entry is a frozen set of options and builds its modules."""

    kind: ClassVar[str] = "network"
    modality: ClassVar[str] = IMAGES
    """What its inputs are: an entry of ``lab/modalities``."""
    image_size: ClassVar[int] = 32
    """The picture size, in pixels, that the architecture was made for."""
    in_sight: ClassVar[tuple[str, ...]] = ()
    """Options that a form shows without being asked: what the network's story turns on."""

    @abstractmethod
    def modules(self, shape: Any, classes: int, /) -> tuple[nn.Module, nn.Sequential]:
        """The body and the fully connected head, freshly initialised, for inputs of a shape, (channels, height, width) say."""

    def input_transform(self, shape: Any, /) -> InputTransform:
        """What inputs of that shape pass first: of pictures the normalisation."""
        from lab.federated.classifier import Normalise

        return Normalise(*self.statistics(shape[0]))

    @property
    def own_classes(self) -> tuple[str, ...]:
        """What its logits tell apart where it learns without labels, and each input's is 0; empty where labels are learned."""
        return ()

    def statistics(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the normalisation, per channel."""
        return CIFAR_STATISTICS if channels == 3 else (GREY_STATISTICS[0] * channels, GREY_STATISTICS[1] * channels)

    def build(self, shape: Shape, classes: int, generator: torch.Generator) -> Classifier:
        """An untrained network in eval mode, for inputs of that shape: (channels, height, width) of pictures."""
        from lab.federated.classifier import Classifier
        from lab.federated.single_precision import SinglePrecision
        from lab.private_draws import UseGenerator

        seed = int(torch.randint(2**31, (), generator=generator))
        with SinglePrecision(), UseGenerator(torch.Generator().manual_seed(seed)):
            body, head = self.modules(shape, classes)
            return Classifier(self.input_transform(shape), body, head, classes).eval()


def feature_count(body: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """How many numbers the body gives for one picture; of a chain of layers without numbers, by its shapes."""
    if torch.get_default_device().type == "meta":
        from lab.federated.shapes import output_shape

        return prod(reduce(lambda shape, layer: output_shape(layer, shape), body.children(), (1, *image_shape)))
    with torch.no_grad():
        return body.eval()(torch.zeros(1, *image_shape, dtype=torch.float32)).numel()
