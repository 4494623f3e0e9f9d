"""Sentences behind local steps: what the rate and the number of steps leave of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from lab.federated.protocols.fedavg import FedAvg
from lab.studies.base import Cell, Study
from lab.studies.text_rows import STATES, sentences, text_cell

STEPS = (1, 2, 5, 10)
RATES = (0.01, 0.1)


@dataclass(frozen=True)
class TextSteps(Study):
    """One and four sentences after 1 to 10 local steps at two rates, read off a transformer of width 256."""

    title: ClassVar[str] = "Text: local steps before the update is sent"
    paper_item: ClassVar[str] = "After DAGER (Petrov et al., NeurIPS 2024), section on FedAvg; its figures are no match"
    small_images: ClassVar[int] = 10
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Curve by curve, each from few steps to many."""
        return tuple(
            text_cell(
                self,
                f"{state}, {sentences(size)}, rate {rate:g}, {count} step{'s' * (count > 1)}",
                replace(experiment, batch_size=size, protocol=FedAvg(local_steps=count, learning_rate=rate)),
            )
            for (state, experiment), size, rate, count in product(STATES.items(), (1, 4), RATES, STEPS)
        )
