"""What a body of convolutions and max-poolings sent, and how a picture matches it while the poolings are soft."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.batch import HeadInputs
from lab.attacks.closed_form.head_consistency import head_residual
from lab.attacks.closed_form.inversion import Inversion
from lab.attacks.closed_form.linear_layers import CONSISTENT_RESIDUAL
from lab.attacks.closed_form.mismatch import known_labels
from lab.attacks.matching.dropped_features import detect_dropped
from lab.attacks.matching.softened import SoftReLU, Temperature, is_softened, softened
from lab.federated.observation import Observation
from lab.federated.second_derivatives import second_derivatives
from lab.federated.tensors import Images, Targets
from lab.modalities.images.spectrum import Spectrum

TINY = 1e-30
ACTIVE_SHARE = 1e-5
"""A feature above this share of the largest is on."""


class SoftenedBody:
    """The body with soft choices, the features above it, and what was sent of its weights.

    ``features`` and ``slopes``, the loss's gradient there, of shape (pictures, features), are exact.
    """

    def __init__(self, observation: Observation, inversion: Inversion) -> None:
        like, read = next(iter(observation.update.values())), inversion.head
        assert read is not None
        network = deepcopy(observation.network)
        assert isinstance(network.features, nn.Sequential)
        self.temperature = Temperature(0.0)
        layers = softened(network.features, self.temperature)
        self.features, slopes = read.inputs.to(like), read.input_gradients.to(like)
        self.is_behind_relu = isinstance(layers[-1], SoftReLU)
        self.on = self.features > ACTIVE_SHARE * self.features.max()
        self.layers = layers[:-1] if self.is_behind_relu else layers
        self.slopes = slopes * self.on if self.is_behind_relu else slopes
        self.normalise = network.normalise
        weights = {f"features.{name}": weight for name, weight in network.features.named_parameters() if weight.requires_grad}
        self.weights = {name: weight for name, weight in weights.items() if bool(inversion.gradients[name].any())}
        self.sent = {name: inversion.gradients[name].to(like) for name in self.weights}
        self.spectrum = Spectrum(*observation.image_shape)
        self.labels: Targets = known_labels(observation)

    def start(self, generator: torch.Generator, *, noise: bool) -> Tensor:
        """Coordinates of grey pictures, or of random photographs."""
        shape = len(self.features), *(self.spectrum.channels, self.spectrum.height, self.spectrum.width)
        drawn = (
            torch.randn(shape, generator=generator, dtype=torch.float32) if noise else torch.zeros(shape, dtype=torch.float32)
        )
        return drawn.to(self.features)

    def pixels(self, white: Tensor) -> Images:
        """Of these coordinates."""
        return self.spectrum.pixels(white)

    def match(self, pixels: Images) -> Tensor:
        """What these pictures leave unexplained, the share of each tensor's square, summed; and that of the features."""
        values = self.normalise(pixels)
        for layer in self.layers:
            values = layer(values)
        values = values.flatten(1)
        with second_derivatives():
            found = torch.autograd.grad((values * self.slopes).sum(), list(self.weights.values()), create_graph=True)
        left = [_share(one - other, other) for one, other in zip(found, self.sent.values(), strict=True)]
        gap = torch.where(self.on, values - self.features, values.relu()) if self.is_behind_relu else values - self.features
        return torch.stack([*left, _share(gap, self.features)]).sum()


def softened_body(observation: Observation) -> SoftenedBody | None:
    """That of an observation; None where something bars it: local steps, no max-pooling, features that stay unknown."""
    if observation.local_steps > 1 or observation.withheld or not is_softened(observation.network.features):
        return None
    if detect_dropped(observation) is not None:
        return None
    inversion = Inversion(observation)
    if not inversion.shares_anything or not inversion.readings or inversion.unsent or inversion.head is None:
        return None
    return SoftenedBody(observation, inversion) if _is_certain(inversion, inversion.head) else None


def _is_certain(inversion: Inversion, head: HeadInputs) -> bool:
    """Whether the features are the client's: known with their length, and all that the head sent.

    By the last layer alone pictures of one label may be turned into one another, and it sends the same.
    """
    observation, labels = inversion.precise, known_labels(inversion.precise).cpu()
    if len(labels) == 1 and inversion.readings[-1].up_to_scale:
        return False
    told_apart = head.is_alone or len(labels.unique(dim=0)) == len(labels)
    return told_apart and head_residual(observation, head.inputs, labels) <= CONSISTENT_RESIDUAL


def _share(left: Tensor, whole: Tensor) -> Tensor:
    return left.square().sum() / whole.square().sum().clamp_min(TINY)
