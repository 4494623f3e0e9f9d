"""Which arrays of a file are the pictures and which their labels, by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import LabError
from lab.files.arrays import Header, listed

PARTS = ("train", "test", "val")

_PICTURES = ("images", "image", "imgs", "img", "pictures", "x", "data", "pixels", "features", "inputs", "input", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "classes", "class", "arr_1")
_ALIASES = {"training": "train", "testing": "test", "valid": "val", "validation": "val", "tr": "train", "te": "test"}


@dataclass(frozen=True)
class Pair:
    """The names of the array of pictures and of that of their labels; None where there are no labels."""

    images: str
    labels: str | None
    note: str = ""


def paired(found: Mapping[str, Header], part: str, where: str) -> Pair:
    """Pictures and labels of the part asked for, else of the first there is.

    MedMNIST writes ``train_images`` and ``train_labels``, Keras ``x_train`` and ``y_train``, others ``X`` and ``y``, or
    ``data`` and ``targets``. Names that say nothing will do where the shapes leave no doubt.
    Raises ``LabError`` with the arrays that are there.
    """
    parts = {one: pair for one in ("", *PARTS) if (pair := _of_part(found, one)) is not None}
    wanted = part if part else next(iter(parts), None)
    if wanted in parts:
        return _with_note(parts[wanted], wanted, tuple(parts), where)
    by_shape = None if part else _by_shape(found)
    if by_shape is None:
        asked = f"no pictures of the part {part!r}" if part else "no arrays that can be told to be pictures and labels"
        raise LabError(
            f"npz: {where} holds {asked}; its arrays are: {listed(dict(found)) or 'none'}. "
            "Save it by numpy.savez(path, images=..., labels=...)."
        )
    return by_shape


def _of_part(found: Mapping[str, Header], part: str) -> Pair | None:
    """The pair of one part by its names; "" is that of a file without parts."""
    bare = {name: _split(name) for name in found}
    pictures = [name for wanted in _PICTURES for name in found if bare[name] == (part, wanted) and len(found[name].shape) > 1]
    labels = [name for wanted in _LABELS for name in found if bare[name] == (part, wanted)]
    return Pair(pictures[0], labels[0] if labels else None) if pictures else None


def _split(name: str) -> tuple[str, str]:
    """A name as (part, what it holds): ``X_train`` and ``train_x`` are ("train", "x")."""
    words = [
        _ALIASES.get(word, word) for word in re.split(r"[_\W]+|(?<=[a-z])(?=[A-Z])", name) for word in [word.lower()] if word
    ]
    part = next((word for word in words if word in PARTS), "")
    return part, "_".join(word for word in words if word != part)


def _by_shape(found: Mapping[str, Header]) -> Pair | None:
    """The only array with pictures' dimensions, and the only other one, where it can be their labels."""
    pictures = [name for name, header in found.items() if len(header.shape) in (3, 4)]
    others = [name for name in found if name not in pictures]
    if len(pictures) != 1 or len(others) > 1:
        return None
    if others and found[pictures[0]].shape[0] not in found[others[0]].shape:
        return None
    taken = f"the array {pictures[0]} was taken for the pictures" + (f" and {others[0]} for their labels" if others else "")
    return Pair(pictures[0], others[0] if others else None, f"{taken[0].upper()}{taken[1:]}.")


def _with_note(pair: Pair, part: str, parts: tuple[str, ...], where: str) -> Pair:
    if len(parts) == 1:
        return pair
    named = [one or "without a name" for one in parts]
    return Pair(pair.images, pair.labels, f"{where} is in parts ({', '.join(named)}); the part {part or named[0]} was taken.")
