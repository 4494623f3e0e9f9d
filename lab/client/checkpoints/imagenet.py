"""Torchvision's published ImageNet weights: where they come from and what torchvision calls the layers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from lab.late import Tensor, torch

from lab.federated.networks.base import Network
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.squeezenet import SqueezeNet
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
"""Written down here: what is missing is told without the seconds that torchvision takes to be asked."""

_OURS = {
    ImageNetResNet: (("fc.", "head.0."), ("", "features.")),
    SqueezeNet: (("features.", "features.0."), ("classifier.", "features.1.")),
}
"""Of each network: the beginnings of torchvision's names and of ours; the first that fits counts."""


def publishes(network: type) -> bool:
    """Whether torchvision publishes weights for networks of this kind."""
    return network in _OURS


def published(options: Network) -> bool:
    """Whether torchvision publishes weights for this network."""
    return publishes(type(options))


def at_hand(options: Network) -> Path:
    """The file of the published weights. Raises ``LabError`` where it was not fetched yet: nothing is downloaded unasked."""
    file = cached(options)
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
    file = cached(options)
    if not file.is_file():
        checksum = file.stem.rpartition("-")[2]
        fetched(
            lambda: torch.hub.download_url_to_file(address(options), str(file), checksum, progress=False),
            f"The weights {file.name}",
            file.parent,
        )
    return file


def cached(options: Network) -> Path:
    """Where torchvision itself keeps the published weights of a network: in $TORCH_HOME, or in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))).expanduser()
    return home / "hub" / "checkpoints" / _published(options).file


def address(options: Network) -> str:
    """Where torchvision downloads the published weights of a network from."""
    return f"https://download.pytorch.org/models/{_published(options).file}"


def _published(options: Network) -> _Published:
    return _RESNETS[options.depth] if isinstance(options, ImageNetResNet) else _SQUEEZENET


def _described(options: Network) -> str:
    """The network as ``gradlab fetch`` takes it."""
    return f"{options.name}:depth={options.depth}" if isinstance(options, ImageNetResNet) else options.name


def renamed(options: Network, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's names turned into ours; names that are ours already stay."""
    if not published(options) or any(name.startswith(("head.", "features.conv1", "features.0.0.")) for name in weights):
        return weights
    return {_our_name(options, name): value for name, value in weights.items()}


def _our_name(options: Network, name: str) -> str:
    rules = _OURS[type(options)]
    return next((ours + name.removeprefix(theirs) for theirs, ours in rules if name.startswith(theirs)), name)
