"""The cases: a network, what the client sends, and how many pictures are behind it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.settings import Matching, Steps
from lab.client.datasets.base import Dataset
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.gallery import NAMES, Gallery
from lab.errors import unknown_name
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import SEVERAL_PICTURES, TOP_HEAVY, recommended_matching
from lab.federated.networks.base import Network
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD


@dataclass(frozen=True)
class Case:
    """One row of the tables."""

    name: str
    title: str
    network: Network
    protocol: Protocol = FedSGD()
    pictures: int = 1
    trained: bool = False
    attack: Matching | None = None
    """The one recommended for the network where none is given."""
    parts: tuple[str, ...] = ("costs", "memory")
    """What is measured of it."""
    cheap: bool = False
    """Breaching's whole default run takes minutes here, not hours, so that the race can really run it."""

    @property
    def own_attack(self) -> Matching:
        """What it is attacked with unless somebody says otherwise."""
        return self.attack or recommended_matching(self.network, trained=self.trained, pictures=self.pictures)

    @property
    def simulates_steps(self) -> bool:
        """Whether an iteration goes through each of several local steps, and so has another floor than that of one."""
        return isinstance(self.protocol, FedAvg) and self.own_attack.local_steps is Steps.SIMULATED

    def experiment(self, dataset: Dataset, seed: int, attack: Attack | None = None) -> Experiment:
        """The lab's experiment of this case; its own attack where none is given."""
        return Experiment(
            dataset=dataset,
            batch_size=self.pictures,
            network=self.network,
            trained=self.trained,
            protocol=self.protocol,
            attack=attack or self.own_attack,
            seed=seed,
        )


PARTS = ("costs", "memory", "race")

_LISTING = (
    Case("lenet", "LeNet (Zhu)", LeNet(), parts=PARTS, cheap=True),
    Case("small_convnet", "small ConvNet", SmallConvNet(), parts=PARTS, cheap=True),
    Case("trained_small_convnet", "small ConvNet, trained", SmallConvNet(), trained=True, parts=("race",), cheap=True),
    Case("convnet64", "ConvNet64", ConvNet(width=64), parts=PARTS),
    Case("resnet20_4", "ResNet20-4", ResNet(depth=20, widen=4), attack=GradientMatching(), parts=PARTS),
    Case("resnet20_4_head_start", "ResNet20-4, head start", ResNet(depth=20, widen=4), parts=("race",)),
    Case("resnet18", "ResNet-18 at 224", ImageNetResNet(depth=18)),
    Case("fedavg_1x5", "ConvNet64, FedAvg, 1 picture, 5 steps", ConvNet(width=64), FedAvg(local_steps=5)),
    Case(
        "fedavg_1x5_bent",
        "the same at a rate of 0.01, set right",
        ConvNet(width=64),
        FedAvg(local_steps=5, learning_rate=1e-2),
    ),
    Case(
        "fedavg_1x5_simulated",
        "the first, each step simulated",
        ConvNet(width=64),
        FedAvg(local_steps=5),
        attack=replace(TOP_HEAVY, local_steps=Steps.SIMULATED),
    ),
    Case("fedavg_4x4", "small ConvNet, FedAvg, 4 pictures, 4 steps", SmallConvNet(), FedAvg(local_steps=4), pictures=4),
    Case(
        "fedavg_4x4_simulated",
        "the same, each step simulated",
        SmallConvNet(),
        FedAvg(local_steps=4),
        pictures=4,
        attack=replace(SEVERAL_PICTURES, local_steps=Steps.SIMULATED),
    ),
    Case("batch_8", "ConvNet64, batch of 8", ConvNet(width=64), pictures=8),
)

CASES = {case.name: case for case in _LISTING}


def chosen(names: list[str]) -> list[Case]:
    """The cases called so, all where none is named. Raises ``LabError`` with the nearest name suggested."""
    for name in names:
        if name not in CASES:
            raise unknown_name("case", name, CASES)
    return [CASES[name] for name in names] if names else list(CASES.values())


@dataclass(frozen=True)
class Pictures:
    """Where the private pictures come from: CIFAR-10's test pictures where a folder holds them, else the gallery."""

    folder: Path | None

    @classmethod
    def from_environment(cls) -> Pictures:
        """As the variable ``GRADLAB_DATA`` says."""
        folder = os.environ.get("GRADLAB_DATA")
        return cls(Path(folder) if folder else None)

    def dataset(self, case: Case, number: int) -> Dataset:
        """The data set that begins with picture ``number``; pictures larger than CIFAR-10's are the gallery's."""
        if self.folder is None or case.network.image_size > 32:
            return Gallery(first=NAMES[number % len(NAMES)])
        return CIFAR10(first=number, root=str(self.folder))

    @property
    def source(self) -> str:
        """Said in the report; no path of the machine in it."""
        return "the gallery" if self.folder is None else "CIFAR-10's test pictures"
