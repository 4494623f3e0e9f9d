"""What Python keeps once for all threads, and a library makes us change for a moment: by one thread at a time."""

from __future__ import annotations

from threading import RLock

GLOBAL_STATE_LOCK = RLock()
"""Held meanwhile: of two threads that silence warnings at once, the later one would restore the silence of the other."""
