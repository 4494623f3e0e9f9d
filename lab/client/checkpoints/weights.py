"""Weights found in a file, brought to a network: by name under whatever wraps them, else by shape and order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from lab.lazy import Tensor, nn, torch

from lab.client.checkpoints.tree import Leaves, Names
from lab.errors import LabError
from lab.federated.tensors import IMAGES
from lab.modalities.base import modality_of

WRAPPERS = {"module", "_module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""What DataParallel, Opacus, torch.compile and others put into names, anywhere in them."""

STATISTICS = ("running_mean", "running_var")
_BESIDE = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")
"""Counters that no layer computes with; profilers leave some."""

_OPTIMISER = re.compile(r"optim|schedul|scaler", re.IGNORECASE)

Tensors = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Weights:
    """The tensors of a file (or of the lab's own) before it is known which of them fit a network."""

    leaves: Leaves
    where: str
    """Where they come from, in words."""
    renamed: Callable[[Tensors], Tensors] = dict
    """Turns names that a publisher gave into the lab's."""
    in_order: bool = True
    """Whether they stand in the order of the network."""

    @property
    def _file(self) -> str:
        """The same for what is said of a run, which may be shown to others: no folders."""
        return self.where.rpartition("/")[2]

    @property
    def classes(self) -> tuple[int, ...]:
        """How many classes there may be, the likeliest first: the rows of the last layer."""
        matrices = [(names, tensor) for names, tensor in self.leaves.items() if tensor.ndim > 1 and not _of_optimiser(names)]
        weights = [pair for pair in matrices if pair[0][-1].endswith("weight")] or matrices
        if not weights:
            raise LabError("The file holds no layer's weight; give the weights of a network.")
        ordered = weights if self.in_order else sorted(weights, key=lambda pair: _place(pair[0]))
        last = [ordered[-1], *[pair for pair in ordered if pair[1].ndim == 2][-1:]]
        return tuple(dict.fromkeys(len(tensor) for _, tensor in last))

    def put_into(self, network: nn.Module) -> tuple[str, ...] | None:
        """Load what fits, and say what needs saying; None where nothing fits, and the network is as it was.

        Raises ``LabError`` where what fits is damaged (NaN, infinity, no floats).
        """
        wanted = _wanted(network)
        found = self._by_name(wanted) or self._by_order(wanted)
        if found is None:
            return None
        tensors, note = found
        ready = {name: self._ready(name, tensor) for name, tensor in tensors.items()}
        network.load_state_dict(_counters(network) | ready)
        return (note,) if note else ()

    def strangeness(self, network: nn.Module) -> int:
        """How many tensors lack, are too many or have another shape."""
        wanted = _wanted(network)
        given = self._nearest(wanted)
        return sum(given[name].shape != wanted[name].shape if name in given else 1 for name in wanted) + len(
            given.keys() - wanted.keys()
        )

    def misfit(self, network: nn.Module, modality: str = IMAGES) -> LabError:
        """What does not fit, names and shapes, the first few of each kind."""
        wanted = _wanted(network)
        given = self._nearest(wanted)
        lacking = [name for name in wanted if name not in given]
        surplus = [name for name in given if name not in wanted]
        differing = [name for name in wanted if name in given and given[name].shape != wanted[name].shape]
        if _sizes(given) == _sizes(wanted) and lacking:
            return LabError(
                f"The weights of {self.where} have the shapes of this network under other names, in no order that tells "
                f"which is which; call them {', '.join(map(repr, [*wanted][:8]))}{' and so on' if len(wanted) > 8 else ''}."
            )
        if not lacking and not surplus:
            name, more = differing[0], len(differing) - 1
            others = f" (and {more} more)" if more else ""
            return LabError(
                f"The weights of {self.where} do not fit: {name!r} has the shape {tuple(given[name].shape)} where "
                f"{tuple(wanted[name].shape)} is wanted{others}; choose {modality_of(modality).fitting} that they "
                "were trained on, or other weights."
            )
        reasons = [
            f"they lack {_first(lacking, wanted)}" if lacking else "",
            f"they have a surplus {_first(surplus, given)}" if surplus else "",
            f"{differing[0]!r} has the shape {tuple(given[differing[0]].shape)}" if differing else "",
        ]
        said = ", ".join(reason for reason in reasons if reason)
        return LabError(f"The weights of {self.where} are for another network: {said}; choose the network they fit.")

    def _by_name(self, wanted: Tensors) -> tuple[Tensors, str] | None:
        fitting = [(prefix, tensors) for prefix, tensors in self._subtrees(wanted) if _same_shapes(tensors, wanted)]
        if not fitting:
            return None
        names = [".".join(prefix) or "at the top" for prefix, _ in fitting]
        several = f"{self._file} holds several fitting weights ({', '.join(names[:4])}); {names[0]} were taken."
        return fitting[0][1], several if len(fitting) > 1 else ""

    def _by_order(self, wanted: Tensors) -> tuple[Tensors, str] | None:
        """By the shapes of all tensors of one dictionary or list, the innermost that has them.

        What lies in dictionaries beside it must be an optimiser's or fit as well: otherwise this is a layer of a deeper
        network, or one network of several.
        """
        fitting: dict[Names, tuple[Tensors, dict[str, str]]] = {}
        for prefix, tensors in _parts(self.leaves):
            values = _comparable(tensors, wanted)
            matched = _matched_in_order(values, wanted) if self.in_order else _matched_by_shape(values, wanted)
            if matched is not None:
                fitting[prefix] = values, matched
        if not fitting or any(_unexplained(names, fitting) for names in self.leaves):
            return None
        values, matched = fitting[max(fitting, key=len)]
        pairs = [f"{theirs} as {ours}" for ours, theirs in list(matched.items())[:2]]
        note = f"The names in {self._file} are foreign: matched by shape and order ({', '.join(pairs)} ...)."
        return {ours: values[theirs] for ours, theirs in matched.items()}, note

    def _subtrees(self, wanted: Tensors) -> Iterator[tuple[Names, Tensors]]:
        """Every part of the file that could be a whole network, dots in names being the limits of parts, outermost first."""
        dropped = WRAPPERS - {part for name in wanted for part in name.split(".")}
        split = {tuple(".".join(names).split(".")): tensor for names, tensor in self.leaves.items()}
        bare = {tuple(part for part in names if part not in dropped): tensor for names, tensor in split.items()}
        for prefix, tensors in _parts(bare if len(bare) == len(split) else split):
            yield prefix, _comparable(self.renamed(tensors), wanted)

    def _nearest(self, wanted: Tensors) -> Tensors:
        """The part of the file that shares most names with the network; of equals the largest, then the innermost."""

        def nearness(part: tuple[Names, Tensors]) -> tuple[int, int, int]:
            prefix, tensors = part
            return len(tensors.keys() & wanted.keys()), sum(map(torch.numel, tensors.values())), len(prefix)

        return max(self._subtrees(wanted), key=nearness)[1]

    def _ready(self, name: str, tensor: Tensor) -> Tensor:
        """In single precision, every number finite. Raises ``LabError`` naming the tensor otherwise."""
        if tensor.is_meta:
            raise LabError(f"{name!r} of {self.where} has a shape but no numbers; save the weights from a real device.")
        if not tensor.is_floating_point():
            raise LabError(
                f"{name!r} of {self.where} holds {str(tensor.dtype).removeprefix('torch.')} where floats are wanted; "
                "give plain weights, neither quantised nor complex."
            )
        single = tensor.float()
        bad = int((~single.isfinite()).sum())
        if bad:
            raise LabError(
                f"{name!r} of {self.where} holds {bad} of {single.numel()} numbers that are NaN, infinite or beyond single "
                "precision: its training went wrong, or the file is damaged; give weights from before that."
            )
        return single


def _parts(leaves: Leaves) -> Iterator[tuple[Names, Tensors]]:
    """The tensors below each path of a file, by the rest of their names, the outermost first."""
    parts: dict[Names, Tensors] = {}
    for names, tensor in leaves.items():
        for depth in range(len(names)):
            parts.setdefault(names[:depth], {})[".".join(names[depth:])] = tensor
    for prefix in sorted(parts, key=len):
        yield prefix, parts[prefix]


def _unexplained(names: Names, fitting: Collection[Names]) -> bool:
    """Whether a tensor lies in a dictionary that is neither an optimiser's nor fits the network."""
    inside = any(names[: len(prefix)] == prefix for prefix in fitting)
    return len(names) > 1 and not inside and not _of_optimiser(names)


def _wanted(network: nn.Module) -> Tensors:
    return {name: value for name, value in network.state_dict().items() if not name.endswith(_BESIDE)}


def _counters(network: nn.Module) -> Tensors:
    return {name: value for name, value in network.state_dict().items() if name.endswith(_BESIDE)}


def _comparable(tensors: Tensors, wanted: Tensors) -> Tensors:
    """Without counters and other single numbers, and without stored statistics where the network uses the batch's own."""
    statistics = any(name.endswith(STATISTICS) for name in wanted)
    unused = _BESIDE if statistics else (*_BESIDE, *STATISTICS)
    return {name: value for name, value in tensors.items() if name in wanted or (value.ndim and not name.endswith(unused))}


def _same_shapes(given: Tensors, wanted: Tensors) -> bool:
    return given.keys() == wanted.keys() and all(given[name].shape == wanted[name].shape for name in wanted)


def _matched_in_order(given: Tensors, wanted: Tensors) -> dict[str, str] | None:
    """Our names -> theirs where the shapes agree one after another."""
    if [value.shape for value in given.values()] != [value.shape for value in wanted.values()]:
        return None
    return dict(zip(wanted, given, strict=True))


def _matched_by_shape(given: Tensors, wanted: Tensors) -> dict[str, str] | None:
    """The like for names sorted by the alphabet: those of one shape must differ in their numbers alone to have an order."""
    ours, theirs = _grouped(wanted), _grouped(given)
    if _sizes(wanted) != _sizes(given):
        return None
    if any(len({re.sub(r"\d+", "#", name) for name in names}) > 1 for names in theirs.values()):
        return None
    ordered = {shape: sorted(names, key=lambda name: _place(name.split("."))) for shape, names in theirs.items()}
    pairs = {mine: other for shape in ours for mine, other in zip(ours[shape], ordered[shape], strict=True)}
    return {name: pairs[name] for name in wanted}


def _grouped(tensors: Tensors) -> dict[torch.Size, list[str]]:
    groups: dict[torch.Size, list[str]] = {}
    for name, value in tensors.items():
        groups.setdefault(value.shape, []).append(name)
    return groups


def _sizes(tensors: Tensors) -> Counter[torch.Size]:
    """How many tensors of each shape there are."""
    return Counter(value.shape for value in tensors.values())


def _place(names: Names | list[str]) -> list[tuple[bool, int, str]]:
    """Numbers in names count as numbers: ``head.10`` comes after ``head.2``."""
    parts = [part for name in names for part in re.split(r"(\d+)", name) if part]
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _of_optimiser(names: Names) -> bool:
    return any(_OPTIMISER.search(name) for name in names)


def _first(names: list[str], tensors: Tensors) -> str:
    shown = ", ".join(f"{name!r} {tuple(tensors[name].shape)}" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
