"""Batches: many pictures in one gradient, and what repeated labels do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.settings import Matching
from lab.client.datasets.cifar100 import CIFAR100
from lab.client.datasets.gallery import NAMES, Gallery
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import recommended_matching
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.studies.base import Cell, Mark, PaperNumber, Pictures, Study

_SIZES = (1, 2, 4, 8, 16, 32, 100)
_HUNDRED = PaperNumber(10.7, None, Mark.DERIVED)
_FOUR = 4


@dataclass(frozen=True)
class Batch(Study):
    """One to a hundred pictures behind one gradient, and four pictures under one label against four labels."""

    title: ClassVar[str] = "Batches: from 1 to 100 pictures"
    paper_item: ClassVar[str] = "Geiping et al. 2020, section 6, 100 CIFAR-100 pictures behind one gradient of ResNet32-10"
    small_images: ClassVar[int] = 2
    paper_images: ClassVar[int] = 10

    def cells(self) -> tuple[Cell, ...]:
        """Sizes first, then the labels."""
        return (*self._sizes(), *self._labels(), *self._papers())

    def _sizes(self) -> Iterator[Cell]:
        smaller = ("small ConvNet and ten classes instead of ResNet32-10 and CIFAR-100",)
        for size in _SIZES:
            if size <= (len(NAMES) if self.pictures is Pictures.GALLERY else 100):
                experiment = Experiment(batch_size=size, network=SmallConvNet(), attack=self._attack(size))
                paper = _HUNDRED if size == 100 else None
                yield self.cell(f"{size} picture{'s' if size > 1 else ''}", experiment, paper, smaller=smaller)

    def _labels(self) -> Iterator[Cell]:
        """The same pictures under the same weights; only their labels differ."""
        for title, labels in (("four different labels", (0, 1, 2, 3)), ("one label for all four", (3,))):
            runs = tuple(
                Experiment(
                    dataset=Gallery(first=NAMES[_FOUR * number], labels=labels),
                    batch_size=_FOUR,
                    attack=self._attack(_FOUR),
                    seed=seed,
                )
                for number in range(min(self.picture_count, len(NAMES) // _FOUR))
                for seed in range(self.seeds)
            )
            yield Cell(f"4 gallery pictures, {title}", runs, None, "gallery photographs")

    def _papers(self) -> Iterator[Cell]:
        if not self.small:
            experiment = Experiment(
                dataset=CIFAR100(),
                batch_size=100,
                network=ResNet(depth=32, widen=10),
                attack=GradientMatching(iterations=self.steps(24_000, 24_000)),
            )
            yield Cell("100 pictures of CIFAR-100, ResNet32-10", (experiment,), _HUNDRED)

    def _attack(self, size: int) -> Matching:
        attack = recommended_matching(SmallConvNet(), trained=False, pictures=size)
        return replace(attack, iterations=self.steps(200 if size > 16 else 400, 4000))
