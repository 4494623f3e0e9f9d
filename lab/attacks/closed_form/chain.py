"""A network's body as a chain of modules, and what in it no closed form undoes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.lazy import Float

from lab.attacks.base import Outcome
from lab.attacks.closed_form.activations import POINTWISE
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.federated.classifier import Classifier

PASSED_THROUGH = (nn.Identity, nn.Dropout, nn.Dropout2d)
LINEAR = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
MAX_POOLING = (nn.MaxPool2d, nn.AdaptiveMaxPool2d)


@dataclass(frozen=True, eq=False)
class Link:
    """One module of the chain."""

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]


@dataclass(frozen=True)
class Obstacle:
    """Why a body cannot be inverted in closed form, with the number that shows it."""

    outcome: Outcome
    note: str


def chain(network: Classifier, image_shape: tuple[int, int, int], pictures: int = 1) -> list[Link]:
    """The body's modules from the picture upwards, with the shape that enters each; pass-through ones left out."""
    body = network.features
    plain = isinstance(body, nn.Sequential) and type(body).forward is nn.Sequential.forward
    modules = list(body.named_children()) if plain else [("", body)]
    kept = [(f"features.{name}" if name else "features", m) for name, m in modules if not isinstance(m, PASSED_THROUGH)]
    reference = next(network.parameters())
    values: Tensor = torch.zeros(pictures, *image_shape, dtype=reference.dtype, device=reference.device)
    links = []
    with torch.no_grad():
        for name, module in kept:
            links.append(Link(name, module, tuple(values.shape)))
            values = module(values)
    return links


def obstacle(links: list[Link]) -> Obstacle | None:
    """The first module, from the top, that hides its input."""
    for link in reversed(links):
        found = _obstacle(link)
        if found is not None:
            return found
    return None


def _obstacle(link: Link) -> Obstacle | None:
    module, name = link.module, link.name
    if isinstance(module, MAX_POOLING):
        return Obstacle(ClosedFormOutcome.PEEL_MAX_POOLING, _max_pooling_note(link))
    if isinstance(module, nn.BatchNorm2d):
        if not has_stored_statistics(module):
            return Obstacle(
                ClosedFormOutcome.PEEL_UNSUPPORTED, f"{name} normalises by statistics of the batch that the server never sees."
            )
        return None
    if isinstance(module, nn.Conv2d):
        note = f"{name} is a convolution with {module.groups} groups and padding {module.padding_mode!r}."
        return None if is_plain(module) else Obstacle(ClosedFormOutcome.PEEL_UNSUPPORTED, note)
    if isinstance(module, (*POINTWISE, *LINEAR)):
        return None
    inner = sum(isinstance(part, nn.Conv2d) for part in module.modules())
    if inner:
        return Obstacle(ClosedFormOutcome.PEEL_SKIP, f"{name} holds {inner} convolutions on branches that are added or joined.")
    return Obstacle(ClosedFormOutcome.PEEL_UNSUPPORTED, f"{name} is a {type(module).__name__}.")


def is_plain(module: nn.Conv2d) -> bool:
    """Whether each output sees all channels, and the border is zeros or the other side."""
    return module.groups == 1 and module.padding_mode in ("zeros", "circular") and not isinstance(module.padding, str)


def has_stored_statistics(module: nn.BatchNorm2d) -> bool:
    """Whether a batch norm scales as the server knows it; by a batch's own statistics it does not."""
    return module.running_var is not None and not module.training


def scale_and_shift(module: nn.BatchNorm2d) -> tuple[Float[Tensor, "1 channels 1 1"], Float[Tensor, "1 channels 1 1"]]:
    """Batch norm by stored statistics as y = scale x + shift, both of shape (1, channels, 1, 1)."""
    reference = next(iter([*module.parameters(), *module.buffers()]))
    zeros = torch.zeros(1, module.num_features, 1, 1, dtype=reference.dtype, device=reference.device)
    with torch.no_grad():
        shift = module(zeros)
        return module(zeros + 1) - shift, shift


def _max_pooling_note(link: Link) -> str:
    module = link.module
    with torch.no_grad():
        one = torch.zeros(1, *link.input_shape[1:], dtype=torch.float32)
        kept, seen = module(one).numel(), one.numel()
    return f"{link.name} keeps {kept:,} of {seen:,} numbers, and which ones is unknown."


def describe(module: nn.Conv2d) -> str:
    """A convolution in words."""
    rows, columns = module.kernel_size
    stride = f", stride {module.stride[0]}" if module.stride != (1, 1) else ""
    around = ", circular" if module.padding_mode == "circular" else ""
    return f"convolution {rows}x{columns}, {module.in_channels} to {module.out_channels} channels{stride}{around}"
