"""What ``gradlab run`` attacks: a round that is simulated, an update that a page has opened, or a round of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.commands.choosing import Choices, OwnFlags, check_available, choose, stopped_after
from lab.commands.gc_freeze import frozen_imports
from lab.commands.interruption import CommandResult
from lab.commands.privacy_target import PrivacyTarget
from lab.experiments.outputs import ready_folder

if TYPE_CHECKING:
    from lab.experiments.experiment import Experiment

UNKNOWN = "unknown"
"""The data set of an experiment whose pictures nobody knows."""


@dataclass(frozen=True)
class Request:
    """All that was typed, in order."""

    choices: Choices
    own: OwnFlags
    target: PrivacyTarget
    device: str
    seconds: float | None
    out: Path | None
    download: bool


def attack(request: Request) -> CommandResult:
    """What came out. Raises ``LabError``."""
    if request.own != OwnFlags():
        return _attack_own(request)
    chosen = request.target.kept(choose(request.choices))
    if request.download:
        from lab.commands.fetching import fetch_for

        fetch_for(chosen)
    is_opened = chosen.dataset.name == UNKNOWN
    if not is_opened:
        check_available(chosen)
    if request.out is not None:
        ready_folder(request.out)
    return _attack_opened(request, chosen) if is_opened else _attack_simulated(request, chosen)


def _last_iteration(request: Request) -> int | None:
    """Where the run ended that a file describes, unless something typed says another end."""
    file, is_limited = request.choices.experiment, request.seconds is not None
    typed = is_limited or dict(request.choices.edits).get("iterations") is not None
    return None if file is None or typed else stopped_after(file)


def _attack_simulated(request: Request, experiment: Experiment) -> CommandResult:
    """Only now, with nothing left to refuse, is there something to compute."""
    last = _last_iteration(request)
    with frozen_imports():
        from lab.commands.running import Limits, run

    return run(experiment, request.device, Limits(request.seconds, last), request.out, request.target.delta)


def _attack_opened(request: Request, experiment: Experiment) -> CommandResult:
    """An update that a page has opened, and whose pictures nobody knows."""
    last = _last_iteration(request)
    with frozen_imports():
        from lab.commands.running import Limits
        from lab.commands.running_own import run
        from lab.experiments.imported_update import round_of

    seen = round_of(experiment).observation
    return run(seen, experiment.attack, experiment.seed, (), request.device, Limits(request.seconds, last), request.out)


def _attack_own(request: Request) -> CommandResult:
    """A round of the user's own."""
    from lab.commands.choosing_own import check_flags

    check_flags(request.own, request.choices)
    if request.out is not None:
        ready_folder(request.out)
    with frozen_imports():
        from lab.commands.choosing_own import chosen_attack, chosen_round
        from lab.commands.running import Limits
        from lab.commands.running_own import run

    seen = chosen_round(request.own, request.choices)
    chosen, seed = chosen_attack(seen, request.choices)
    return run(seen, chosen, seed, request.own.truth, request.device, Limits(request.seconds), request.out)
