"""What a server tells the kernels behind its pages, by environment variables."""

from __future__ import annotations

LESSONS_HERE = "GRADLAB_LESSONS"
"""Set where the server has the lessons, too: the full page then links to them."""
