"""Sentences under noise: how much of it the words stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from lab.client.defences.gaussian_noise import GaussianNoise
from lab.studies.base import Cell, Study
from lab.studies.text_rows import STATES, sentences, text_cell

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)


@dataclass(frozen=True)
class TextNoise(Study):
    """One and four sentences under Gaussian noise, from 1e-5 of the gradient's length to all of it, at width 256."""

    title: ClassVar[str] = "Text: noise on the gradient"
    paper_item: ClassVar[str] = "No paper's figure: noise is told as a share of the gradient's own length"
    small_images: ClassVar[int] = 10
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Curve by curve, each from little noise to much."""
        return tuple(
            text_cell(
                self,
                f"{state}, {sentences(size)}, noise {strength:g}",
                replace(experiment, batch_size=size, defences=(GaussianNoise(strength=strength),)),
            )
            for (state, experiment), size, strength in product(STATES.items(), (1, 4), STRENGTHS)
        )
