"""The film: the run as the browser holds it, and the only wire between the session and the views."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from widgets.door.messages import Listener, Message
from widgets.playback import recording
from widgets.views.base import delivered, script

FOLDER = Path(__file__).parent
STATE = ("status", "message", "device", "pace_seconds", "iterations", "hidden", "only")
"""What the views show of a session beside its frames."""


class Playback(Listener):
    """Sends each frame once; the browser keeps them all, shows any of them and says when one is drawn.

    ``recording``, ``round`` and ``state`` are read by the browser and never written by it:
    whatever it says comes as a message and is checked here.
    """

    _esm = script() + "".join(delivered(FOLDER / name) for name in ("channel.js", "playback.js"))
    recording = traitlets.Dict().tag(sync=True)
    round = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    reads_address = traitlets.Bool(False).tag(sync=True)
    engine = traitlets.Unicode(help="a name that no other engine has, nor this one once started anew").tag(sync=True)

    def __init__(self, session: Any, *, recorded: bool = True, reads_address: bool = False) -> None:
        """``recorded`` shows the recording of the default experiment first.

        ``reads_address`` takes the experiment from the query of the page's address, where Voila serves it.
        """
        self.session = session
        first = recording.load() if recorded else {"run": {}, "round": {}}
        super().__init__(
            recording=first["run"],
            round=first["round"],
            state=self._state(),
            reads_address=reads_address,
            engine=secrets.token_hex(8),
        )
        session.observe(self._show_state, names=[*STATE, "costs"])
        session.observe(self._show_round, names=["round_info"])
        session.observe(lambda change: self._send_history(), names=["restored"])
        session.on_frame(self._show_frame)
        self._show_round()

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self.session, name) for name in STATE} | {"expected_seconds": self.session.costs.present}

    def _show_state(self, change: Any = None) -> None:
        self.state = self._state()
        if self.session.status == "ready" and not self._is_recorded():
            self.send({"type": "clear", "run": self.session.run})

    def _is_recorded(self) -> bool:
        """Whether the recording is of the experiment shown, and nothing else was there before."""
        from lab import Experiment

        recorded = self.recording.get("experiment")
        return self.session.run == 1 and recorded is not None and self.session.experiment == Experiment.from_plain(recorded)

    def _show_round(self, change: Any = None) -> None:
        if self.session.round_info is not None:
            self.round = round_data(self.session.round_info)

    def _show_frame(self, frame: Any) -> None:
        self.send({"type": "frame"} | frame_data(frame) | self._progress(), buffers=pictures(frame))

    def _progress(self) -> dict[str, Any]:
        session = self.session
        return {
            "iterations_per_second": session.iterations_per_second,
            "seconds_left": session.seconds_left,
        }

    def _hear(self, message: Message) -> None:
        """Answer the browser: ``drawn`` asks for the next frame, ``hello`` for all that were kept."""
        if message.kind == "drawn" and (drawn := message.whole("frame")) is not None:
            self.session.acknowledge(drawn)
        elif message.kind == "heartbeat":
            self.session.heartbeat()
            self.send({"type": "pulse", "engine": self.engine})
        elif message.kind == "open" and self.reads_address and isinstance(message.content.get("query"), str):
            self.session.open_link(message.content["query"])
        elif message.kind == "hello":
            self.session.heartbeat()
            self._send_history()

    def _send_history(self) -> None:
        frames = list(self.session.frames)
        content = {"type": "history", "source": self.session.source, "frames": [frame_data(frame) for frame in frames]}
        self.send(content, buffers=[picture for frame in frames for picture in pictures(frame)])


def frame_data(frame: Any) -> dict[str, Any]:
    """A frame without its picture, as plain numbers and words."""
    from lab.federated.tensors import IMAGES

    height, width, *_ = frame.image.shape
    scores = ("objective", "measures", "verdict", "line_up", "suspects", "numbers")
    names = ("id", "run", "iteration", "iterations", *scores, "seconds", "layers")
    shape = {"height": height, "width": width, "moves": frame.downhill is not None}
    if frame.inputs != IMAGES:
        shape |= {"inputs": frame.inputs, "words": frame.words}
    if frame.readings:
        shape |= {"readings": plain(frame.readings)}
    return plain({name: getattr(frame, name) for name in names}) | shape


def pictures(frame: Any) -> list[bytes]:
    """The buffers of a frame: its picture, and where it ``moves`` the way that it is moved next."""
    moved = [] if frame.downhill is None else [np.ascontiguousarray(frame.downhill).tobytes()]
    return [image_bytes(frame), *moved]


def image_bytes(frame: Any) -> bytes:
    """The picture of a frame, shape (height, width, 3), as bytes."""
    return np.ascontiguousarray(frame.image).tobytes()


def round_data(info: dict[str, Any]) -> dict[str, Any]:
    """What the session says of a round, its arrays as bytes beside their sizes; the browser tiles a batch itself."""
    if "unknown" in info:
        return _words(info) | {"sample": np.ascontiguousarray(info["sample"]).tobytes()}
    if "images" not in info:
        return _round_of_others(info)
    count, height, width, _ = info["images"].shape
    arrays = {name: np.ascontiguousarray(info[name]).tobytes() for name in ("images", "line_up", "sample")}
    return _words(info) | arrays | {"count": count, "height": height, "width": width, "suspects": len(info["line_up"])}


def _round_of_others(info: dict[str, Any]) -> dict[str, Any]:
    """The same of inputs that are no pictures, which the script of their modality draws."""
    height, width, *_ = info["values"].shape
    arrays = {name: np.ascontiguousarray(info[name]).tobytes() for name in ("values", "sample")}
    return _words(info) | arrays | {"count": height, "height": height, "width": width}


def _words(info: dict[str, Any]) -> dict[str, Any]:
    return {key: plain(value) for key, value in info.items() if not isinstance(value, np.ndarray)}


def plain(value: Any) -> Any:
    """JSON-ready: a number that is not finite becomes None, because JSON has no word for it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
