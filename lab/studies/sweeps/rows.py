"""A study's results as rows: each cell beside the paper's number and beside what knowing nothing would score."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.evaluation.scoring import control_name
from lab.experiments.experiment import Experiment
from lab.modalities.base import Modality
from lab.modalities.line_up import Verdict
from lab.studies.base import Cell, PaperNumber, Study
from lab.studies.sweeps.statistics import Estimate, estimate
from lab.studies.sweeps.store import Store


@dataclass(frozen=True, eq=False)
class Row:
    """One cell, measured as far as it is."""

    cell: Cell
    results: tuple[dict[str, Any], ...]
    measures: Mapping[str, Estimate | None]
    """Those of the modality, its details among them, by name."""
    labels_right: Estimate | None
    gradient_norm: float | None
    identified: float | None
    """Share of private pictures that come first in their line-up."""
    recognisable: float | None
    """Share of experiments with the verdict "Recognisable"."""
    controls: Mapping[str, float | None]
    """What each answer that knows nothing scores, by the name of the answer."""
    cpu_seconds: float | None
    """Median of the attack alone."""
    iterations: int | None
    outcomes: str

    @property
    def modality(self) -> Modality:
        """What the private inputs are."""
        return self.cell.modality

    @property
    def main(self) -> Estimate | None:
        """The measure that tells most."""
        return self.measures[self.modality.main]

    @property
    def measured(self) -> int:
        """Experiments that are finished."""
        return len(self.results)

    @property
    def scaled_down(self) -> str:
        """In which ways it asks less than the paper's own run, runs that are still missing among them."""
        wanted = len(self.cell.experiments)
        missing = f"so far {self.measured} of {wanted} runs" if 0 < self.measured < wanted else ""
        return "; ".join(text for text in (missing, self.cell.scaled_down) if text)

    @property
    def paper(self) -> PaperNumber | None:
        """The paper's number."""
        return self.cell.paper

    @property
    def first(self) -> Experiment:
        """The experiment that a reader is shown for this row."""
        return self.cell.experiments[0]


def rows(study: Study, store: Store) -> tuple[Row, ...]:
    """All cells with what the store has of them."""
    return tuple(row(cell, store) for cell in study.cells())


def row(cell: Cell, store: Store) -> Row:
    """One cell with what the store has of it."""
    found = tuple(result for result in map(store.read, cell.experiments) if result is not None)
    modality = cell.modality
    recognisable = [float(result["verdict"] == Verdict.RECOGNISABLE.value) for result in found]
    return Row(
        cell=cell,
        results=found,
        measures={name: estimate(found, name) for name in (*modality.measures, *modality.details)},
        labels_right=estimate(found, "labels_right"),
        gradient_norm=_mean(result["gradient_norm"] for result in found),
        identified=_mean(result["identified"] for result in found),
        recognisable=_mean(recognisable),
        controls={name: _mean(result[control_name(modality, name)] for result in found) for name in modality.controls},
        cpu_seconds=statistics.median(result["cpu_seconds"] for result in found) if found else None,
        iterations=max((result["iterations"] for result in found), default=None),
        outcomes=", ".join(dict.fromkeys(result["outcome"] for result in found)),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
