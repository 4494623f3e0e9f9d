"""What takes off a mean that was told and divides by a deviation, where a network has others of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.federated.classifier import Normalise
    from lab.federated.networks.base import Network


def own_statistics(network: Network, shape: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalise | None:
    """The normalisation of pictures of that shape by what was told, one of both being the network's own; None if nothing was.

    Raises ``LabError`` where there are neither one nor as many numbers as channels.
    """
    from lab.federated.classifier import Normalise

    if not mean and not std:
        return None
    channels = shape[0]
    usual = network.statistics(channels)
    chosen = mean or usual[0], std or usual[1]
    for name, given in zip(("mean", "std"), chosen, strict=True):
        if len(given) not in (1, channels):
            raise LabError(f"{name} is given for {len(given)} channels, and the pictures have {channels}; give one for each.")
    return Normalise(*chosen)
