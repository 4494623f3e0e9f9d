"""Torchvision's published ImageNet weights: where they come from and what torchvision calls the layers."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, hub

from lab.checkpoints.store import read
from lab.errors import LabError
from lab.networks.base import Network
from lab.networks.imagenet_resnet import ImageNetResNet
from lab.networks.squeezenet import SqueezeNet

CLASSES = 1000

_OURS = {
    ImageNetResNet: (("fc.", "head.0."), ("", "features.")),
    SqueezeNet: (("features.", "features.0."), ("classifier.", "features.1.")),
}
"""Of each network: the beginnings of torchvision's names and of ours; the first that fits counts."""


def published(options: Network) -> bool:
    """Whether torchvision publishes weights for this network."""
    return type(options) in _OURS


def download(options: Network) -> dict[str, Tensor]:
    """The published weights (IMAGENET1K_V1) under our names; downloaded once, then kept by torchvision.

    Raises ``LabError`` where they cannot be downloaded.
    """
    file = cached(options)
    if not file.exists():
        _fetch(_address(options), file)
    return renamed(options, read(file))


def cached(options: Network) -> Path:
    """Where torchvision itself keeps the published weights of a network."""
    return Path(hub.get_dir()) / "checkpoints" / _address(options).rpartition("/")[2]


def _address(options: Network) -> str:
    from torchvision import models  # imported here: it costs half a second that most runs need not pay

    model = f"resnet{options.depth}" if isinstance(options, ImageNetResNet) else "squeezenet1_0"
    return models.get_model_weights(model).IMAGENET1K_V1.url  # type: ignore[attr-defined]


def _fetch(url: str, file: Path) -> None:
    """Download a file whose name ends in the beginning of its checksum, such as ``resnet18-f37072fd.pth``."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(file), file.stem.rpartition("-")[2], progress=False)
    except (OSError, RuntimeError, EOFError) as error:
        raise LabError(
            f"The ImageNet weights {file.name} cannot be downloaded ({str(error) or type(error).__name__}); connect to the "
            f"internet once, or download {url} elsewhere and give that file as weights."
        ) from None


def renamed(options: Network, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Torchvision's names turned into ours; names that are ours already stay."""
    if not published(options) or any(name.startswith(("head.", "features.conv1", "features.0.0.")) for name in weights):
        return weights
    return {_our_name(options, name): value for name, value in weights.items()}


def _our_name(options: Network, name: str) -> str:
    rules = _OURS[type(options)]
    return next((ours + name.removeprefix(theirs) for theirs, ours in rules if name.startswith(theirs)), name)
