"""Torchvision's published ImageNet weights: where they come from and what torchvision calls the layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.late import Tensor, torch

from lab.downloads import fetched, missing
from lab.networks.base import Network
from lab.networks.imagenet_resnet import ImageNetResNet
from lab.networks.squeezenet import SqueezeNet

CLASSES = 1000

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
            f"The published weights {file.name} are", _described(options), _megabytes(options), "give a file by --weights"
        )
    return file


def fetch(options: Network) -> Path:
    """Download the published weights (IMAGENET1K_V1) to where torchvision keeps them, unless they are there.

    The name of the file ends in the beginning of its checksum, such as ``resnet18-f37072fd.pth``, which is verified.
    Raises ``LabError`` where that fails.
    """
    file, url = cached(options), _published(options).url
    if not file.is_file():
        checksum = file.stem.rpartition("-")[2]
        fetched(
            lambda: torch.hub.download_url_to_file(url, str(file), checksum, progress=False),
            f"The weights {file.name}",
            file.parent,
        )
    return file


def cached(options: Network) -> Path:
    """Where torchvision itself keeps the published weights of a network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _published(options).url.rpartition("/")[2]


def _published(options: Network) -> Any:
    """Torchvision's entry for the weights: their address and their size."""
    from torchvision import models  # imported here: it costs half a second that most runs need not pay

    model = f"resnet{options.depth}" if isinstance(options, ImageNetResNet) else "squeezenet1_0"
    return models.get_model_weights(model).IMAGENET1K_V1  # type: ignore[attr-defined]


def _megabytes(options: Network) -> float:
    return _published(options).meta["_file_size"]


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
