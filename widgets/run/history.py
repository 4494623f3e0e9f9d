"""The runs of this session: kept in memory, so that any of them can be shown again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.run.frames import Frame

if TYPE_CHECKING:
    from lab import Experiment

MAX_RUNS = 16
MAX_BYTES = 48 * 2**20
"""Of pictures, all runs together; the oldest go first."""
MAX_FRAMES = 60
"""Of one run once it is over."""
THUMBNAIL = 64


@dataclass(frozen=True, eq=False)
class PastRun:
    """A run that is over, with all that showing it again takes."""

    number: int
    experiment: Experiment
    frames: tuple[Frame, ...]
    message: str
    iterations: int
    ended: bool = True
    """Whether it came to its end, or somebody pressed stop; not where something else was asked for meanwhile."""

    @property
    def size(self) -> int:
        """Bytes of its pictures."""
        return sum(frame.nbytes for frame in self.frames)


class History:
    """The runs in the order in which they ended."""

    def __init__(self) -> None:
        self.runs: list[PastRun] = []
        self._number = 0

    def add(self, experiment: Experiment, frames: list[Frame], message: str, iterations: int, *, ended: bool = True) -> None:
        """Keep a run; those that are too many, or too large together, are forgotten."""
        self._number += 1
        self.runs.append(PastRun(self._number, experiment, spread(frames), message, iterations, ended))
        while len(self.runs) > MAX_RUNS or (len(self.runs) > 1 and sum(run.size for run in self.runs) > MAX_BYTES):
            self.runs.pop(0)

    def find(self, number: int) -> PastRun | None:
        """The run of that number, if it is still kept."""
        return next((run for run in self.runs if run.number == number), None)

    def strip(self) -> list[dict[str, Any]]:
        """What the strip shows of each run: the last picture, the verdict, and how it differs from the default experiment."""
        return [_shown(run) for run in self.runs]


def spread(frames: list[Frame], most: int = MAX_FRAMES) -> tuple[Frame, ...]:
    """At most so many of them, evenly spread, with the first and the last; of one alone the last."""
    if len(frames) <= most:
        return tuple(frames)
    places = np.linspace(len(frames) - 1, 0, most).round().astype(int)[::-1]
    return tuple(frames[place] for place in places)


def _shown(run: PastRun) -> dict[str, Any]:
    from lab.federated.tensors import IMAGES

    last = run.frames[-1]
    step = max(1, max(last.image.shape[:2]) // THUMBNAIL) if last.inputs == IMAGES else 1
    thumbnail = np.ascontiguousarray(last.image[::step, ::step])
    return {
        "number": run.number,
        "title": title(run.experiment),
        "verdict": last.verdict,
        "line_up": last.line_up,
        "score": _main_score(run),
        "iteration": last.iteration,
        "seconds": last.seconds,
        "pixels": thumbnail.tobytes(),
        "height": thumbnail.shape[0],
        "width": thumbnail.shape[1],
        "inputs": last.inputs,
        "words": last.words,
    }


def _main_score(run: PastRun) -> str:
    """The modality's main measure in words, as "38.7 dB" or "Words right 0.98"; empty where nobody knows the truth."""
    modality = run.experiment.modality
    measure, value = modality.measures[modality.main], run.frames[-1].measures.get(modality.main, math.nan)
    if not math.isfinite(value):
        return ""
    return measure.told(value) if measure.unit else f"{measure.title} {measure.told(value)}"


def title(experiment: Experiment) -> str:
    """What was chosen: the network, and whatever differs from that network's usual attack and options.

    Not which picture: its thumbnail shows that as far as the attack found it, and it may still be covered.
    """
    from lab import Experiment
    from lab.experiments.recommended import recommended_for, with_one_modality
    from widgets.form.differences import differences

    unknown = experiment.dataset.name == "unknown"  # of whose client nothing is chosen
    default, network = Experiment(dataset=experiment.dataset) if unknown else Experiment(), type(experiment.network)()
    usual = replace(with_one_modality(default, replace(default, network=network)), attack=recommended_for(experiment))
    other = [each for each in differences(default, usual) if each.path == "network"]
    chosen = [each for each in (*other, *differences(usual, experiment)) if each.path != "picture"]
    return ", ".join(f"{each.title}: {each.after}" for each in chosen) or "the default experiment"


def renumbered(frames: tuple[Frame, ...], run: int) -> tuple[Frame, ...]:
    """The same frames as those of another run."""
    return tuple(replace(frame, run=run) for frame in frames)
