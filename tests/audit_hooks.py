"""What Python does with the machine while it is watched: files opened, folders listed or made, addresses, programs."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = tuple(os.path.realpath(path) for path in (ROOT / "lab", ROOT / "widgets", sys.prefix, sys.base_prefix))
PATHS = ("open", "os.listdir", "os.scandir")
OUTSIDE = ("os.mkdir", "os.rename", "os.remove", "os.system", "subprocess.Popen")
OUTSIDE += ("socket.connect", "socket.getaddrinfo", "socket.bind")
_listeners = []


def _hook(event, arguments):
    if not _listeners or event not in (*PATHS, *OUTSIDE):
        return
    what = arguments[0] if event in OUTSIDE else _path(arguments[0])
    if what is not None:
        _listeners[-1].append((event, what))


def _path(given):
    """Where a path leads; None for descriptors, for what is the lab's or Python's, and where imports look for modules."""
    if not isinstance(given, str | bytes | os.PathLike):
        return None
    path = os.path.realpath(os.fsdecode(given))
    is_ours = path.startswith(OURS) or path in map(os.path.realpath, sys.path)
    return None if is_ours else path


sys.addaudithook(_hook)


@contextmanager
def watched():
    """The list of what reaches beyond the lab's own files and Python's; an audit hook, which nothing in Python escapes."""
    _listeners.append([])
    try:
        yield _listeners[-1]
    finally:
        _listeners.pop()
