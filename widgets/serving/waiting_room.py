"""What is shown until one's turn: the recorded run as a film, one's place in the queue, and the time that it may take."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from widgets.playback import recording

FRAME_MS, LAST_FRAME_MS = 120, 2_000


def waiting_room(ticket: str, cookie: str) -> str:
    """The page for a ticket; ``cookie`` is the name by which it says that its turn has come."""
    return Template(_page()).substitute(ticket=ticket, cookie=cookie, **_story())


@cache
def _page() -> str:
    return (Path(__file__).parent / "waiting_room.html").read_text(encoding="utf-8")


@cache
def _story() -> dict[str, Any]:
    """The recording's pictures and words."""
    told = recording.load()
    run, sent = told["run"], told["round"]
    frames = _pictures(run["pixels"], run)
    (secret, *_) = _pictures(sent["images"], sent)
    return {
        "secret": _address([secret]),
        "secret_alt": sent["alt"],
        "film": _address(frames),
        "last": _address(frames[-1:]),
        "count": f"{sent['numbers']:,}",
        "date": run["date"],
        "device": run["device"],
        "iterations": run["iterations"],
        "seconds": f"{run['seconds']:.1f}",
    }


def _pictures(pixels: bytes, size: dict[str, Any]) -> list[Image.Image]:
    """Pictures from bytes of (count, height, width, 3)."""
    array = np.frombuffer(pixels, np.uint8).reshape(-1, size["height"], size["width"], 3)
    return [Image.fromarray(each) for each in array]


def _address(frames: list[Image.Image]) -> str:
    """The frames as one address that holds its own data: a film that goes round and rests on its end."""
    file = io.BytesIO()
    times = [*[FRAME_MS] * (len(frames) - 1), LAST_FRAME_MS]
    frames[0].save(file, "WEBP", lossless=True, save_all=True, append_images=frames[1:], duration=times, loop=0)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
