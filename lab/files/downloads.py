"""Downloads happen where a person asked for them, and nowhere else: by ``gradlab fetch``, ``run --download``, ``train --data``.

What only reads data says what is missing; it has no way to download.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from lab.errors import LabError
from lab.files.global_state import GLOBAL_STATE_LOCK


def missing(what: str, name: str, megabytes: float, otherwise: str) -> LabError:
    """The error for something published that is not on this machine; ``name`` is what ``gradlab fetch`` calls it."""
    return LabError(
        f"{what} not on this machine, and nothing is downloaded unasked; "
        f"download once ({megabytes:.0f} MB) by: gradlab fetch {name}, or {otherwise}."
    )


def fetched(download: Callable[[], Any], what: str, folder: Path) -> Any:
    """The result of one of torchvision's downloads into ``folder``; every failure becomes one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with GLOBAL_STATE_LOCK, redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):  # bars and remarks
            return download()
    except (OSError, RuntimeError, EOFError) as error:
        raise LabError(
            f"{what} cannot be downloaded to {folder}: {_reason(error)}; try again, or copy it there from another machine."
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answered {error.code}"
    if isinstance(error, URLError | ConnectionError | TimeoutError):
        return "the server cannot be reached from here"
    if isinstance(error, OSError) and error.filename:
        return f"the folder cannot be written ({error.strerror})"
    return "what arrived is not whole, or the server cannot be reached from here"
