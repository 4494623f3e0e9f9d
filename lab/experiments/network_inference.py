"""Which network of the catalogue some weights belong to, told by their shapes alone: nothing of it is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.federated.tensors import IMAGES
from lab.federated.update_names import STATISTICS
from lab.options.catalogue import entries
from lab.options.fields import Field, fields_of

Sizes = Counter[tuple[int, ...]]
"""How many tensors of each shape there are."""
ROUNDS = 4
"""So many times, at most, each option of a network is chosen anew, the others as they are."""
MAX_TRIED = 12
"""Small whole numbers are tried, and those that the shapes themselves hold."""
MAX_HELD = 24
NO_DIFFERENCE = (0, 0)
CONVOLUTION = 4
"""Sides of its weight."""
NAMED = 3


def infer_network(
    weights: Mapping[str, Tensor], shape: tuple[int, int, int], classes: Iterable[int], first: Iterable[Network] = ()
) -> tuple[Network, int]:
    """The network and its number of classes; of those ``first`` one that fits, else the nearest of the whole catalogue.

    ``shape`` is (channels, height, width) of a picture. Raises ``LabError`` where none has these shapes.
    """
    wanted = _trained(weights)
    for count in classes:
        for network in chain(first, _nearest_of_each(wanted, shape, count)):
            if _strangeness(network, wanted, shape, count) == NO_DIFFERENCE:
                return network, count
    listed = ", ".join(" x ".join(map(str, size)) for size in list(wanted)[:NAMED])
    raise LabError(
        f"No network of the lab's catalogue has weights of these shapes ({listed} ...) for pictures of {shape}, and a model of "
        "one's own is code, which runs on the command line alone: gradlab run --model FILE.py:NAME --update CAPTURE."
    )


def fits(network: Network, weights: Mapping[str, Tensor], shape: tuple[int, int, int], classes: int) -> bool:
    """Whether the network has weights of these shapes, however they are called."""
    return _strangeness(network, _trained(weights), shape, classes) == NO_DIFFERENCE


def undetermined_options(network: Network) -> tuple[str, ...]:
    """Which of its options no shape tells: nonlinearities, paddings and their like."""
    return tuple(field.name for field in fields_of(type(network)) if isinstance(getattr(network, field.name), Enum))


def _nearest_of_each(wanted: Sizes, shape: tuple[int, int, int], classes: int) -> Iterator[Network]:
    """Of each kind of network that takes pictures the one that comes nearest, option by option; the likeliest kind first."""
    made = (entry() for entry in entries("network").values())
    usual = [network for network in made if isinstance(network, Network) and network.modality == IMAGES]
    alike = [network for network in usual if _convolves(_own(network, shape, classes)) == _convolves(wanted)]
    for network in sorted(alike, key=lambda network: _strangeness(network, wanted, shape, classes)):
        yield _nearest(network, wanted, shape, classes)


def _convolves(sizes: Sizes) -> bool:
    """Whether there are convolutions, which no option of any network takes away."""
    return any(len(size) == CONVOLUTION for size in sizes)


def _nearest(network: Network, wanted: Sizes, shape: tuple[int, int, int], classes: int) -> Network:
    for _ in range(ROUNDS):
        before = network
        for field in fields_of(type(network)):
            network = _with_best(network, field, wanted, shape, classes)
        if network == before:
            break
    return network


def _with_best(network: Network, field: Field, wanted: Sizes, shape: tuple[int, int, int], classes: int) -> Network:
    """With the value of one option that comes nearest."""
    best = _strangeness(network, wanted, shape, classes)
    for value in _values(field, wanted):
        other = _changed(network, field.name, value)
        found = best if other is None else _strangeness(other, wanted, shape, classes)
        if other is not None and _is_nearer(found, best):
            network, best = other, found
    return network


def _is_nearer(found: tuple[int, int], best: tuple[int, int]) -> bool:
    """Fewer lack; fewer to spare count where none lacks, as else the smallest network would be the nearest."""
    return found[0] < best[0] or (found[0] == best[0] == 0 and found[1] < best[1])


def _changed(network: Network, name: str, value: Any) -> Network | None:
    """With another value of one option; None where that is not allowed."""
    try:
        return replace(network, **{name: value})
    except LabError:
        return None


def _values(field: Field, wanted: Sizes) -> Iterable[Any]:
    """What an option may be that has a say in shapes."""
    if field.choices is not None:
        return field.choices
    if field.type is bool:
        return (False, True)
    if isinstance(field.default, Enum):
        return type(field.default)
    if field.type is not int or field.bounds is None:
        return ()
    held = sorted({side for size in wanted for side in size})[:MAX_HELD]
    low, high = field.bounds.low, field.bounds.high
    return sorted(value for value in {*held, *range(1, MAX_TRIED + 1)} if low <= value <= high)


def _strangeness(network: Network, wanted: Sizes, shape: tuple[int, int, int], classes: int) -> tuple[int, int]:
    """How many shapes the network lacks, and how many it has to spare."""
    own = _own(network, shape, classes)
    return (wanted - own).total(), (own - wanted).total()


@lru_cache(maxsize=512)
def _own(network: Network, shape: tuple[int, int, int], classes: int) -> Sizes:
    """The network's shapes; none where it takes no such pictures."""
    try:
        with torch.device("meta"):
            parts = network.modules(shape, classes)
    except LabError:
        return Sizes()
    return _sizes({f"{place}.{name}": weight for place, part in enumerate(parts) for name, weight in part.named_parameters()})


def _trained(weights: Mapping[str, Tensor]) -> Sizes:
    """Of what a model holds, without what its batch norms count."""
    return _sizes({name: tensor for name, tensor in weights.items() if not name.endswith(STATISTICS)})


def _sizes(tensors: Mapping[str, Tensor]) -> Sizes:
    return Counter(tuple(tensor.shape) for tensor in tensors.values())
