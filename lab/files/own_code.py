"""Python code of the user's own: run here, wherever it fails said in one sentence, its neighbours found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError, cut

LONGEST_REASON = 200


@contextmanager
def running(what: str) -> Iterator[None]:
    """The user's own code, which may fail in any way, and end Python. Raises ``LabError`` where it does."""
    try:
        yield
    except LabError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines() or [""]
        reason = cut(f"{type(error).__name__}: {lines[0]}".rstrip(": ."), LONGEST_REASON)
        raise LabError(f"{what} cannot be run ({reason}); see that Python runs it alone, then give it again.") from None


@contextmanager
def on_the_path(folder: Path) -> Iterator[None]:
    """Modules beside a file are found, as when Python runs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
