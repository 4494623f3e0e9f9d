"""The engines that Voila keeps ready: looked after, since Voila itself keeps those that have failed, too."""

from __future__ import annotations

import asyncio
from typing import Any

from widgets.serving.journal import LOG


def tend(manager: Any, size: int) -> None:
    """Replace each engine kept ready that could not be started or has ended since.

    Voila would give it to the next visitor, raise its error wherever any engine is ended, and start none in its place.
    """
    for notebook, pool in getattr(manager, "_pools", {}).items():  # lessons have none
        pool[:] = [engine for engine in pool if not _is_spoilt(engine, manager)]
        if len(pool) < size:
            manager.fill_if_needed(notebook_name=notebook)


def _is_spoilt(engine: asyncio.Task[dict[str, Any]], manager: Any) -> bool:
    if not engine.done():
        return False
    error = engine.exception()
    if error is not None:
        LOG.error("engine not started", extra={"reason": type(error).__name__})
    return error is not None or engine.result()["kernel_id"] not in manager
