"""A defence or an attack of one's own, in one file: code that runs here, on the command line, and on no page.

A worker is given the file's text, and the folder where its neighbours lie; on another machine those are not found.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from lab.attacks.base import Attack
from lab.client.defences.base import Defence
from lab.duel.duel import DuelCell
from lab.errors import LabError
from lab.files.own_code import on_the_path, running
from lab.files.regular import open_regular
from lab.options.catalogue import Entry, entries, with_external_entries
from lab.studies.sweeps.store import Measured

MAX_BYTES = 2**20
HASH_LETTERS = 16
E = TypeVar("E", bound=Entry)
HOW = "give a Python file with one subclass of lab.Defence or of lab.Attack, or one of each"


@dataclass(frozen=True)
class Source:
    """A file of Python as it was read."""

    name: str
    """Of the file without its ending, and of its entries."""
    text: str
    folder: str
    """Where its neighbours lie."""

    @property
    def mark(self) -> str:
        """The file's hash: another text is another contender."""
        return sha256(self.text.encode()).hexdigest()[:HASH_LETTERS]


@dataclass(frozen=True)
class Submission:
    """What a file brings: a defence, an attack, or both, the one then for the other."""

    source: Source
    defence: type[Defence] | None
    attack: type[Attack] | None

    @contextmanager
    def importable(self) -> Generator[None]:
        """Inside this context its entries are found by name, and whatever fails is said in a sentence."""
        entries_here, name = filter(None, (self.defence, self.attack)), f"{self.source.name}.py"
        with with_external_entries(*entries_here), on_the_path(Path(self.source.folder)), running(name):
            yield


def read(path: Path) -> Submission:
    """What a file brings.

    Raises ``LabError`` where it is not there, is no Python, fails as it is imported, or defines no contender or too many.
    """
    try:
        with open_regular(path, f"a Python file; {HOW}") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise LabError(f"The file {path} is not text in UTF-8; {HOW}.") from None
    except OSError as error:
        raise LabError(f"The file {path} cannot be read ({error.strerror or 'there is none'}); {HOW}.") from None
    if len(data) > MAX_BYTES:
        raise LabError(f"The file {path} has more than {MAX_BYTES // 2**20} MiB; {HOW}.")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise LabError(f"The file {path} has no name of letters, digits and underscores before .py; rename it.")
    return submission_of(Source(path.stem, text, str(path.resolve().parent)))


@cache
def submission_of(source: Source) -> Submission:
    """What a text brings; once for each text, so that its classes are the same ones. Raises ``LabError``."""
    module = _run(source)
    defence, attack = _only(module, Defence, source), _only(module, Attack, source)
    if defence is None and attack is None:
        raise LabError(f"{source.name}.py defines no defence and no attack; {HOW}.")
    return Submission(source, defence, attack)


def _run(source: Source) -> ModuleType:
    module = ModuleType(f"gradlab_own.{source.name}")
    module.__file__ = f"{source.name}.py"
    sys.modules[module.__name__] = module  # where a dataclass looks its annotations up
    with running(f"{source.name}.py"), on_the_path(Path(source.folder)):
        exec(compile(source.text, module.__file__, "exec"), module.__dict__)
    return module


def _only(module: ModuleType, base: type[E], source: Source) -> type[E] | None:
    own = [value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__]
    found: list[type[E]] = [value for value in own if issubclass(value, base)]
    ready = [value for value in found if not inspect.isabstract(value)]
    if found and not ready:
        lacking = ", ".join(sorted(getattr(found[0], "__abstractmethods__", ())))
        raise LabError(f"{found[0].__name__} in {source.name}.py does not define {lacking}; define it.")
    if len(ready) > 1:
        named = ", ".join(value.__name__ for value in ready)
        raise LabError(f"{source.name}.py defines several of one kind ({named}); give one a file.")
    if not ready:
        return None
    _check_name(ready[0], source)
    return ready[0]


def _check_name(entry: type[Entry], source: Source) -> None:
    if source.name in entries(entry.kind):
        raise LabError(f"The lab has a {entry.kind} called {source.name!r} of its own; rename {source.name}.py.")


def measured(source: Source, plain: dict[str, Any], data: str = "") -> Measured:
    """One experiment in which the file's entries take part: a worker's task. Raises ``LabError``, whatever fails."""
    from lab.studies.sweeps.measure import measure

    with submission_of(source).importable():
        return measure(plain, data)


def tried(own: Submission, bouts: tuple[DuelCell, ...]) -> None:
    """One short bout of each experiment's kind before the long ones. Raises ``LabError`` for what would fail in all of them."""
    from lab.experiments.rounds import simulate_round

    with own.importable():
        for bout in {bout.strength: bout for bout in bouts[::-1]}.values():
            simulate_round(bout.experiment)
    first = bouts[0].experiment
    short = replace(first, attack=replace(first.attack, iterations=1)) if hasattr(first.attack, "iterations") else first
    measured(own.source, short.to_plain())
