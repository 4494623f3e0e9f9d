"""CIFAR-100 (Krizhevsky 2009): CIFAR-10's larger sister."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.client.datasets.torchvision_cifar import CifarSet

_NAMES = """
    apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly,
    camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile,
    cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn
    mower, leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange,
    orchid, otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit,
    raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel,
    streetcar, sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip,
    turtle, wardrobe, whale, willow tree, wolf, woman, worm
"""


@dataclass(frozen=True)
class CIFAR100(CifarSet):
    """60,000 colour photographs of 32 x 32 pixels in 100 classes."""

    base_folder: ClassVar[str] = "cifar-100-python"
    per_file: ClassVar[int] = 50_000
    megabytes: ClassVar[float] = 169

    @property
    def class_names(self) -> tuple[str, ...]:
        """The 100 fine classes in alphabetical order, which is that of their numbers."""
        return tuple(" ".join(name.split()) for name in _NAMES.split(","))
