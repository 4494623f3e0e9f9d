"""Shapes in signatures: what a public function of the closed forms takes and returns says its shape, and is held to it."""

import builtins
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, get_args, get_type_hints

import pytest
import torch
from jaxtyping import Bool, Float, TypeCheckError
from torch import Tensor

import lab.attacks.closed_form
import lab.attacks.labels
from lab import lazy
from lab.attacks.closed_form.cgls import Rows
from lab.attacks.closed_form.linear_layers import divide
from lab.attacks.labels.llg import mean_gradient_of
from lab.federated.tensors import Gradients, Inputs

ANY_SHAPE = {
    Inputs: "each modality's own, and each tensor of several has its own",
    Gradients: "keyed by parameter, and each has the shape of its own",
    Rows: "a block of equations for each layer that has some, in the shape of its outputs or weights",
}
OF_ANY_PARAMETER = {(inspect.unwrap(mean_gradient_of), "return"): "the gradient of whichever parameter was asked for"}
PACKAGES = (lab.attacks.closed_form, lab.attacks.labels)
MODULES = [found.name for package in PACKAGES for found in walk_packages(package.__path__, f"{package.__name__}.")]


def is_shapeless(hint):
    """Whether a tensor stands in it, at any depth, without a word about its shape."""
    if hint in (Tensor, lazy.Tensor) or getattr(hint, "dim_str", None) == "...":
        return True
    if isinstance(hint, list):
        return any(is_shapeless(part) for part in hint)
    return not any(hint == allowed for allowed in ANY_SHAPE) and any(is_shapeless(part) for part in get_args(hint))


class Names(dict):
    """What a module's annotations may name; what it imports for type checkers alone may be anything."""

    def __missing__(self, name):
        return getattr(builtins, name, Any)


def hints(owner, module):
    return get_type_hints(owner, localns=Names(vars(module)))


def signatures(module):
    """(words, function or class, its hints) of all that is public in it: functions, classes' fields, methods, properties."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(member):
            yield f"{name}'s fields", member, hints(member, module)
            yield from ((f"{name}.{part}", code, hints(code, module)) for part, code in methods(member))
        elif inspect.isfunction(member):
            yield name, inspect.unwrap(member), hints(inspect.unwrap(member), module)


def methods(kind):
    for name, member in vars(kind).items():
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        code = member.fget if isinstance(member, property) else member.func if isinstance(member, cached_property) else member
        if inspect.isfunction(code):
            yield name, inspect.unwrap(code)


@pytest.mark.parametrize("name", MODULES)
def test_each_public_signature_says_the_shapes_of_its_tensors(name):
    module = import_module(name)
    bare = [
        f"{words}: {part}"
        for words, code, found in signatures(module)
        for part, hint in found.items()
        if is_shapeless(hint) and (code, part) not in OF_ANY_PARAMETER
    ]
    assert not bare, f"{name} names tensors without a shape: {', '.join(bare)}"


BARE = (Tensor, lazy.Tensor, Tensor | None, list[Tensor], Mapping[str, tuple[Tensor, float]], Sequence[Tensor])
BARE += (Callable[[Tensor], float], Callable[[float], Tensor], Float[Tensor, "..."], Iterator[Float[Tensor, " rows"] | Tensor])
SHAPED = (float, Float[Tensor, ""], Callable[[Float[Tensor, "*any"]], Bool[Tensor, " rows"]], Gradients, Rows)
PUBLIC = (
    "linear_layers.divide",
    "convolution.Convolution.weight",
    "layer_equations.Point.__init__",
    "batch.HeadInputs's fields",
    "spatial.topmost_convolution.TopmostConvolution.reached",
    "spatial.robust_least_squares.Branch.matrix",
)


@pytest.mark.parametrize("hint", BARE)
def test_a_tensor_without_a_shape_is_found_wherever_it_stands(hint):
    assert is_shapeless(hint)


@pytest.mark.parametrize(
    "hint", [float, Float[Tensor, ""], Callable[[Float[Tensor, "*any"]], Bool[Tensor, " rows"]], Gradients, Rows]
)
def test_a_shape_is_enough(hint):
    assert not is_shapeless(hint)


def test_what_is_read_is_all_that_is_public():
    """Else a change of how the tests check shapes would leave the law nothing to hold."""
    read = {f"{name}.{words}" for name in MODULES for words, _, _ in signatures(import_module(name))}
    assert read >= {f"lab.attacks.closed_form.{words}" for words in PUBLIC}


def test_shapes_that_do_not_fit_are_refused_while_testing():
    with pytest.raises(TypeCheckError):
        divide(torch.ones(3, 4), torch.ones(2), 0)
