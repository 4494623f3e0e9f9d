"""What is known of an attack before it is made: what ships was computed once, with its verdict and its cost."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from widgets.landscape.grids import GRIDS
from widgets.landscape.menu import clicked, menu
from widgets.landscape.recording import recorded

if TYPE_CHECKING:
    from lab import Experiment
    from widgets.landscape.cells import Outcome


@cache
def _known() -> dict[Experiment, tuple[Outcome, float]]:
    """Every recorded experiment with its outcome, and the rate of the machine that computed it."""
    found = {clicked(click): told for click, told in menu().items()}
    for name, grid in GRIDS.items():
        told = recorded(name)
        found |= {grid.experiment(*place): (cell, told.rate) for place, cell in told.cells.items() if cell is not None}
    return found


def seconds_here(experiment: Experiment) -> float | None:
    """What a recorded attack takes on this machine: its seconds, by the rates of both; None of one that was not recorded."""
    from lab.experiments.cost.products import products_per_second

    if (found := _known().get(experiment)) is None:
        return None
    told, rate = found
    return told.seconds * rate / products_per_second()


def outcome_of(experiment: Experiment) -> Outcome | None:
    """What the same attack came to on the input that is chosen when nothing is; None of one that was not recorded."""
    told = _known().get(_on_the_first(experiment))
    return told and told[0]


def _on_the_first(experiment: Experiment) -> Experiment:
    """The same with the default input and seed: another input of the set, or the reader's own, is none that was recorded."""
    from lab import Experiment
    from lab.client.datasets.inline import Inline
    from lab.options.catalogue import find

    dataset: Any = experiment.dataset
    if isinstance(dataset, Inline):
        dataset = find("dataset", experiment.modality.dataset)()
    elif hasattr(dataset, "first"):
        dataset = replace(dataset, first=type(dataset)().first)
    return replace(experiment, dataset=dataset, seed=Experiment().seed)
