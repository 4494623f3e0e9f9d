"""What a server tells the kernels behind its pages, by environment variables."""

from __future__ import annotations

LESSONS_HERE = "GRADLAB_LESSONS"
"""Set where the server has the lessons, too: the full page then links to them."""
MOST_BYTES = "GRADLAB_MOST_BYTES"
"""The memory that one experiment may need, where there is a limit."""
MOST_SECONDS = "GRADLAB_MOST_SECONDS"
"""The processor time that a visitor may take in all, where there is a limit."""
