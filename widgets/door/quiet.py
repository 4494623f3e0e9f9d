"""What goes wrong inside the lab is told to a page in one sentence, and in full on the server's side alone."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

TROUBLE = "Something went wrong inside the lab. Try again, or reload the page."

LOG = logging.getLogger("gradlab.page")


def quietly(job: Callable[[], Any]) -> bool:
    """Do it; an exception is written to the server's own standard error, where no page sees it. Whether there was none."""
    try:
        job()
    except Exception:
        LOG.exception("a page's request failed")
        return False
    return True


class _ServerSide(logging.Handler):
    """Writes past the standard error that a notebook kernel sends to its page."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; where even that fails there is nobody to tell."""
        try:
            os.write(getattr(sys.stderr, "_original_stdstream_copy", None) or 2, f"{self.format(record)}\n".encode())
        except OSError:
            self.handleError(record)


LOG.addHandler(_ServerSide())
LOG.propagate = False
