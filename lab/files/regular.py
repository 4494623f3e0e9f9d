"""Files that a user names: ordinary ones only, and never more of them than is allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from lab.errors import LabError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | Path, wanted: str, shown: str = "") -> BinaryIO:
    """An ordinary file, open for reading.

    ``wanted`` ends the sentence of an error, such as "a picture; give the path of one picture file"; ``shown`` is what
    it calls the file where its path is nobody's business.

    Raises ``LabError`` for a folder, a pipe, a socket or a device, where reading fails, or never begins, or never ends,
    and ``OSError`` as ``open`` does; a name that no file can have is not found.
    """
    try:
        check_regular(os.stat(path).st_mode, wanted, shown or str(path))  # first: opening a device may do something
        descriptor = os.open(path, os.O_RDONLY | _AT_ONCE)
    except ValueError:  # a NUL in the name
        raise FileNotFoundError(path) from None
    file = os.fdopen(descriptor, "rb")
    try:
        check_regular(os.fstat(descriptor).st_mode, wanted, shown or str(path))  # again: it may be another one by now
    except LabError:
        file.close()
        raise
    return file


def check_regular(mode: int, wanted: str, shown: str) -> None:
    """Raise ``LabError``, as ``open_regular`` does, unless the mode (of ``os.stat``) is that of an ordinary file."""
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise LabError(f"{shown} is {kind}, not {wanted}.")
