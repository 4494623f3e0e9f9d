"""Which grids there are: two choices each, and the experiment of every cell, made as clicks in the form make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab import Experiment
    from lab.experiments.edits import Patch


@dataclass(frozen=True)
class Axis:
    """One choice: its title, and for each value its words and the changes of the form that make it."""

    title: str
    values: tuple[tuple[str, tuple[Patch, ...]], ...]


@dataclass(frozen=True)
class Grid:
    """A question, and the attacks that answer it."""

    name: str
    question: str
    down: Axis
    across: Axis

    def experiment(self, row: int, column: int, start: Experiment | None = None) -> Experiment:
        """``start``, else the default experiment, with the values of a cell.

        Raises ``LabError`` where they cannot be had together.
        """
        from lab import Experiment
        from widgets.form.admission import edited

        return edited(start or Experiment(), (*self.down.values[row][1], *self.across.values[column][1]))

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Row and column of each, row by row."""
        return [(row, column) for row in range(len(self.down.values)) for column in range(len(self.across.values))]


def _axis(title: str, path: str, *values: int) -> Axis:
    return Axis(title, tuple((str(value), ((path, value),)) for value in values))


def _noise(strength: float) -> tuple[str, tuple[Patch, ...]]:
    return f"{strength:g}", (("defence", "gaussian_noise"), ("defences.0.strength", strength))


WEIGHTS = Axis("weights", (("untrained", ()), ("trained", (("trained", True),))))
NETWORKS = (
    ("MLP", "mlp"),
    ("small ConvNet", "small_convnet"),
    ("LeNet", "lenet"),
    ("ResNet", "resnet"),
    ("vision transformer", "vision_transformer"),
)
GRIDS = {
    grid.name: grid
    for grid in (
        Grid(
            "averaging",
            "Does averaging protect?",
            _axis("local steps", "local_steps", 0, 1, 5, 16),
            _axis("pictures", "batch_size", 1, 2, 4, 8),
        ),
        Grid(
            "noise",
            "How much noise does it take?",
            Axis("noise, in lengths of the gradient", (("none", ()), *map(_noise, (0.1, 1, 3, 10)))),
            WEIGHTS,
        ),
        Grid(
            "networks",
            "Which networks give it away?",
            Axis("network", tuple((words, (("network", name),)) for words, name in NETWORKS)),
            WEIGHTS,
        ),
    )
}
