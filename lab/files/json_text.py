"""JSON from outside: its size, the number of its parts and its depth are bounded before anything is made of it."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

from lab.files.regular import open_regular

MAX_BYTES = 64 * 2**20
MAX_PARTS = 250_000
"""Items of lists and members of objects, all together; a long text of commas counts as many."""


class NotJsonError(ValueError):
    """Why a text is no JSON that is read, in a few words."""


def read(path: Path, wanted: str) -> Any:
    """What a JSON file says. Raises ``NotJsonError``, and like ``open_regular``."""
    with open_regular(path, wanted) as file:
        return parsed(file.read(MAX_BYTES + 1))


def parsed(data: bytes) -> Any:
    """What JSON in UTF-8 says, with or without a byte-order mark. Raises ``NotJsonError``."""
    if len(data) > MAX_BYTES:
        raise NotJsonError(f"it has more than {MAX_BYTES // 2**20} MiB")
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > MAX_PARTS:
        raise NotJsonError(f"it has more than {MAX_PARTS} parts")
    try:
        return json.loads(data.removeprefix(BOM_UTF8).decode())
    except UnicodeDecodeError:
        raise NotJsonError("it is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotJsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise NotJsonError("it is nested too deeply") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise NotJsonError("it has a number of thousands of digits") from None
