"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(folder: Path, *names: str) -> Iterator[Path]:
    """A folder to write these files into, which take their places in ``folder`` after the block, in this order.

    ``folder`` is made where it is missing; where the block fails it is left as it was. Raises ``OSError``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as drafts:
        yield Path(drafts)
        for name in names:
            os.replace(Path(drafts, name), folder / name)


def write_all(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files by their names. Raises ``OSError``."""
    with writing(folder, *files) as drafts:
        for name, content in files.items():
            (drafts / name).write_bytes(content)


def write_atomically(path: Path, content: bytes) -> None:
    """Write one file. Raises ``OSError``."""
    write_all({path.name: content}, path.parent)
