"""Files of weights opened: PyTorch's, safetensors and NumPy's, told apart by what is in them. No code in a file is run."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from lab.lazy import torch

from lab.client.checkpoints.inert_objects import NUMPYS_OWN, Dictionary, stand_in
from lab.errors import LabError
from lab.files import arrays
from lab.files.global_state import GLOBAL_STATE_LOCK

MAX_BYTES = 4 * 2**30
"""Of what a packed file unpacks to; a larger file may hold as much as it is long."""
FILES = "a .safetensors, .pt, .pth or .npz file"
"""What can be read."""
HOW = "save it by torch.save(network.state_dict(), path)"


def load_tensors(path: Path, what: str = "weights") -> Any:
    """What is in the file: tensors by name, in lists or dictionaries, among whatever else its writer kept.

    ``what`` is wanted of it, in a word. Raises ``LabError`` for a file that is missing or cannot be read safely.
    """
    check_file(path, what)
    try:
        return _content(path)
    except LabError:
        raise
    except Exception:  # torch.load fails on foreign bytes in many ways, KeyError among them
        raise LabError(f"{path} holds no {what} that can be read safely; give {FILES}.") from None


def check_file(path: Path, what: str = "weights") -> None:
    """Raise ``LabError`` where there is no file at all."""
    if os.path.isdir(path):
        raise LabError(f"{path} is a folder; give the path of {FILES}.")
    if not os.path.isfile(path):
        raise LabError(f"There is no file of {what} {path}; give the path of {FILES}.")


def keeps_order(path: Path) -> bool:
    """Whether the tensors of such a file stand in the order of the network: safetensors sorts them by name."""
    return not _is_safetensors(_beginning(path))


def _content(path: Path) -> Any:
    beginning = _beginning(path)
    if _is_safetensors(beginning):
        from safetensors.torch import load_file

        return load_file(path)
    if beginning.startswith(b"\x93NUMPY"):
        return [torch.from_numpy(arrays.read_single(path))]
    members = _members(path) if beginning.startswith(b"PK") else []
    if members and all(name.endswith(".npy") for name in members):
        return {name: torch.from_numpy(arrays.read(path, name)) for name in _numbered(arrays.headers(path))}
    if any(name.endswith("/constants.pkl") for name in members):
        raise LabError(f"{path} is a TorchScript program; {HOW} in the place where it was made.")
    return _torchs(path)


def _members(path: Path) -> list[str]:
    """What is packed in the file. Raises ``LabError`` where it is far more than the file: PyTorch packs nothing."""
    found = zipfile.ZipFile(path).infolist()
    unpacked = sum(member.file_size for member in found)
    if unpacked > max(MAX_BYTES, path.stat().st_size):
        raise LabError(f"{path} unpacks to {unpacked / 2**30:,.1f} GiB; give a file of at most {MAX_BYTES / 2**30:g} GiB.")
    return [member.filename for member in found]


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _is_safetensors(beginning: bytes) -> bool:
    """Eight bytes with the length of the header, then the header as JSON."""
    return beginning[8:9] == b"{" and beginning[5:8] == bytes(3)


def _numbered(found: Any) -> list[str]:
    """``arr_10`` after ``arr_2``; other names in the file's order."""
    names = list(found)
    return sorted(names, key=lambda name: int(name[4:])) if all(_is_counted(name) for name in names) else names


def _is_counted(name: str) -> bool:
    return name.startswith("arr_") and name[4:].isdigit()


def _torchs(path: Path) -> Any:
    """A file of ``torch.save``, with stand-ins for all names that PyTorch does not know to be harmless.

    A name does not tell whether it is a dictionary's: where one was to be filled, all are taken for dictionaries.
    """
    names = {*_foreign_names(path), *NUMPYS_OWN}
    try:
        return _with_stand_ins(path, [(stand_in(name), name) for name in names])
    except UnpicklingError:
        return _with_stand_ins(path, [(stand_in(name, Dictionary), name) for name in names])


def _with_stand_ins(path: Path, allowed: list[Any]) -> Any:
    with GLOBAL_STATE_LOCK, torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, "cpu", weights_only=True)


def _foreign_names(path: Path) -> list[str]:
    """The names in the file that its reader would have to import; none are told of files older than PyTorch 1.6."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except ValueError:
        return []
