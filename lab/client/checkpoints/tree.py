"""The tensors in whatever a file holds, each by its path: in ``{"net": {"fc.bias": b}}`` it is ("net", "fc.bias")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.lazy import Tensor, torch

from lab.client.checkpoints.inert_objects import Array, OpaqueObject
from lab.client.checkpoints.weight_files import HOW
from lab.errors import LabError

MAX_NUMBERS = 2**30
"""In a tensor of which a file keeps only some."""

Names = tuple[str, ...]
Leaves = dict[Names, Tensor]


def leaves(content: Any, path: Path) -> Leaves:
    """All tensors in the file's order. Raises ``LabError`` where there are none."""
    found = {names: tensor for names, value in _walk(content) if names and (tensor := _tensor(value)) is not None}
    if found:
        return found
    if any(isinstance(value, OpaqueObject) and value.is_module for _, value in _walk(content)):
        raise LabError(f"{path} is a whole pickled network, which only its own code could rebuild; with that, {HOW}.")
    raise LabError(f"{path} is not a dictionary of tensors by name; {HOW}.")


def _walk(content: Any) -> Iterator[tuple[Names, Any]]:
    """Every value that is no container, with its path; a container that is met again (or holds itself) is not entered."""
    waiting: list[tuple[Names, Any]] = [((), content)]
    entered = set[int]()
    while waiting:
        names, value = waiting.pop()
        inside = _inside(value)
        if inside is None:
            yield names, value
        elif id(value) not in entered:
            entered.add(id(value))
            waiting += [((*names, str(key)), item) for key, item in reversed(inside)]


def _inside(value: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else None


def _tensor(value: Any) -> Tensor | None:
    """A value as a plain, dense tensor; None where it is none."""
    if isinstance(value, Array):
        return value.tensor()
    if not isinstance(value, Tensor):
        return None
    if value.layout is not torch.strided and value.numel() > MAX_NUMBERS:
        raise LabError(
            f"A sparse tensor of the shape {tuple(value.shape)} has more than {MAX_NUMBERS:,} numbers; save a dense one."
        )
    dense = value.dequantize() if value.is_quantized else value
    return (dense.to_dense() if dense.layout is not torch.strided else dense).detach()
