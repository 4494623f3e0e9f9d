"""Where graphs stop coming back: noise on the gradient, and several graphs behind one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.neighbourhoods import Neighbourhoods
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.experiments.experiment import Experiment
from lab.federated.networks.gcn import GCN
from lab.studies.base import Cell, Study
from lab.studies.graph_rows import graph_cell

STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3)
BATCHES = (2, 4)


@dataclass(frozen=True)
class GraphCurves(Study):
    """Neighbourhoods and matching on MUTAG or molecules that ship: under Gaussian noise, and on two and four graphs."""

    title: ClassVar[str] = "Graphs: noise on the gradient, and batches"
    paper_item: ClassVar[str] = "No paper's figure: noise is told as a share of the gradient's own length"
    small_images: ClassVar[int] = 4
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """Attack by attack, the noise from little to much, then the batches."""
        attacks: dict[str, Attack] = {
            "neighbourhoods": Neighbourhoods(),
            "matching": GradientMatching(optimiser=Adam(), iterations=self.steps(100, 4000)),
        }
        lone = Experiment(network=GCN())
        scenes = {f"noise {share:g}": replace(lone, defences=(GaussianNoise(strength=share),)) for share in STRENGTHS}
        scenes |= {f"{size} graphs": replace(lone, batch_size=size) for size in BATCHES}
        return tuple(
            graph_cell(self, f"{told}, {title}", replace(scene, attack=attack), "MUTAG")
            for (told, attack), (title, scene) in product(attacks.items(), scenes.items())
        )
