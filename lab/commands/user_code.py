"""A model of the user's own, from a file or a module of Python: code that runs here, on the command line, and on no page."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from lab.lazy import nn, torch

from lab.errors import LabError, quoted, unknown_name
from lab.federated.typed_torch import random_numbers_kept
from lab.files.own_code import on_the_path, running

HOW = "give FILE.py:NAME or MODULE:NAME, NAME being a torch.nn.Module class, a function that makes one, or one itself"


def load_model(text: str) -> tuple[nn.Module, tuple[str, ...]]:
    """The model that ``text`` names, and what there is to say of its making, a sentence each.

    What its file prints goes nowhere, and is told; torch's random numbers go on as before. Raises ``LabError`` for a file
    or a module that is not there or fails, for a name that it does not have, and for what is no model.
    """
    place, separator, name = text.rpartition(":")
    if not separator or not place or not name.isidentifier():
        raise LabError(f"--model {quoted(text)} does not say which model in which file; {HOW}.")
    printed = StringIO()
    with redirect_stdout(printed), random_numbers_kept(torch.device("cpu")):
        model = _made(_found(_module(place), place, name), text)
    return model, _said(printed.getvalue(), place)


def _module(place: str) -> ModuleType:
    """The file or the module, imported."""
    is_file = place.endswith(".py") or "/" in place or "\\" in place
    with running(place), on_the_path(Path(place).resolve().parent if is_file else Path.cwd()):
        return _imported(Path(place)) if is_file else importlib.import_module(place)


def _imported(path: Path) -> ModuleType:
    if path.is_dir() or not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise LabError(f"The model's file {path} {what}; {HOW}.")
    name = f"gradlab_model_{path.stem}"  # no module's that is there already
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LabError(f"The model's file {path} is no Python file; {HOW}.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _found(module: ModuleType, place: str, name: str) -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    kinds = (type, nn.Module)
    offered = [key for key, value in vars(module).items() if isinstance(value, kinds) and _is_model(value)]
    if not offered:
        raise LabError(f"{place} has no {name}, nor any torch.nn.Module; {HOW}.")
    raise unknown_name(f"model in {place}", name, offered)


def _is_model(value: Any) -> bool:
    return isinstance(value, nn.Module) or issubclass(value, nn.Module)


def _made(found: Any, text: str) -> nn.Module:
    """The model: what was found, or what that makes when called without arguments."""
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise LabError(f"{text} is of the type {type(found).__name__}, and no model; {HOW}.")
        with running(text):
            found = found()
    if not isinstance(found, nn.Module):
        raise LabError(f"{text} makes something of the type {type(found).__name__}, and no torch.nn.Module; {HOW}.")
    return found


def _said(printed: str, place: str) -> tuple[str, ...]:
    lines = printed.strip().splitlines()
    if not lines:
        return ()
    more = f" and {len(lines) - 1} lines more" if len(lines) > 1 else ""
    return (f"{place} printed {quoted(lines[0])}{more} while it was imported, which is left out here.",)
