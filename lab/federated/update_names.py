"""The names in an update: of which parameter each tensor is, however the update came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeGuard

from lab.lazy import Tensor, nn, np

from lab.errors import LabError
from lab.options.data import is_mapping

NAMED = 3
"""So many names are spelt out in a sentence, and the others counted."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What a batch norm counts; a state dictionary holds it beside the parameters."""


def by_parameter_name(network: nn.Module, update: Any) -> dict[str, Any]:
    """The update by the names of the network's parameters; what is None, or a statistic of a batch norm, is left out.

    As of ``by_parameter_name_with_counts``.
    """
    return by_parameter_name_with_counts(network, update)[0]


def by_parameter_name_with_counts(network: nn.Module, update: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The update by the names of the network's parameters, and what its batch norms counted by the names of its buffers.

    What is None is left out. ``update`` is a mapping by name, or a sequence in the order of ``parameters()`` (all, or those
    that train) or of ``state_dict()``. Raises ``LabError`` for spare names, and for a sequence that fits none of these orders.
    """
    if is_mapping(update):
        return _known(network, {str(name): tensor for name, tensor in update.items() if tensor is not None})
    if not _is_listing(update):
        raise LabError(
            f"An update is {{name: tensor}} or a list of tensors in the order of model.parameters(), and this is one "
            f"{type(update).__name__}; give as many tensors as the model has parameters."
        )
    tensors = list(islice(update, _most(network) + 1))  # what comes one by one need not come to an end
    names = _order(network, tensors)
    return _known(network, {name: tensor for name, tensor in zip(names, tensors, strict=True) if tensor is not None})


def _most(network: nn.Module) -> int:
    """The tensors of the longest usual order."""
    return max(len(dict(network.named_parameters())), len(network.state_dict()))


def _is_listing(update: object) -> TypeGuard[Iterable[Any]]:
    """Whether it holds tensors one after another; one tensor or text, which holds its own parts, does not."""
    return isinstance(update, Iterable) and not isinstance(update, Tensor | np.ndarray | str | bytes)


def _known(network: nn.Module, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is given for parameters, a shared one under its first name; and for what batch norms count."""
    first = {id(parameter): name for name, parameter in network.named_parameters()}
    names = {name: first[id(parameter)] for name, parameter in network.named_parameters(remove_duplicate=False)}
    given = unwrapped(given, names)
    others = dict(network.named_buffers())
    spare = [name for name in given if name not in names and name not in others and not name.endswith(STATISTICS)]
    if spare:
        near = get_close_matches(spare[0], [name for name in names if name not in given], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise LabError(
            f"The update names {spoken_names(spare)}, which the model does not have.{hint} Give it the names of "
            "model.named_parameters()."
        )
    counts = {name: tensor for name, tensor in given.items() if name in others and name.endswith(STATISTICS)}
    return {names[name]: tensor for name, tensor in reversed(given.items()) if name in names}, counts


def _order(network: nn.Module, tensors: list[Any]) -> list[str]:
    """The names of a list's tensors, by the first usual order that their number and shapes fit."""
    parameters, state = dict(network.named_parameters()), network.state_dict()
    trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
    orders = [order for order in (trained, list(parameters), list(state)) if len(order) == len(tensors)]
    sizes = {name: np.shape(tensor) for name, tensor in (*state.items(), *parameters.items())}
    unlike = [next(_unlike(order, tensors, sizes), "") for order in orders]
    for order, sentence in zip(orders, unlike, strict=True):
        if not sentence:
            return order
    if unlike:
        raise LabError(unlike[0])
    many = f"{len(tensors)}" if len(tensors) <= _most(network) else f"more than {_most(network)}"
    raise LabError(
        f"The update is a list of {many} tensors, and the model has {len(parameters)} parameters, of which "
        f"{len(trained)} train; give one for each, in the order of model.parameters(), or {{name: tensor}}."
    )


def _unlike(order: list[str], tensors: list[Any], sizes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """A sentence for each tensor of a list that cannot be what stands at its place."""
    for place, (name, tensor) in enumerate(zip(order, tensors, strict=True)):
        shape = np.shape(tensor)
        if tensor is not None and shape != sizes[name]:
            yield (
                f"Number {place} of the update (counted from 0) has the shape {tuple(shape)}, and {name}, which stands there "
                f"in the model, has {tuple(sizes[name])}; give tensors in the order of model.parameters(), or {{name: tensor}}."
            )


def unwrapped(update: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same with wrappers' prefixes taken off, where no name fits as it is. Raises ``LabError`` where none does then."""
    given = without_wrappers(update, names)
    if not given:
        raise LabError(
            f"The update names none of the network's parameters: it has {spoken_names(update)}, the network has "
            f"{spoken_names(names)}. Give it the network's names."
        )
    return given


def without_wrappers(tensors: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The tensors without as many first parts of their names as stand before any that is known; none where none ever is."""
    given, known = dict(tensors), set(names)
    while given and known.isdisjoint(given):
        given = {name.partition(".")[2]: tensor for name, tensor in given.items() if "." in name}
    return given


def spoken_names(names: Iterable[str]) -> str:
    """The first names, and how many others there are: "a, b, c and 2 more"."""
    listed = list(names)
    rest = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
