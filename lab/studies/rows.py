"""The benchmark rows: four data sets on which later papers list Inverting Gradients as their baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lab.client.datasets.mnist import MNIST
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_attack
from lab.federated.networks.base import Network
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.studies.base import Cell, Mark, PaperNumber, Pictures, Study

SQUEEZENET = "squeezenet1_0_deepcomp_torchvision.pth"
"""A local file of ImageNet weights, found in the folder of data; torchvision's own file of SqueezeNet 1.0 does as well."""


def _listed(value: float) -> PaperNumber:
    return PaperNumber(value, None, Mark.LISTED)


@dataclass(frozen=True)
class Rows(Study):
    """CIFAR-10, MNIST, ImageNet and ImageNet1K, one picture a gradient, untrained and trained, beside the listed figures."""

    title: ClassVar[str] = "Benchmark rows: one picture behind one gradient"
    paper_item: ClassVar[str] = (
        "Figures that later papers list for Inverting Gradients, their baseline; their set-ups are unknown"
    )
    small_images: ClassVar[int] = 4

    def cells(self) -> tuple[Cell, ...]:
        """Data set by data set; each network with the attack that the lab recommends for it."""
        cifar, trained = self._attacked(SmallConvNet()), self._attacked(SmallConvNet(), trained=True)
        return (
            self.cell("CIFAR-10, small ConvNet untrained", cifar, _listed(11.28)),
            self.cell("CIFAR-10, small ConvNet trained (83 %)", trained, _listed(11.28)),
            *self._digits(cifar),
            self._large(
                "ImageNet, small ConvNet at 224 pixels untrained", self._attacked(SmallConvNet(), image_size=224), 11.45
            ),
            self._large("ImageNet, ResNet-18 untrained", self._attacked(ImageNetResNet()), 11.45),
            self._large("ImageNet, SqueezeNet 1.0 untrained", self._attacked(SqueezeNet()), 11.45),
            self._large("ImageNet1K, ResNet-18 trained", self._attacked(ImageNetResNet(), trained=True), 11.703),
            self._large("ImageNet1K, SqueezeNet 1.0 trained", self._attacked(SqueezeNet(), SQUEEZENET, trained=True), 11.703),
        )

    def _attacked(self, network: Network, weights: str = "", *, trained: bool = False, image_size: int = 0) -> Experiment:
        attack = recommended_attack(network, trained=trained)
        chosen = Experiment(network=network, trained=trained, weights=weights, image_size=image_size, attack=attack)
        return replace(chosen, attack=replace(attack, iterations=self.steps(200 if chosen.size == 32 else 100, 4000)))

    def _digits(self, experiment: Experiment) -> tuple[Cell, ...]:
        """MNIST's test pictures, where there is a folder of data that may hold them."""
        if self.pictures is Pictures.GALLERY:
            return ()
        experiments = tuple(
            replace(experiment, dataset=MNIST(first=number), seed=seed)
            for number in range(self.picture_count)
            for seed in range(self.seeds)
        )
        return (Cell("MNIST, small ConvNet untrained", experiments, _listed(9.96), "28 x 28 enlarged to 32 x 32"),)

    def _large(self, title: str, experiment: Experiment, listed: float) -> Cell:
        """Pictures of 224 x 224 pixels: the gallery's, as ImageNet's may not be passed on."""
        few = replace(self, images=min(self.picture_count, 2)) if self.small else self
        return few.cell(
            title, experiment, _listed(listed), smaller=("gallery photographs of 224 pixels instead of ImageNet's",)
        )
