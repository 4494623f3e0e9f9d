"""Sentences behind one gradient: batches of them, read off by fresh and by trained weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from lab.attacks.span import Span
from lab.client.datasets.wonderland import Wonderland
from lab.experiments.experiment import Experiment
from lab.federated.networks.transformer import Transformer
from lab.studies.base import Cell, Study

WEIGHTS = "transformer-width256.safetensors"
"""A local file, found in the folder of data: ``gradlab train transformer:width=256 --half`` makes it in a few minutes."""
UNTRAINED = Experiment(dataset=Wonderland(), network=Transformer(width=256), attack=Span())
STATES = {"untrained": UNTRAINED, "trained": replace(UNTRAINED, trained=True, weights=WEIGHTS)}
SIZES = (1, 2, 4, 8)


def sentences(size: int) -> str:
    """So many of them, in words."""
    return "1 sentence" if size == 1 else f"{size} sentences"


def text_cell(study: Study, title: str, experiment: Experiment) -> Cell:
    """A row: the experiment on as many batches, each a seed's sentences, and where fresh its weights."""
    runs = tuple(replace(experiment, seed=seed) for seed in range(study.picture_count * study.seeds))
    fewer = f"{len(runs)} instead of {study.paper_images} batches" if len(runs) < study.paper_images else ""
    return Cell(title, runs, None, fewer)


@dataclass(frozen=True)
class TextRows(Study):
    """Sentences of 20 word pieces in batches of 1 to 8, read off a transformer of width 256, untrained and trained."""

    title: ClassVar[str] = "Text: batches of sentences behind one gradient"
    paper_item: ClassVar[str] = (
        "After DAGER (Petrov et al., NeurIPS 2024), whose networks and texts are others; its figures are no match"
    )
    small_images: ClassVar[int] = 10
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Fresh weights first."""
        return tuple(
            text_cell(self, f"{state}, {sentences(size)}", replace(experiment, batch_size=size))
            for (state, experiment), size in product(STATES.items(), SIZES)
        )
