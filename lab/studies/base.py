"""What a study is: named cells, each a list of experiments beside the number that a paper gives for it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, ClassVar

from lab.client.datasets.base import Dataset
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.gallery import NAMES, Gallery
from lab.experiments.experiment import Experiment
from lab.modalities.base import Modality, modality_of
from lab.options.catalogue import Entry
from lab.options.fields import Bounds, Help


class Budget(Enum):
    """How much machine time a study may take."""

    SMALL = "small"
    PAPER = "paper"


class Pictures(Enum):
    """Where the private pictures come from, for networks made for 32 x 32 pixels."""

    CIFAR10 = "cifar10"
    GALLERY = "gallery"


class Mark(Enum):
    """How far a number of a paper can be trusted; the value is said to the reader."""

    VERIFIED = "verified"
    DERIVED = "derived from what the authors' notebook printed, one run"
    RECALLED = "recalled, unverified"
    LISTED = "listed as another paper's baseline, set-up not published"


@dataclass(frozen=True)
class PaperNumber:
    """A number as a paper gives it: the mean of the main measure, its spread over inputs, and how far it can be trusted."""

    value: float
    spread: float | None
    mark: Mark
    unit: str = "dB"

    def __str__(self) -> str:
        """The number, never without its mark."""
        spread = "" if self.spread is None else f" ± {self.spread:.2f}"
        return f"{self.value:.2f}{spread}{self.unit and f' {self.unit}'} ({self.mark.value})"


@dataclass(frozen=True, eq=False)
class Cell:
    """One row of a study's table: experiments that differ in picture and seed alone."""

    name: str
    experiments: tuple[Experiment, ...]
    paper: PaperNumber | None = None
    scaled_down: str = ""
    """In which ways it asks less than the paper's own run; empty where it does not."""

    @property
    def modality(self) -> Modality:
        """What its private inputs are."""
        return modality_of(self.experiments[0].network.modality)


@dataclass(frozen=True)
class Study(Entry):
    """Base of all studies: how many pictures, seeds and iterations, and the cells that follow."""

    kind: ClassVar[str] = "study"
    title: ClassVar[str] = ""
    paper_item: ClassVar[str] = ""
    extra_columns: ClassVar[tuple[str, ...]] = ()
    """Further columns of its table, by the names in ``lab.studies.sweeps.tables``."""
    main: ClassVar[str] = ""
    """What its figure draws: "labels_right", or a measure or detail of the modality; empty takes its main measure."""
    small_images: ClassVar[int] = 4
    """Pictures a cell within the small budget."""
    paper_images: ClassVar[int] = 100

    images: Annotated[int | None, Bounds(1, 100), Help("pictures a cell; empty takes what the budget says", "pictures")] = None
    iterations: Annotated[int | None, Bounds(1, 100_000), Help("steps of each attack; empty takes what the budget says")] = None
    seeds: Annotated[int, Bounds(1, 100), Help("seeds a picture, each with weights and a first candidate of its own")] = 1
    budget: Annotated[Budget, Help("minutes on two cores, or the paper's own settings")] = Budget.SMALL
    pictures: Annotated[Pictures, Help("CIFAR-10's first test pictures, or the gallery that ships with the lab")] = (
        Pictures.GALLERY
    )

    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """The rows of the table, in order."""

    @property
    def small(self) -> bool:
        """Whether the budget is the small one."""
        return self.budget is Budget.SMALL

    @property
    def picture_count(self) -> int:
        """Pictures a cell."""
        return self.images or (self.small_images if self.small else self.paper_images)

    def cell(
        self, name: str, experiment: Experiment, paper: PaperNumber | None = None, *, smaller: tuple[str, ...] = ()
    ) -> Cell:
        """A row: the experiment on every picture and seed, and in which ways it asks less than the paper."""
        runs = self.over(experiment)
        return Cell(name, runs, paper, self._fewer(runs, *smaller))

    def steps(self, small: int, paper: int) -> int:
        """Iterations of an attack: those asked for, else the budget's."""
        return self.iterations or (small if self.small else paper)

    def over(self, experiment: Experiment) -> tuple[Experiment, ...]:
        """The experiment on each picture (each batch of pictures in turn) and each seed; none twice in a small gallery."""
        starts = [self.dataset(number * experiment.batch_size, experiment) for number in range(self.picture_count)]
        return tuple(
            replace(experiment, dataset=dataset, seed=seed) for dataset in dict.fromkeys(starts) for seed in range(self.seeds)
        )

    def dataset(self, number: int, experiment: Experiment) -> Dataset:
        """The data set that begins with picture ``number``; pictures larger than CIFAR-10's are the gallery's."""
        if self.pictures is Pictures.GALLERY or experiment.size > 32:
            return Gallery(first=NAMES[number % len(NAMES)])
        return CIFAR10(first=number)

    def _fewer(self, runs: tuple[Experiment, ...], *others: str) -> str:
        """What a cell asks less of than the paper's run: its pictures, their source, and what else is given."""
        pictures = len(runs) // self.seeds
        few = "" if pictures >= self.paper_images else f"{pictures} instead of {self.paper_images} pictures or batches"
        gallery = isinstance(runs[0].dataset, Gallery) and runs[0].size <= 32
        source = "gallery photographs instead of CIFAR-10" if gallery else ""
        return "; ".join(text for text in (few, source, *others) if text)
