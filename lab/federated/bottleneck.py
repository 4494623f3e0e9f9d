"""A variational bottleneck in a network's head: an encoder, a code drawn by chance, and a decoder (PRECODE)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.lazy import Float

ENCODER, SAMPLE, DECODER = "encoder", "sample", "decoder"

Sampler = Callable[[Tensor], Tensor]
"""Standard normal numbers of a tensor's shape."""


class Sample(nn.Module):
    """A code from its mean and the logarithm of its variance, side by side: the mean itself unless chance is drawn from."""

    draw: Sampler | None = None

    def forward(self, told: Tensor) -> Tensor:
        """The code m + n exp(l / 2)."""
        mean, spread = told.chunk(2, -1)
        return mean if self.draw is None else mean + self.draw(mean) * (spread / 2).exp()


def divergence(told: Tensor) -> Float[Tensor, " batch"]:
    """KL(N(m, e^l) || N(0, 1)) of each input's code."""
    mean, spread = told.flatten(1, -2).chunk(2, -1) if told.dim() > 2 else told.chunk(2, -1)
    return (mean.square() + spread.exp() - 1 - spread).sum(-1) / 2


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """Where one stands: the names of its layers within the head."""

    encoder: str
    sample: str
    decoder: str
    above: tuple[str, ...]
    """The layers behind it."""


def bottlenecks(head: nn.Sequential) -> list[Bottleneck]:
    """Those of a head, from its input on."""
    names = [name for name, _ in head.named_children()]
    places = [place for place, module in enumerate(head.children()) if isinstance(module, Sample)]
    return [Bottleneck(*names[place - 1 : place + 2], above=tuple(names[place + 2 :])) for place in places]


def with_bottleneck(head: nn.Sequential, size: int) -> nn.Sequential:
    """A head whose last layer is given what a code of so many numbers tells of its inputs; other layers keep their names."""
    layers = dict(head.named_children())
    name, last = layers.popitem()
    assert isinstance(last, nn.Linear)
    number = len(bottlenecks(head)) or ""
    made = (nn.Linear(last.in_features, 2 * size), Sample(), nn.Linear(size, last.in_features))
    layers |= {f"{own}{number}": layer for own, layer in zip((ENCODER, SAMPLE, DECODER), made, strict=True)}
    grown = nn.Sequential()
    for own, layer in (layers | {name: last}).items():
        grown.add_module(own, layer)
    return grown


def samples(model: nn.Module) -> list[Sample]:
    """What draws by chance in a network."""
    return [module for module in model.modules() if isinstance(module, Sample)]


@contextmanager
def sampling(model: nn.Module, draw: Sampler) -> Generator[None]:
    """Inside, its codes are drawn by chance."""
    before = [(sample, sample.draw) for sample in samples(model)]
    for sample, _ in before:
        sample.draw = draw
    try:
        yield
    finally:
        for sample, own in before:
            sample.draw = own


@contextmanager
def recording_parameters(model: nn.Module, told: list[Tensor]) -> Generator[None]:
    """Inside, what each code is drawn by is put on the list."""
    hooks = [sample.register_forward_pre_hook(lambda _, given: told.append(given[0])) for sample in samples(model)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def total_divergence(told: list[Tensor]) -> Float[Tensor, " batch"]:
    """Of all codes of each input."""
    return torch.stack([divergence(one) for one in told]).sum(0)
