"""Captures read back: files that ``lab.capture`` wrote, or that say so; bounded and checked before a tensor is made of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from lab.lazy import Tensor

from lab.errors import LabError, printable, quoted
from lab.files import regular
from lab.files.json_text import NotJsonError, parsed
from lab.options.data import is_list, is_object

if TYPE_CHECKING:
    from lab.capture import Recipe

EXPECTED = "a capture; give the path of the .safetensors file that lab.capture wrote"
MAX_BYTES = 4 * 2**30
MAX_HEADER, MAX_TENSORS = 8 * 2**20, 20_000
LONGEST_TEXT, MAX_LISTED = 300, 16
LONGEST_LOSS = 4000
"""With a weight for each class."""


@dataclass(frozen=True, eq=False)
class Capture:
    """What a file holds: all that a server needs to attack, given the model."""

    weights: dict[str, Tensor]
    """Before training, by the model's names, with the statistics of its batch norms."""
    update: dict[str, Tensor]
    recipe: Recipe


def is_capture(path: Path) -> bool:
    """Whether a file is there that says it is one."""
    try:
        with regular.open_regular(path, EXPECTED) as file:
            beginning = file.read(8)
            length = int.from_bytes(beginning, "little")
            return length <= MAX_HEADER and b'"format":"gradlab capture' in file.read(length).replace(b": ", b":")
    except (OSError, LabError):
        return False


def read(path: Path) -> Capture:
    """The capture in a file. Raises ``LabError`` for a file that is missing, too large, damaged or no capture."""
    try:
        with regular.open_regular(path, EXPECTED) as file:
            return capture_of(file.read(MAX_BYTES + 1), str(path))
    except FileNotFoundError:
        raise LabError(f"There is no capture {path}; give the path of a file that lab.capture wrote.") from None
    except OSError as error:
        raise LabError(f"The capture {path} cannot be read ({error.strerror}); check its permissions.") from None


def capture_of(data: bytes, shown: str = "The file", most: int = MAX_BYTES) -> Capture:
    """The same of a file's bytes; ``shown`` is what sentences call it. Raises ``LabError``."""
    from lab.capture import UPDATE, WEIGHTS

    if len(data) > most:
        raise LabError(f"{shown} has more than {most / 2**20:,.0f} MiB; capture a smaller model.")
    header = _header(data, shown)
    recipe = _recipe(header.get("__metadata__"), shown)
    tensors = _tensors(data, shown)
    weights, update = (
        {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
        for kind in (WEIGHTS, UPDATE)
    )
    if not weights or not update:
        lacking = "weights" if not weights else "update"
        raise LabError(f"{shown} holds no {lacking} (tensors called {lacking}/NAME); capture the round again by lab.capture.")
    return Capture(weights, update, recipe)


def _header(data: bytes, shown: str) -> dict[str, Any]:
    """What the file says of itself, which must be no more than it holds."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or not 2 <= length <= min(MAX_HEADER, len(data) - 8):
        raise LabError(f"{shown} is no safetensors file, or it was cut short; give one that lab.capture wrote.")
    try:
        header = parsed(data[8 : 8 + length])
    except NotJsonError as error:
        raise LabError(f"{shown} is no safetensors file ({error}); give one that lab.capture wrote.") from None
    if not is_object(header) or len(header) > MAX_TENSORS:
        raise LabError(f"{shown} names no tensors, or more than {MAX_TENSORS:,}; give a file that lab.capture wrote.")
    declared = max((_end(entry) for name, entry in header.items() if name != "__metadata__"), default=0)
    if declared > len(data) - 8 - length:
        raise LabError(
            f"{shown} declares {_spoken_bytes(declared)} of numbers and holds {_spoken_bytes(len(data) - 8 - length)}; it was "
            "cut short or is damaged: copy or capture it again."
        )
    return header


def _end(entry: Any) -> int:
    """Where a tensor's numbers end, as declared; 0 where that is no number, which the reader then refuses."""
    offsets = entry.get("data_offsets") if is_object(entry) else None
    return max((number for number in offsets if isinstance(number, int)), default=0) if is_list(offsets) else 0


def _spoken_bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count:,} bytes"


def _tensors(data: bytes, shown: str) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        return load(data)
    except Exception as error:  # the reader's own errors, and Python's for types that it does not know
        raise LabError(f"{shown} is damaged ({type(error).__name__}: {printable(str(error))}); capture it again.") from None


def _recipe(metadata: Any, shown: str) -> Recipe:
    """The recipe in a file's metadata, each entry of the right kind."""
    from lab.capture import FORMAT, Recipe

    said = metadata.get("format") if is_object(metadata) else None
    if said != FORMAT:
        kind = f"says that it is {quoted(said)}" if said else "does not say that it is a capture"
        raise LabError(
            f"{shown} {kind}; give a file of the form {FORMAT!r}, as lab.capture writes it, or --weights and --update."
        )
    try:
        told = parsed(str(metadata.get("recipe", "")).encode())
    except NotJsonError as error:
        raise LabError(f"The recipe in {shown} is no JSON ({error}); capture the round again.") from None
    if not is_object(told):
        raise LabError(f"The recipe in {shown} is no object; capture the round again.")
    unknown = [name for name in told if name not in _RULES]
    if unknown:
        raise LabError(f"The recipe in {shown} has an entry {quoted(unknown[0])}; known are {', '.join(_RULES)}.")
    return Recipe(**{name: _entry(name, value, shown) for name, value in told.items()})


def _entry(name: str, value: Any, shown: str) -> Any:
    fits, wanted = _RULES[name]
    if not fits(value):
        raise LabError(f"The recipe in {shown} says {name} = {quoted(value)}; give {wanted}, or capture the round again.")
    return tuple(value) if is_list(value) else value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_rate(value: object) -> bool:
    return _is_number(value) and value > 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


def _or_none(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _listed(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: is_list(value) and 0 < len(value) <= MAX_LISTED and all(map(rule, value))


def _is_settings(value: object) -> bool:
    return (
        is_object(value) and len(value) <= MAX_LISTED and all(_is_text(key) and _is_number(one) for key, one in value.items())
    )


_RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "sent": (lambda value: value in ("gradient", "change"), "'gradient' or 'change'"),
    "loss": (lambda value: isinstance(value, str) and len(value) <= LONGEST_LOSS, "the name of a loss"),
    "optimiser": (_is_text, "the name of an optimiser"),
    "settings": (_is_settings, "numbers by name"),
    "learning_rate": (_or_none(_is_rate), "a number above 0, or null"),
    "local_steps": (_is_count, "a whole number from 1 to 10,000"),
    "pictures": (_or_none(_is_count), "a whole number from 1 to 10,000, or null"),
    "batch_size": (_or_none(_is_count), "a whole number from 1 to 10,000, or null"),
    "input_shape": (_or_none(_listed(_is_count)), "(channels, height, width), or null"),
    "mean": (_or_none(_listed(_is_number)), "a number for each channel, or null"),
    "std": (_or_none(_listed(_is_number)), "a number for each channel, or null"),
    "mode": (lambda value: value in ("train", "eval"), "'train' or 'eval'"),
    "network": (_or_none(is_object), "a network of the catalogue, or null"),
    "made_by": (_is_text, "a name"),
    "notes": (lambda value: value in ([], ()) or _listed(_is_text)(value), "a list of sentences"),
}
"""For each entry of a recipe what it may be, and that in words."""
