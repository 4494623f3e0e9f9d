"""Arrays in NumPy's files (``.npz``, ``.npy``): sizes are checked before anything is unpacked, pickles are never opened."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.lazy import np

from lab.errors import LabError

MAX_BYTES = 2**30
"""An array may be this large when unpacked."""


@dataclass(frozen=True)
class Header:
    """What a file says of one of its arrays before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.shape)) or 'one number'}, {self.dtype}"


def headers(path: Path) -> dict[str, Header]:
    """The arrays of a file in its order. Raises ``LabError`` where it is no file of arrays."""
    with _opened(path) as archive:
        found = {}
        for name in _members(archive):
            with archive.open(f"{name}.npy") as file:
                found[name] = _header(file)
        return found


def read(path: Path, name: str) -> np.ndarray:
    """One array of an ``.npz`` file. Raises ``LabError`` where it is too large, damaged, or made of Python's objects."""
    with _opened(path) as archive:
        packed = archive.getinfo(f"{name}.npy").file_size
        return _read(lambda: archive.open(f"{name}.npy"), packed, f"The array {name} in {path}")


def read_single(path: Path) -> np.ndarray:
    """The array of an ``.npy`` file. Raises ``LabError`` like ``read``."""
    try:
        return _read(lambda: path.open("rb"), path.stat().st_size, f"The array in {path}")
    except (OSError, ValueError, EOFError):
        raise LabError(f"{path} is no readable .npy file; save it by numpy.save without objects in it.") from None


def _read(opened: Callable[[], Any], packed: int, what: str) -> np.ndarray:
    with opened() as file:
        header = _header(file)
    if header.dtype.hasobject:
        raise LabError(f"{what} is made of Python objects, which are not opened; save plain numbers by numpy.savez.")
    if max(packed, header.dtype.itemsize * math.prod(header.shape)) > MAX_BYTES:
        raise LabError(f"{what} takes more than {MAX_BYTES / 2**30:g} GiB; save less in it.")
    with opened() as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def listed(found: dict[str, Header]) -> str:
    """The arrays in words: "x (60000 x 28 x 28, uint8), y (60000, int64)"."""
    named = [f"{name} ({header})" for name, header in list(found.items())[:8]]
    return ", ".join(named) + (f" and {len(found) - 8} more" if len(found) > 8 else "")


def _members(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _header(file: Any) -> Header:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    return Header(shape, dtype)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; what goes wrong with it inside the block becomes one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        raise LabError(f"{path} is no readable .npz file; save it by numpy.savez without objects in it.") from None
