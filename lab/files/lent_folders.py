"""Folders that the owner of a machine lends by name: which there are, told from process to process by the environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabError, quoted, unknown_name

LENT = "GRADLAB_FOLDERS"
"""The environment variable that lists the folders lent, as PATH does its own."""


def lent() -> dict[str, Path]:
    """The folders that this machine lends, by name."""
    paths = [Path(text) for text in os.environ.get(LENT, "").split(os.pathsep) if text]
    return {path.name: path for path in paths}


def find(name: str) -> Path:
    """The folder lent by that name. Raises ``LabError`` where there is none."""
    folders = lent()
    if not folders:
        raise LabError(
            f"There is no folder {quoted(name)} on this machine, which lends none; its owner can by: gradlab serve --data DIR."
        )
    if name not in folders:
        raise unknown_name("folder on this machine", name, folders)
    return folders[name]


def lend(folders: Sequence[Path]) -> str:
    """What to set the variable ``LENT`` to. Raises ``LabError`` for what is no folder, and where two have one name."""
    found: dict[str, Path] = {}
    for folder in (Path(os.path.abspath(folder)) for folder in folders):
        if not os.path.isdir(folder):
            raise LabError(f"There is no folder {folder} to lend; give --data the path of a folder with pictures.")
        if not folder.name or os.pathsep in str(folder):
            raise LabError(f"The folder {folder} cannot be lent, as it has no name of its own; give another one.")
        if folder.name in found:
            raise LabError(f"Two folders are called {folder.name!r}: {found[folder.name]} and {folder}; rename one of them.")
        found[folder.name] = folder
    return os.pathsep.join(map(str, found.values()))
