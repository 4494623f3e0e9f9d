"""Inputs of any kind alike: one tensor, or several by name, the batch first in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Inputs, Shape

SINGLE = "inputs"
"""The name of a tensor that stands alone."""


def as_mapping(inputs: Inputs) -> Mapping[str, Tensor]:
    """The tensors by name."""
    return inputs if isinstance(inputs, Mapping) else {SINGLE: inputs}


def as_in(like: Inputs | Shape, tensors: Mapping[str, Tensor]) -> Inputs:
    """Tensors by name in the form of ``like``: as they are, or the one that stands alone."""
    return tensors if isinstance(like, Mapping) else tensors[SINGLE]


def tree_map(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """The function of every tensor."""
    if not isinstance(inputs, Mapping):
        return function(inputs)
    return {name: function(tensor) for name, tensor in inputs.items()}


def zip_map(function: Callable[[Tensor, Tensor], Tensor], one: Inputs, other: Inputs) -> Inputs:
    """The function of every two tensors of the same name."""
    others = as_mapping(other)
    return as_in(one, {name: function(tensor, others[name]) for name, tensor in as_mapping(one).items()})


def add_scaled(one: Inputs, factor: Tensor | float, other: Inputs) -> Inputs:
    """One + factor * other."""
    return zip_map(lambda a, b: a + factor * b, one, other)


def first(inputs: Inputs) -> Tensor:
    """Any of the tensors: all have the same batch, precision and place."""
    return next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs


def count(inputs: Inputs) -> int:
    """How many inputs there are."""
    return len(first(inputs))


def rows(inputs: Inputs, which: Tensor | slice) -> Inputs:
    """Some of the inputs, by their numbers."""
    return tree_map(lambda tensor: tensor[which], inputs)


def concatenated(one: Inputs, other: Inputs) -> Inputs:
    """Those of the one, then those of the other."""
    return zip_map(lambda a, b: torch.cat([a, b]), one, other)


def moved_to(inputs: Inputs, like: Tensor | torch.device) -> Inputs:
    """On another device; to a tensor's precision, too, where they are no whole numbers."""
    return tree_map(lambda tensor: tensor.to(like) if tensor.is_floating_point() else tensor.to(_device(like)), inputs)


def detached(inputs: Inputs) -> Inputs:
    """Copies outside any graph."""
    return tree_map(lambda tensor: tensor.detach().clone(), inputs)


def is_equal(one: Inputs, other: Inputs) -> bool:
    """Whether every number is."""
    pairs = zip(as_mapping(one).values(), as_mapping(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def element_count(inputs: Inputs) -> int:
    """How many numbers there are."""
    return sum(tensor.numel() for tensor in as_mapping(inputs).values())


def mean_magnitude(inputs: Inputs) -> Tensor:
    """The mean absolute value of all numbers."""
    return (flat(inputs) if isinstance(inputs, Mapping) else inputs).abs().mean()


def flat(inputs: Inputs) -> Float[Tensor, "batch numbers"]:
    """The numbers of each input side by side."""
    if not isinstance(inputs, Mapping):
        return inputs.flatten(1)
    return torch.cat([tensor.flatten(1) for tensor in inputs.values()], 1)


def shape_of(inputs: Inputs) -> Shape:
    """That of one input."""
    if not isinstance(inputs, Mapping):
        return tuple(inputs.shape[1:])
    return {name: tuple(tensor.shape[1:]) for name, tensor in inputs.items()}


def spoken_shape(inputs: Inputs) -> str:
    """The shapes, the batch first, for a sentence."""
    if not isinstance(inputs, Mapping):
        return str(tuple(inputs.shape))
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in inputs.items())


def built(shape: Shape, maker: Callable[[tuple[int, ...]], Tensor]) -> Inputs:
    """Inputs of that shape, each tensor made of its own."""
    return {name: maker(own) for name, own in shape.items()} if isinstance(shape, Mapping) else maker(shape)


def uniform(shape: Shape, number: int, generator: torch.Generator, precision: torch.dtype) -> Inputs:
    """So many uniformly random inputs of that shape, on the CPU."""
    return built(shape, lambda own: torch.rand(number, *own, generator=generator, dtype=precision))


def _device(like: Tensor | torch.device) -> torch.device:
    return like.device if isinstance(like, Tensor) else like
