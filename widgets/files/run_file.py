"""A run as a file: everything to show it again, as JSON, and back."""

from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.door.messages import LARGEST_WHOLE
from widgets.door.picture_headers import declared_pixels
from widgets.form.admission import admitted
from widgets.playback.playback import plain
from widgets.run.frames import Frame
from widgets.run.history import MAX_FRAMES, PastRun, spread

if TYPE_CHECKING:
    from lab import LabError

FORMAT = "inverting-gradients-lab run 1"
MAX_PIXELS = 32_000_000
"""Of all frames together: sixty with nine pictures of 224 pixels each are 27 million."""
MAX_ITERATIONS = 10**9
MAX_BYTES = 24_000_000
"""Of a file that is written or opened."""
EVIDENCE = ("residual", "hidden", "unknowns", "equations", "strangeness", "strangest_real")
NUMBERS = ("iteration", "objective", "seconds")
MEASURES = ("psnr_db", "ssim")
WORDS = ("verdict", "line_up")


def to_bytes(run: PastRun) -> bytes:
    """The file. Its ``experiment`` is complete: ``gradlab run --experiment FILE`` repeats the run.

    Raises ``LabError`` where an update that was opened makes it larger than one may be that is opened again.
    """
    frames = [_frame_data(frame) for frame in spread(list(run.frames), _most(run.frames[0]))]
    data = {
        "format": FORMAT,
        "experiment": run.experiment.to_plain(),
        "message": run.message,
        "iterations": run.iterations,
        "frames": frames,
    }
    file = (json.dumps(data, allow_nan=False) + "\n").encode()
    if len(file) > MAX_BYTES:
        raise _too_large(len(file))
    return file


def _most(frame: Frame) -> int:
    """How many frames of this size the file may hold: what ``read`` takes back."""
    return max(1, min(MAX_FRAMES, MAX_PIXELS // (frame.image.shape[0] * frame.image.shape[1])))


def read(data: bytes) -> PastRun:
    """The run in a file. Raises ``LabError`` with a sentence for anything wrong in it."""
    from lab import Experiment

    content = _content(data)
    pngs = [_png(number, frame) for number, frame in enumerate(content["frames"], 1)]
    _check_pixels(pngs)
    frames = tuple(_frame(*each) for each in zip(range(1, MAX_FRAMES + 1), content["frames"], pngs, strict=False))
    if len({frame.image.shape for frame in frames}) != 1:
        raise _damaged("its frames differ in size")
    iterations = content.get("iterations")
    if isinstance(iterations, bool) or not isinstance(iterations, int) or not 0 <= iterations <= MAX_ITERATIONS:
        raise _damaged("it does not say how many iterations there were")
    experiment = admitted(Experiment.from_plain(content.get("experiment")))
    return PastRun(0, experiment, frames, _words(content.get("message"), 300), iterations)


def _frame_data(frame: Frame) -> dict[str, Any]:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame.image).save(file, "PNG")
    measures = {name: frame.measures.get(name, math.nan) for name in MEASURES}
    words = plain({name: getattr(frame, name) for name in (*NUMBERS, *WORDS, "numbers")} | measures)
    return words | {"png": base64.b64encode(file.getvalue()).decode()}


def _content(data: bytes) -> dict[str, Any]:
    from lab.files.json_text import NotJsonError, parsed

    try:
        content = parsed(data)
    except NotJsonError as error:
        raise _damaged(f"it is not JSON that a run is saved as ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(f"it does not say format = {FORMAT!r}")
    frames = content.get("frames")
    if not isinstance(frames, list) or not 1 <= len(frames) <= MAX_FRAMES:
        raise _damaged(f"it holds no frames, or more than {MAX_FRAMES}")
    return content


def _png(number: int, data: Any) -> bytes:
    """The PNG file inside a frame."""
    if not isinstance(data, dict):
        raise _damaged(f"frame {number} is not an object")
    try:
        return base64.b64decode(data["png"], validate=True)
    except (KeyError, TypeError, ValueError):  # binascii's error is one of the last
        raise _unreadable(number) from None


def _check_pixels(pngs: list[bytes]) -> None:
    """All frames together, counted by their headers before any is unpacked."""
    total = 0
    for number, png in enumerate(pngs, 1):
        try:
            total += declared_pixels(png, ["PNG"])
        except ValueError:
            raise _unreadable(number) from None
        if total > MAX_PIXELS:
            raise _damaged(f"the pictures of its frames are too large, from frame {number} on")


def _frame(number: int, data: dict[str, Any], png: bytes) -> Frame:
    iteration, objective, seconds = (_number(data.get(name), f"{name} of frame {number}") for name in NUMBERS)
    measures = {name: _number(data.get(name), f"{name} of frame {number}") for name in MEASURES}
    verdict, line_up = (_words(data.get(name), 60) for name in WORDS)
    whole = int(iteration) if abs(iteration) <= MAX_ITERATIONS else 0
    image, numbers = _picture(number, png), _scores(data.get("numbers"))
    return Frame(number, 0, whole, objective, measures, verdict, line_up, image, seconds, numbers)


def _scores(data: Any) -> dict[str, Any]:
    """The table of scores as far as it is one: single numbers, and those of each picture."""
    if not isinstance(data, dict):
        return {}
    listed = data.get("pictures")
    pictures = [_singles(picture) for picture in (listed if isinstance(listed, list) else ()) if isinstance(picture, dict)]
    places = sorted(picture.get("matched", -1) for picture in pictures)
    return _singles(data) | ({"pictures": pictures} if places == list(range(len(places))) else {})


def _singles(data: dict[str, Any]) -> dict[str, Any]:
    """The numbers among them that a score is called by."""
    from lab.evaluation.scores import InputScore, Scores
    from lab.evaluation.scoring import control_name
    from lab.modalities.images import Pictures

    told = {*EVIDENCE, *Pictures.measures, *(control_name(Pictures(), name) for name in Pictures.controls)}
    known = {field.name for kind in (Scores, InputScore) for field in fields(kind)} | told
    return {name: data[name] for name in data if name in known and _is_number(data[name])}


def _is_number(value: Any) -> bool:
    """Whether it is one that a browser can hold."""
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE
    return is_whole or isinstance(value, float)


def _number(value: Any, what: str) -> float:
    """A number; None stands for one that was not finite."""
    if value is None:
        return math.nan
    if not _is_number(value):
        raise _damaged(f"the {what} is not a number")
    return float(value)


def _words(value: Any, longest: int) -> str:
    """A text without signs that print nothing; empty where there is none."""
    from lab.errors import printable

    return printable(value[:longest])[:longest] if isinstance(value, str) else ""


def _picture(number: int, png: bytes) -> np.ndarray:
    """The pixels of a PNG file, uint8, (height, width, 3)."""
    from PIL import Image

    try:
        return np.array(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))
    except Exception:  # Pillow fails on damaged bytes in many ways
        raise _unreadable(number) from None


def _too_large(size: int) -> LabError:
    from lab import LabError

    return LabError(
        f"With the update in it this run takes {size / 1e6:.0f} MB, and {MAX_BYTES / 1e6:.0f} MB can be opened again; save "
        "the picture or the replay, and keep the update's own file."
    )


def _unreadable(number: int) -> LabError:
    return _damaged(f"the picture of frame {number} cannot be read")


def _damaged(why: str) -> LabError:
    from lab import LabError

    return LabError(f"This is no run of the lab: {why}. Choose a JSON file that 'Run (JSON)' on this page has saved.")
