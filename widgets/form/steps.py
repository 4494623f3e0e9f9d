"""Next steps: each is one question to a known start, so that what one answers never adds up with what another did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widgets.form.gate import edited

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.edits import Patch


@dataclass(frozen=True)
class NextStep:
    """A question, and the changes of the default experiment that answer it."""

    key: str
    title: str
    question: str
    """As the page asks it after a run."""
    note: str
    """What has changed."""
    edits: tuple[Patch, ...]
    opens: str = ""
    """The tab that it opens."""


STEPS = (
    NextStep(
        "batch",
        "Send eight pictures at once",
        "Would eight pictures hide it?",
        "Eight pictures now share one gradient: averaging blurs, but does it hide?",
        (("batch_size", 8),),
    ),
    NextStep(
        "trained",
        "Try a trained network",
        "Would a trained network hide it?",
        "The network is now trained, which usually makes it harder to invert.",
        (("trained", True),),
    ),
    NextStep(
        "steps",
        "Take five local steps",
        "Would five local steps hide it?",
        "The client now takes five steps by itself and sends only how its weights changed.",
        (("local_steps", 5),),
    ),
    NextStep(
        "noise",
        "Add noise to what is sent",
        "Would noise hide it?",
        "The client now adds noise ten times as long as what it hides; how much is set under Advanced.",
        (("defence", "gaussian_noise"), ("defences.0.strength", 10)),
    ),
    NextStep(
        "algebra",
        "Do it with algebra",
        "Could it be read without guessing?",
        "A fully connected network needs no guessing: one division gives the picture. See the Algebra tab.",
        (("network", "mlp"), ("attack", "analytic")),
        opens="algebra",
    ),
)
UNDO = "Undo takes it back, as does the browser's back button."


def made(step: NextStep, present: Experiment) -> Experiment:
    """The default experiment with the step's changes, and with the reader's own secret where one picture is asked for."""
    from lab import Experiment, LabError

    default = edited(Experiment(), step.edits)
    if default.batch_size > 1 or present.dataset.modality != default.dataset.modality:
        return default
    try:
        return replace(default, dataset=present.dataset)
    except LabError:  # a secret of another kind than the step's network takes
        return default


def lit(present: Experiment) -> NextStep | None:
    """The step whose experiment the present one is."""
    return next((step for step in STEPS if made(step, present) == present), None)


def after(present: Experiment) -> NextStep:
    """The step that follows: the first one, or the one after the present one's."""
    step = lit(present)
    return STEPS[(STEPS.index(step) + 1) % len(STEPS)] if step else STEPS[0]


def take(session: Any, step: NextStep) -> str:
    """Set a step's experiment and attack it; answers like ``Session.edit``."""
    refused = session.change(lambda present: made(step, present))
    if not refused:
        session.start()
    return refused
