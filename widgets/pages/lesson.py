"""A lesson: the lab's own session with the few views that one step of a course needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from widgets.form.part_names import EVERYTHING
from widgets.pages.attended import Attended
from widgets.pages.parts import views
from widgets.playback.playback import Playback
from widgets.run import opening
from widgets.run.session import Session

if TYPE_CHECKING:
    from lab import Experiment

USUAL = ("secret", "sent", "server", "transport")


class Lesson(Attended):
    """One live experiment inside a notebook, reduced to what the lesson is about.

    ``shows`` names the parts, in any order (they keep the order of the page):

    - cards ``secret`` (the private picture), ``sent`` (the numbers), ``server`` (the reconstruction and the verdict);
    - ``shield`` (the client's defence and its price), ``attacker`` (who knows it), ``plane`` (what leaks, what it costs);
    - ``transport`` (attack, pause, step, scrubber), ``guess`` (which of these 8?), ``chips`` (next steps);
    - ``controls`` (the form that changes the experiment), ``curve`` (objective and main measure), ``conditions``;
    - tabs ``algebra``, ``difference``, ``layers``, ``numbers``, ``history``;
    - ``compare`` (two runs side by side, sweeps), ``doctor`` (failures, causes, cures), ``share`` (link, export).

    The experiment is one of: ``link="network=lenet&seed=3"`` (the words of ``lab.experiments.links``),
    ``experiment=Experiment(...)``, or ``changes={"seed": 3}``; without any it is the default one.
    ``hidden`` names controls of the form by path ("picture", "network", "distance", "tv", "advanced" ...);
    ``only`` names the controls that stay, and hides all others.

        Lesson(shows=["secret", "server", "transport", "controls"], link="trained=true", only=["distance"])

    ``lesson.session`` is the ``Session``: ``await lesson.session.finish()`` runs to the end without a click, then
    ``lesson.session.numbers`` holds the scores. Raises ``LabError`` for an unknown part.
    """

    def __init__(
        self,
        shows: Sequence[str] = USUAL,
        *,
        link: str = "",
        experiment: Experiment | None = None,
        changes: dict[str, Any] | None = None,
        hidden: Sequence[str] = (),
        only: Sequence[str] = (),
    ) -> None:
        _check(shows)
        self.session = Session(_source(link, experiment, changes or {}), hidden=hidden, only=only)
        film = Playback(self.session, recorded=False)
        super().__init__(film, covered="guess" in shows, **views(film, self.session, shows))


def _source(link: str, experiment: Experiment | None, changes: dict[str, Any]) -> opening.Source:
    if experiment is not None:
        return opening.from_experiment(experiment)
    return opening.from_link(link) if link else opening.from_changes(changes)


def _check(shows: Sequence[str]) -> None:
    from lab.errors import unknown_name

    for name in shows:
        if name not in EVERYTHING:
            raise unknown_name("part of a lesson", name, EVERYTHING)
