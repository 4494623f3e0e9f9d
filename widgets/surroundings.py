"""What a server tells the kernels behind its pages, by environment variables."""

from __future__ import annotations

import os

LESSONS_HERE = "GRADLAB_LESSONS"
"""Set where the server has the lessons, too: the full page then links to them."""
MAX_BYTES = "GRADLAB_MOST_BYTES"
"""The most bytes that an experiment's numbers may take at the same time; the program itself is not among them."""
MAX_SECONDS = "GRADLAB_MOST_SECONDS"
"""The most processor seconds that a kernel may use, from its start to its end, and that one experiment may cost."""

LOCAL = ("localhost", "127.0.0.1", "::1")
"""The names by which a machine calls itself, and nobody else calls it."""
NAMES = "GRADLAB_NAMES"
"""The names under which other machines reach this server, with commas between them; empty where none does."""
OWN_ADDRESS = "GRADLAB_OWN_ADDRESS"
"""This machine's address in its network, told to its owner's pages alone."""


def behind_voila() -> bool:
    """Whether Voila shows this kernel's views: then no notebook keeps them."""
    kept_ready = "VOILA_PREHEAT" in os.environ  # an engine that was started before anybody asked knows of no request
    return kept_ready or os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")
