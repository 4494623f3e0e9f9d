"""Next steps: each is one question to a known start, so that what one answers never adds up with what another did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from widgets.form.admission import edited

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
    is_answered_by: Callable[[Experiment], bool]
    """Whether an experiment has already what is asked about, in whatever amount."""
    opens: str = ""
    """The tab that it opens."""


def _several(many: str) -> NextStep:
    return NextStep(
        "batch",
        f"Send eight {many} at once",
        f"Would eight {many} hide it?",
        f"Eight {many} now share one gradient: averaging blurs, but does it hide?",
        (("batch_size", 8),),
        lambda present: present.batch_size > 1,
    )


STEPS = (
    _several("pictures"),
    NextStep(
        "trained",
        "Try a trained network",
        "Would a trained network hide it?",
        "The network is now trained, which usually makes it harder to invert.",
        (("trained", True),),
        lambda present: present.trained,
    ),
    NextStep(
        "steps",
        "Take five local steps",
        "Would five local steps hide it?",
        "The client now takes five steps by itself and sends only how its weights changed.",
        (("local_steps", 5),),
        lambda present: present.protocol.sends_change,
    ),
    NextStep(
        "noise",
        "Add noise to what is sent",
        "Would noise hide it?",
        "The client now adds noise ten times as long as what it hides; how much is set under Advanced.",
        (("defence", "gaussian_noise"), ("defences.0.strength", 10)),
        lambda present: "gaussian_noise" in {defence.name for defence in present.defences},
    ),
    NextStep(
        "algebra",
        "Do it with algebra",
        "Could it be read without guessing?",
        "A fully connected network needs no guessing: one division gives the picture. See the Algebra tab.",
        (("network", "mlp"), ("attack", "analytic")),
        lambda present: present.attack.name == "analytic",
        opens="algebra",
    ),
)
UNDO = "Undo takes it back, as does the browser's back button."


def made(step: NextStep, present: Experiment) -> Experiment:
    """The default experiment on such inputs with the step's changes, and with the reader's own secret where one is sought."""
    from lab import LabError

    default = edited(_default(present), step.edits)
    if default.batch_size > 1 or present.dataset.modality != default.dataset.modality:
        return default
    try:
        return replace(default, dataset=present.dataset)
    except LabError:  # a secret of another kind than the step's network takes
        return default


def _default(present: Experiment) -> Experiment:
    """What the page would begin with on inputs of the present kind."""
    from lab import Experiment

    default = Experiment()
    return default if present.modality == default.modality else edited(default, (("network", present.modality.network),))


def offered(present: Experiment | None) -> tuple[NextStep, ...]:
    """The steps that stay with inputs of the present kind, in its words; pictures' own before the lab is loaded."""
    if present is None or present.modality.name == "images":
        return STEPS
    told = (_several(present.modality.many), *STEPS[1:])
    return tuple(step for step in told if _stays(made(step, present), present))


def _stays(changed: Experiment, present: Experiment) -> bool:
    """Whether it is on inputs of the same kind, and can be had."""
    from lab.client.checkpoints import available

    known = not changed.trained or available(changed.network, changed.weights)
    return known and changed.modality == present.modality


def lit(present: Experiment) -> NextStep | None:
    """The step whose experiment the present one is."""
    return _lit(present, offered(present))


def _lit(present: Experiment, among: tuple[NextStep, ...]) -> NextStep | None:
    return next((step for step in among if made(step, present) == present), None)


def after(present: Experiment) -> NextStep:
    """The step that follows: the first one, or the one after the present one's, that asks about what is not there already."""
    others = offered(present)
    step = _lit(present, others)
    first = others.index(step) + 1 if step else 0
    in_turn = [*others[first:], *others[:first]]
    return next((other for other in in_turn if not other.is_answered_by(present)), in_turn[0])


def take(session: Any, step: NextStep) -> str:
    """Set a step's experiment and attack it; answers like ``Session.edit``."""
    refused = session.change(lambda present: made(step, present))
    if not refused:
        session.start()
    return refused
