"""The catalogue: kind -> name -> class. The folder listing is the catalogue.

Every module of ``lab/federated/networks/`` that defines a concrete subclass of ``Network`` is an
entry called after its file; the same holds for each other kind. A modality is a folder, and its class stands in
the folder's ``__init__``. Nothing is registered by hand.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

from lab.errors import LabError, unknown_name
from lab.options.fields import Option

FOLDERS = {
    "modality": "modalities",
    "network": "federated.networks",
    "dataset": "client.datasets",
    "protocol": "federated.protocols",
    "loss": "federated.losses",
    "local_optimiser": "federated.local_optimisers",
    "fine_tuning": "federated.fine_tuning",
    "defence": "client.defences",
    "attack": "attacks",
    "distance": "attacks.matching.distances",
    "prior": "attacks.matching.priors",
    "optimiser": "attacks.matching.optimisers",
    "finding": "findings",
    "study": "studies",
    "scene": "course.scenes",
}


class Entry(Option, ABC):
    """Base of everything that the catalogue lists; called after the file it stands in, a kind's own base after the kind."""

    kind: ClassVar[str]
    name: ClassVar[str]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        file = cls.__module__.rpartition(".")[2]
        cls.name = cls.kind if file == "base" else file


@cache
def entries(kind: str) -> dict[str, type[Entry]]:
    """All entries of a kind by name. Raises ``LabError`` for an unknown kind."""
    if kind not in FOLDERS:
        raise unknown_name("kind", kind, FOLDERS)
    package = importlib.import_module(f"lab.{FOLDERS[kind]}")
    found: dict[str, type[Entry]] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        found |= {entry.name: entry for entry in _concrete(importlib.import_module(module.name), kind)}
    return dict(sorted(found.items()))


def _concrete(module: ModuleType, kind: str) -> list[type[Entry]]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__]
    return [c for c in classes if issubclass(c, Entry) and not inspect.isabstract(c) and getattr(c, "kind", "") == kind]


_guests: list[type[Entry]] = []


@contextmanager
def with_external_entries(*guests: type[Entry]) -> Generator[None]:
    """Inside this context entries from elsewhere are found by their names, too; no listing shows them."""
    _guests.extend(guests)
    try:
        yield
    finally:
        for guest in guests:
            _guests.remove(guest)


def find(kind: str, name: Any) -> type[Entry]:
    """The entry called ``name``. Raises ``LabError`` with the nearest name suggested."""
    listing = entries(kind) | {guest.name: guest for guest in _guests if guest.kind == kind}
    if not isinstance(name, str) or name not in listing:
        raise unknown_name(kind, name, listing)
    return listing[name]


def summary(entry: type[Entry]) -> str:
    """The first sentence of an entry's docstring."""
    text = inspect.getdoc(entry)
    if not text:
        raise LabError(f"The {entry.kind} {entry.name!r} has no docstring; add one sentence that says what it is.")
    return " ".join(text.split("\n\n")[0].split())
