"""Labels as people store them (numbers, columns, one-hot rows, names, identifiers) turned into class numbers from 0 on."""

from __future__ import annotations

from dataclasses import dataclass

from lab.lazy import np

from lab.client.datasets.base import CIFAR10_CLASSES, MAX_CLASSES
from lab.errors import LabError

MAX_NUMBERS = 1000
"""Labels below this are class numbers as they stand, with or without gaps; above it, gaps make identifiers of them."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The class number of each picture, the names of all classes, and what was done where it needs saying."""

    numbers: np.ndarray
    names: tuple[str, ...]
    note: str = ""


def understood(labels: np.ndarray, pictures: int, where: str) -> Classes:
    """The classes behind an array of labels. Raises ``LabError`` with what is there where it cannot be understood."""
    flat, note = _one_each(labels, pictures, where)
    if flat.dtype.kind in "US":
        return _named(np.char.decode(flat, "latin-1") if flat.dtype.kind == "S" else flat, where)
    numbers = _whole(flat, where)
    if numbers.min() >= 0 and numbers.max() < MAX_NUMBERS:
        return Classes(numbers.astype(np.int64), _numbered(int(numbers.max()) + 1), note)
    values, places = np.unique(numbers, return_inverse=True)
    _check_count(len(values), where)
    if values[0] == 0 and values[-1] == len(values) - 1:
        return Classes(places, _numbered(len(values)), note)
    names = _with_counterpart(values)
    return Classes(places, names, f"The identifiers in {where} were numbered in their order ({_shown(names)}).")


def _one_each(labels: np.ndarray, pictures: int, where: str) -> tuple[np.ndarray, str]:
    """One label for each picture, shape (pictures,): a column is flattened, of a one-hot row the place of its 1 is taken."""
    column = labels.reshape(-1)
    if labels.size == pictures and max(labels.shape, default=0) == pictures:
        return column, ""
    if labels.ndim == 2 and len(labels) == pictures and labels.dtype.kind in "biuf":
        if bool((((labels == 0) | (labels == 1)).all()) and (labels.sum(1) == 1).all()):
            return labels.argmax(1), f"The one-hot rows in {where} were taken for class numbers."
        raise LabError(
            f"npz: {where} has {labels.shape[1]} labels for each picture, and not exactly one of them is set; "
            "give one class number for each picture."
        )
    raise LabError(
        f"npz: {where} has {len(labels) if labels.ndim else 1} labels (shape {labels.shape}) for {pictures} pictures; "
        "give one label for each."
    )


def _whole(flat: np.ndarray, where: str) -> np.ndarray:
    """Whole numbers, also where they are stored as floats or as true and false."""
    if flat.dtype.kind == "b":
        return flat.astype(np.int64)
    if flat.dtype.kind in "iu":
        return flat
    if flat.dtype.kind == "f" and np.isfinite(flat).all() and (flat == flat.round()).all() and abs(flat).max() < 2**53:
        return flat.astype(np.int64)
    raise LabError(f"npz: {where} must hold whole numbers or names, one for each picture; it holds {flat.dtype}.")


def _named(flat: np.ndarray, where: str) -> Classes:
    """Names in alphabetical order; those of CIFAR-10 keep its numbers, as in a folder of pictures."""
    values, places = np.unique(flat, return_inverse=True)
    _check_count(len(values), where)
    if set(values.tolist()) <= set(CIFAR10_CLASSES):
        return Classes(np.array([CIFAR10_CLASSES.index(name) for name in flat]), CIFAR10_CLASSES)
    names = _with_counterpart(values)
    return Classes(places, names, f"The names in {where} were numbered in alphabetical order ({_shown(names)}).")


def _with_counterpart(values: np.ndarray) -> tuple[str, ...]:
    """The values as names; a lone one gets a counterpart, as with one class nothing is learnt and no gradient flows."""
    names = tuple(str(value)[:60] for value in values.tolist())
    return (*names, f"not {names[0]}") if len(values) == 1 else names


def _shown(names: tuple[str, ...]) -> str:
    """The first names with their numbers."""
    pairs = ", ".join(f"{name[:20]} as {place}" for place, name in enumerate(names[:3]))
    return pairs + (" and so on" if len(names) > 3 else "")


def _check_count(count: int, where: str) -> None:
    if count > MAX_CLASSES:
        raise LabError(f"npz: {where} has {count} different labels; keep the pictures of at most {MAX_CLASSES} classes.")


def _numbered(count: int) -> tuple[str, ...]:
    """CIFAR-10's names while the numbers fit them, else numbers."""
    return CIFAR10_CLASSES if count <= len(CIFAR10_CLASSES) else tuple(f"class {number}" for number in range(count))
