"""How a session begins: from changes to the default experiment, from a link or from an experiment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widgets.door.sentences import sentence
from widgets.form.part_names import EVERYTHING
from widgets.run import allowance

if TYPE_CHECKING:
    from lab import Experiment

WITHIN_PARTS = ("advanced", "camera", "draw", "folder", "upload")
"""What ``hide=`` may name besides a control, a part of the page or a tab: the folded controls."""
MAX_NOTICES = 4


@dataclass(frozen=True)
class Opening:
    """The first experiment, the controls that the reader is not to see, and a sentence about what was wrong."""

    experiment: Experiment
    hidden: tuple[str, ...] = ()
    notice: str = ""


Source = Callable[[], Opening]
"""Called on the worker thread, once the lab is loaded."""


def affordable(opened: Opening) -> Opening:
    """The same, or the default experiment with a sentence, where the one asked for costs more than is allowed."""
    from lab import Experiment, LabError

    try:
        allowance.check(opened.experiment)
    except LabError as error:
        notice = f"{opened.notice} {error} The default experiment is shown instead."
        return replace(opened, experiment=Experiment(), notice=notice.strip())
    return opened


def from_changes(changes: dict[str, Any]) -> Source:
    """The default experiment with changes as plain data; where they are wrong, the default one and a notice."""

    def opening() -> Opening:
        from lab import Experiment

        try:
            return Opening(Experiment.from_plain(changes))
        except Exception as error:
            return Opening(Experiment(), notice=f"{sentence(error)} The default experiment is shown instead.")

    return opening


def from_link(query: str) -> Source:
    """What a link says (``lab.experiments.links``); each part that is wrong is left out with a notice."""

    def opening() -> Opening:
        from lab.errors import quoted
        from lab.experiments.links import read
        from widgets.form.admission import admitted

        link = read(query, admitted)
        unknown = [name for name in link.hidden if not _can_hide(name)]
        notices = [*link.notices, *(f"There is nothing called {quoted(name)} to hide." for name in unknown)]
        more = f" There are {len(notices) - MAX_NOTICES} more faults." if len(notices) > MAX_NOTICES else ""
        told = f"In the link: {' '.join(notices[:MAX_NOTICES])}{more} The rest of it is shown." if notices else ""
        return Opening(link.experiment, tuple(name for name in link.hidden if name not in unknown), told)

    return opening


def from_experiment(experiment: Experiment) -> Source:
    """A ready experiment."""
    return lambda: Opening(experiment)


def _can_hide(name: str) -> bool:
    """Whether there is such a part, or could be such a control."""
    from lab.errors import LONGEST_NAME
    from lab.experiments.edits import FIELDS, NAMES

    is_path = re.fullmatch(r"[a-z_]+(\.[a-z0-9_]+){0,4}", name) is not None and len(name) <= LONGEST_NAME
    return name in (*EVERYTHING, *WITHIN_PARTS, *NAMES) or (is_path and name.partition(".")[0] in FIELDS)
