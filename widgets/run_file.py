"""A run as a file: everything to show it again, as JSON, and back."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.film import plain
from widgets.frames import Frame
from widgets.history import MOST_FRAMES, PastRun

if TYPE_CHECKING:
    from lab import LabError

FORMAT = "inverting-gradients-lab run 1"
MOST_PIXELS = 2_400 * 2_400
"""Of one frame: a hundred pictures of 224 pixels in a grid."""
NUMBERS = ("iteration", "objective", "psnr_db", "ssim", "seconds")
WORDS = ("verdict", "line_up")


def written(run: PastRun) -> bytes:
    """The file. Its ``experiment`` is complete: ``gradlab run --experiment FILE`` repeats the run."""
    frames = [_frame_data(frame) for frame in run.frames]
    data = {
        "format": FORMAT,
        "experiment": run.experiment.to_plain(),
        "message": run.message,
        "iterations": run.iterations,
        "frames": frames,
    }
    return (json.dumps(data, allow_nan=False) + "\n").encode()


def read(data: bytes) -> PastRun:
    """The run in a file. Raises ``LabError`` with a sentence for anything wrong in it."""
    from lab import Experiment

    content = _content(data)
    frames = tuple(_frame(number, frame) for number, frame in enumerate(content["frames"], 1))
    if len({frame.image.shape for frame in frames}) != 1:
        raise _damaged("its frames differ in size")
    iterations = content.get("iterations")
    if not isinstance(iterations, int) or iterations < 0:
        raise _damaged("it does not say how many iterations there were")
    experiment = Experiment.from_plain(content.get("experiment"))
    return PastRun(0, experiment, frames, str(content.get("message", ""))[:300], iterations)


def _frame_data(frame: Frame) -> dict[str, Any]:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame.image).save(file, "PNG")
    words = plain({name: getattr(frame, name) for name in (*NUMBERS, *WORDS, "numbers")})
    return words | {"png": base64.b64encode(file.getvalue()).decode()}


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise _damaged("it is not JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(f"it does not say format = {FORMAT!r}")
    frames = content.get("frames")
    if not isinstance(frames, list) or not 1 <= len(frames) <= MOST_FRAMES:
        raise _damaged(f"it holds no frames, or more than {MOST_FRAMES}")
    return content


def _frame(number: int, data: Any) -> Frame:
    if not isinstance(data, dict):
        raise _damaged(f"frame {number} is not an object")
    iteration, *values = (_number(data.get(name), f"{name} of frame {number}") for name in NUMBERS)
    objective, psnr_db, ssim, seconds = values
    verdict, line_up = (str(data.get(name, ""))[:60] for name in WORDS)
    whole = int(iteration) if math.isfinite(iteration) else 0
    image, numbers = _picture(number, data.get("png")), _scores(data.get("numbers"))
    return Frame(number, 0, whole, objective, psnr_db, ssim, verdict, line_up, image, seconds, numbers)


def _scores(data: Any) -> dict[str, Any]:
    """The table of scores as far as it is one: single numbers, and those of each picture."""
    if not isinstance(data, dict):
        return {}
    pictures = [_singles(picture) for picture in data.get("pictures", ()) if isinstance(picture, dict)]
    places = sorted(picture.get("matched", -1) for picture in pictures)
    return _singles(data) | ({"pictures": pictures} if places == list(range(len(places))) else {})


def _singles(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _number(value: Any, what: str) -> float:
    """A number; None stands for one that was not finite."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _damaged(f"the {what} is not a number")
    return float(value)


def _picture(number: int, text: Any) -> np.ndarray:
    """The pixels of a PNG in base64, uint8, (height, width, 3)."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(base64.b64decode(str(text), validate=True)), formats=["PNG"])
        if image.width * image.height > MOST_PIXELS:
            raise _damaged(f"the picture of frame {number} is too large")
        return np.array(image.convert("RGB"))
    except (binascii.Error, ValueError, OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        raise _damaged(f"the picture of frame {number} cannot be read") from None


def _damaged(why: str) -> LabError:
    from lab import LabError

    return LabError(f"This is no run of the lab: {why}. Choose a JSON file that 'Run (JSON)' on this page has saved.")
