"""Depth: deeper networks hide little more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.attacks.gradient_matching import GradientMatching
from lab.client import checkpoints
from lab.experiments.experiment import Experiment
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.studies.base import Cell, Mark, PaperNumber, Study

_DEPTHS = (18, 34, 50, 152)
_UNTRAINED = {18: PaperNumber(21.9, None, Mark.DERIVED)}
_TRAINED = {18: PaperNumber(9.9, None, Mark.DERIVED), 152: PaperNumber(10.9, None, Mark.DERIVED)}


@dataclass(frozen=True)
class Depth(Study):
    """torchvision's ResNets on pictures of 224 x 224 pixels, untrained; trained where their weights are at hand."""

    title: ClassVar[str] = "Depth: ResNet-18 to ResNet-152"
    paper_item: ClassVar[str] = "Geiping et al. 2020, section 5 and the appendix, ImageNet"
    small_images: ClassVar[int] = 1
    paper_images: ClassVar[int] = 10

    def cells(self) -> tuple[Cell, ...]:
        """Untrained at every depth; the trained ones need torchvision's weights, once downloaded by the user."""
        rows = [self._row(depth, trained=False) for depth in _DEPTHS]
        return (*rows, *(self._row(depth, trained=True) for depth in _DEPTHS if self._wanted(depth)))

    def _wanted(self, depth: int) -> bool:
        return not self.small or checkpoints.available(ImageNetResNet(depth=depth))

    def _row(self, depth: int, *, trained: bool) -> Cell:
        steps = self.steps(100, 24_000)
        smaller = ("gallery photographs instead of ImageNet", f"{steps} iterations instead of 24,000" if self.small else "")
        experiment = Experiment(network=ImageNetResNet(depth=depth), trained=trained, attack=GradientMatching(iterations=steps))
        word = "trained" if trained else "untrained"
        return self.cell(
            f"ResNet-{depth} {word}", experiment, (_TRAINED if trained else _UNTRAINED).get(depth), smaller=smaller
        )
