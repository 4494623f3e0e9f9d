"""Pixels brought to the network in another way than told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Tensor, nn, torch

from lab.federated.networks.base import CIFAR_STATISTICS, IMAGENET_STATISTICS
from lab.federated.typed_torch import layers_of
from lab.findings.base import Finding, Found
from lab.findings.case import Case

COMMON: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none: pixels in [0, 1] as they are": ((0.0,), (1.0,)),
    "mean 0.5, std 0.5": ((0.5,), (0.5,)),
    "CIFAR-10's mean and std": CIFAR_STATISTICS,
    "ImageNet's mean and std": IMAGENET_STATISTICS,
    "none: pixels from 0 to 255": ((0.0,), (1 / 255,)),
}
"""How people bring pixels to a network."""
MAX_DEVIATION, IMPROVEMENT = 2.8, 0.4
"""In deviations of other pictures, how far the first layer must be off, and how much nearer another way must come."""


@dataclass(frozen=True)
class Preprocessing(Finding):
    """The client normalised its pixels by other numbers than told."""

    place: ClassVar[int] = 115

    def look(self, case: Case) -> Found | None:
        """By the first layer's gradient: how bright its input was on average, and how much of it varied."""
        first = _first_layer(case)
        if first is None or case.is_coarse:
            return None
        seen = first.features(case.gradient)
        as_told = _distance(seen, [first.features(other) for other in case.gradients_of_others])
        if as_told < MAX_DEVIATION:
            return None
        others = {words: _distance(seen, _if(case, first, *how)) for words, how in COMMON.items()}
        words, best = min(others.items(), key=lambda pair: pair[1])
        if best > IMPROVEMENT * as_told:
            return None
        return self.found(
            f"The pixels were brought to the network in another way than told: the first layer's gradient is {as_told:.1f} "
            f"deviations from what other photographs give, and {best:.1f} with this: {words}. Tell it by mean= and std=.",
            as_told,
        )


@dataclass(frozen=True, eq=False)
class _First:
    """The first layer, and what turns a parameter's slopes into those of its bias."""

    weight: str
    bias: str
    ratio: Tensor

    def features(self, gradient: Mapping[str, Tensor]) -> Tensor:
        """The mean input that the bias's slopes tell, and the logarithm of how much it varied, shape (2,)."""
        slopes, rows = gradient[self.bias] * self.ratio, gradient[self.weight]
        mean = slopes @ rows.flatten(1) / (slopes @ slopes).clamp_min(1e-300)
        if rows.ndim == 2:  # every input has a weight of its own
            return torch.stack([mean.mean().asinh(), mean.std().clamp_min(1e-300).log()])
        rest = (rows.flatten(1) - slopes[:, None] * mean).norm() / slopes.norm().clamp_min(1e-300)
        return torch.stack([mean.mean().asinh(), (rest / math.sqrt(len(mean))).clamp_min(1e-300).log()])


def _first_layer(case: Case) -> _First | None:
    """The one that pixels enter; a batch norm with stored statistics has its bias where it has none."""
    layers = list(layers_of(case.network, nn.Conv2d, nn.Linear, nn.BatchNorm2d).items())[:2]
    if not layers or isinstance(layers[0][1], nn.BatchNorm2d):
        return None
    (one, first), (two, second) = layers[0], layers[-1]
    found = _First(f"{one}.weight", f"{one}.bias", torch.ones(1, dtype=torch.float64))
    if first.bias is None and isinstance(second, nn.BatchNorm2d) and second.running_var is not None:
        spread = (second.running_var + second.eps).sqrt()
        found = _First(found.weight, f"{two}.bias", (second.weight.detach() / spread).double())
    return found if {found.weight, found.bias} <= case.sent.keys() else None


def _if(case: Case, first: _First, mean: tuple[float, ...], std: tuple[float, ...]) -> list[Tensor]:
    """What other photographs would give, had they been brought in this way."""
    shift, scale = (torch.tensor(numbers, dtype=torch.float64).view(1, -1, 1, 1) for numbers in (mean, std))
    from lab.federated.classifier import Normalise  # imported here: it needs torch, and findings are listed without

    input_transform = case.network.normalise
    if case.seen.image_shape[0] % shift.shape[1] or not isinstance(input_transform, Normalise):
        return []
    found = list[Tensor]()
    for trial, images in enumerate(case.others):
        as_pixels = input_transform.inverse((images - shift) / scale)
        labels = (torch.arange(len(images)) + trial) % case.seen.classes
        found.append(first.features(case.gradient_of(case.network, as_pixels, labels)))
    return found


def _distance(one: Tensor, others: list[Tensor]) -> float:
    """In deviations of the others, root mean square over both numbers."""
    if not others:
        return math.inf
    stacked = torch.stack(others)
    spread = stacked.std(0).clamp_min(0.1)
    return float(((one - stacked.mean(0)) / spread).square().mean().sqrt())
