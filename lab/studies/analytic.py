"""Proposition 3.1, and each way that it breaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lab.attacks.analytic import Analytic as Algebra
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.experiments.experiment import Experiment
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.studies.base import Cell, Study


@dataclass(frozen=True)
class Analytic(Study):
    """Reading a fully connected network by division: exact, and every condition of the proposition taken away in turn."""

    title: ClassVar[str] = "Proposition 3.1 and its limits"
    paper_item: ClassVar[str] = "Geiping et al. 2020, Proposition 3.1"
    small_images: ClassVar[int] = 10
    extra_columns: ClassVar[tuple[str, ...]] = ("outcome",)

    def cells(self) -> tuple[Cell, ...]:
        """The proposition first."""
        whole = Experiment(network=MLP(), attack=Algebra())
        broken = {
            "as proven: biased layers, one picture": whole,
            "trained weights": replace(whole, trained=True),
            "no bias: only up to scale": replace(whole, network=MLP(bias=False)),
            "convolutions below: features, not the picture": replace(whole, network=SmallConvNet()),
            "2 pictures: a mixture": replace(whole, batch_size=2),
            "8 pictures: a mixture": replace(whole, batch_size=8),
            "a layer of one unit that may be dead": replace(whole, network=MLP(width=1, depth=4)),
            "noise of 0.1 % of the gradient": replace(whole, defences=(GaussianNoise(strength=1e-3),)),
            "noise of 10 % of the gradient": replace(whole, defences=(GaussianNoise(strength=0.1),)),
            "5 local steps, tau = 0.01": replace(whole, protocol=FedAvg(local_steps=5, learning_rate=0.01)),
        }
        return tuple(self.cell(title, experiment) for title, experiment in broken.items())
