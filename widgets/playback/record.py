"""``python -m widgets.playback.record``: run the default experiment and keep it as the page's recording."""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any

import numpy as np

from widgets.playback import recording
from widgets.playback.playback import frame_data, plain
from widgets.readouts.guess_readout import GuessReadout
from widgets.run.frames import Frame, Post, describe_round, frame

SPREAD = 80
"""So many moments are asked for; the first ones fall together, and some fifty are left."""


def record() -> dict[str, Any]:
    """Run the default experiment on the CPU, write the recording and return what describes it."""
    import torch

    from lab import Experiment, reconstruct, score, simulate_round

    experiment = Experiment()
    attacked = simulate_round(experiment, torch.device("cpu"))
    next(reconstruct(experiment, attacked.observation))  # torch's first step loads what later ones need
    states, seconds = _timed(reconstruct(experiment, attacked.observation))
    chosen = [states[index] for index in _spread(len(states))]
    look = GuessReadout(experiment.attack, attacked)
    posts = [Post(state, spent, look.at(state)) for state, spent in chosen]
    frames = [frame(i, 0, post, attacked) for i, post in enumerate(posts)]
    run = _describe(frames, states[-1][0].iterations, seconds) | {"numbers": plain(score(attacked, chosen[-1][0]).plain())}
    run |= {"experiment": experiment.to_plain()}  # by which a test tells a recording that the defaults have outrun
    sent = describe_round(experiment, attacked)
    count, height, width, _ = sent["images"].shape
    words = {key: plain(value) for key, value in sent.items() if not isinstance(value, np.ndarray)}
    words |= {"count": count, "height": height, "width": width, "suspects": len(sent["line_up"])}
    arrays = {
        "frames": np.stack([shown.image for shown in frames]),
        "downhill": np.stack([np.asarray(shown.downhill) for shown in frames]),
    }
    recording.save(run, words, arrays | {name: sent[name] for name in ("images", "line_up", "sample")})
    return run


def _timed(states: Any) -> tuple[list[Any], float]:
    """Every state with the seconds of one core that the attack itself had taken until then."""
    found, spent, began = [], 0.0, time.thread_time()
    for state in states:
        spent += time.thread_time() - began
        found.append((state, spent))
        began = time.thread_time()
    return found, spent


def _spread(count: int) -> list[int]:
    """Positions evenly spread by the logarithm of the iteration: the picture changes most at the beginning."""
    return sorted({round(position) - 1 for position in np.geomspace(1, count, SPREAD).tolist()})


def _describe(frames: list[Frame], iterations: int, seconds: float) -> dict[str, Any]:
    height, width, _ = frames[0].image.shape
    return {
        "date": datetime.date.today().isoformat(),
        "device": "one CPU core",
        "seconds": round(seconds, 3),
        "iterations": iterations,
        "height": height,
        "width": width,
        "frames": [_without_numbers(frame_data(shown)) for shown in frames],
    }


def _without_numbers(shown: dict[str, Any]) -> dict[str, Any]:
    """The scores of the last frame stand for all: a table for each would triple the file."""
    return {name: value for name, value in shown.items() if name != "numbers"}


if __name__ == "__main__":
    made = record()
    sys.stdout.write(f"{len(made['frames'])} frames of a run of {made['seconds']:.2f} s are in {recording.FOLDER}\n")
