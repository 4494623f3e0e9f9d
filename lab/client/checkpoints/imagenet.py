"""Torchvision's published ImageNet weights: where they come from and what torchvision calls the layers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from lab.lazy import Tensor, torch

from lab.federated.networks.base import Network
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.imagenet_vit import BASE_WIDTH, ImageNetViT
from lab.federated.networks.mobilenet_v3 import MobileNetV3, Size
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.networks.vgg11 import TORCHVISIONS_UNITS, VGG11
from lab.files.downloads import fetched, missing

CLASSES = 1000


class _Published(NamedTuple):
    """A file of torchvision's IMAGENET1K_V1 weights; its name ends in the beginning of its checksum."""

    file: str
    megabytes: float


_RESNETS = {
    18: _Published("resnet18-f37072fd.pth", 44.661),
    34: _Published("resnet34-b627a593.pth", 83.275),
    50: _Published("resnet50-0676ba61.pth", 97.781),
    101: _Published("resnet101-63fe2227.pth", 170.511),
    152: _Published("resnet152-394f9c45.pth", 230.434),
}
_SQUEEZENET = _Published("squeezenet1_0-b66bff10.pth", 4.778)
_MOBILE = {
    Size.SMALL: _Published("mobilenet_v3_small-047dcff4.pth", 9.829),
    Size.LARGE: _Published("mobilenet_v3_large-8738ca79.pth", 21.114),
}
_VGG = _Published("vgg11-8a719046.pth", 506.84)
_VIT_BASE = _Published("vit_b_16-c867db91.pth", 330.285)
"""Written down here: what is missing is told without the seconds that torchvision takes to be asked."""

_OURS = {
    ImageNetResNet: ((r"^fc\.", "head.0."), ("^", "features.")),
    SqueezeNet: ((r"^features\.", "features.0."), (r"^classifier\.", "features.1.")),
    VGG11: (
        (r"^features\.", "features."),
        (r"^classifier\.0\.", "head.0."),
        (r"^classifier\.3\.", "head.2."),
        (r"^classifier\.6\.", "head.4."),
    ),
    MobileNetV3: (
        (r"^features\.", "features.0."),
        (r"^classifier\.0\.", "head.0."),
        (r"^classifier\.3\.", "head.2."),
    ),
    ImageNetViT: (
        (r"^heads\.head\.", "head.0."),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_", r"features.blocks.\1.in_proj."),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.self_attention\.", r"features.blocks.\1."),
        (r"^encoder\.layers\.encoder_layer_(\d+)\.mlp\.3\.", r"features.blocks.\1.mlp.2."),
        (r"^encoder\.layers\.encoder_layer_", "features.blocks."),
        (r"^encoder\.", "features."),
        ("^", "features."),
    ),
}
"""Of each network: what torchvision's names begin with, and ours instead; the first that fits counts."""


def publishes(network: type) -> bool:
    """Whether torchvision publishes weights for networks of this kind."""
    return network in _OURS


def published(options: Network) -> bool:
    """Whether torchvision publishes weights for this network."""
    return _file(options) is not None


def cached_file(options: Network) -> Path:
    """The file of the published weights. Raises ``LabError`` where it was not fetched yet: nothing is downloaded unasked."""
    file = cache_path(options)
    if not file.is_file():
        raise missing(
            f"The published weights {file.name} are",
            _described(options),
            _published(options).megabytes,
            "give a file by --weights",
        )
    return file


def fetch(options: Network) -> Path:
    """Download the published weights (IMAGENET1K_V1) to where torchvision keeps them, unless they are there.

    The checksum is verified.
    Raises ``LabError`` where that fails.
    """
    file = cache_path(options)
    if not file.is_file():
        checksum = file.stem.rpartition("-")[2]
        fetched(
            lambda: torch.hub.download_url_to_file(address(options), str(file), checksum, progress=False),
            f"The weights {file.name}",
            file.parent,
        )
    return file


def cache_path(options: Network) -> Path:
    """Where torchvision itself keeps the published weights of a network: in $TORCH_HOME, or in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))).expanduser()
    return home / "hub" / "checkpoints" / _published(options).file


def address(options: Network) -> str:
    """Where torchvision downloads the published weights of a network from."""
    return f"https://download.pytorch.org/models/{_published(options).file}"


def _published(options: Network) -> _Published:
    found = _file(options)
    assert found is not None, "whoever asks for the file has asked whether it is published"
    return found


def _file(options: Network) -> _Published | None:
    if isinstance(options, ImageNetResNet):
        return _RESNETS[options.depth]
    if isinstance(options, ImageNetViT):
        return _VIT_BASE if options.width == BASE_WIDTH else None
    if isinstance(options, MobileNetV3):
        return _MOBILE[options.size]
    if isinstance(options, VGG11):
        return _VGG if options.units == TORCHVISIONS_UNITS else None
    return _SQUEEZENET if isinstance(options, SqueezeNet) else None


def _described(options: Network) -> str:
    """The network as ``gradlab fetch`` takes it."""
    if isinstance(options, ImageNetViT):
        return f"{options.name}:width={options.width}"
    if isinstance(options, MobileNetV3):
        return f"{options.name}:size={options.size.value}"
    return f"{options.name}:depth={options.depth}" if isinstance(options, ImageNetResNet) else options.name


def renamed(options: Network, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's names turned into ours; names that are ours already stay."""
    if not publishes(type(options)) or any(
        name.startswith(("head.", "features.conv1", "features.0.0.", "features.conv_proj")) for name in weights
    ):
        return weights
    return {_our_name(options, name): value for name, value in weights.items()}


def _our_name(options: Network, name: str) -> str:
    rules = _OURS[type(options)]
    return next((re.sub(theirs, ours, name, count=1) for theirs, ours in rules if re.match(theirs, name)), name)
