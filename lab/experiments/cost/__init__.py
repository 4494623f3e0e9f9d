"""What an experiment costs, told from its options before anything is loaded or computed."""

from __future__ import annotations

from dataclasses import dataclass

from lab.client import checkpoints
from lab.experiments.cost.memory import attack_bytes, round_bytes, sizes_of
from lab.experiments.cost.network_profile import profile_of
from lab.experiments.cost.products import attack_products, products_per_second, round_products
from lab.experiments.experiment import Experiment


@dataclass(frozen=True)
class Cost:
    """Bounds from above, on a processor; bytes are those that live at the same time, weights and pictures included.

    The program itself (0.4 GB with torch) is not among them, nor the frames that a page or the command line keeps, whose bytes
    have a bound of their own.
    """

    round_bytes: int
    attack_bytes: int
    round_products: int
    """Multiply-adds of the client's training."""
    attack_products: int
    """Multiply-adds of the whole attack, all restarts."""

    @property
    def bytes(self) -> int:
        """The most of both."""
        return max(self.round_bytes, self.attack_bytes)

    @property
    def seconds(self) -> float:
        """Processor seconds of round and attack on this machine, roughly."""
        return (self.round_products + self.attack_products) / products_per_second()


def cost(experiment: Experiment) -> Cost:
    """The cost of an experiment's round and attack, from the shapes of its layers.

    Raises ``LabError`` where the inputs are no such as the network takes, or pictures too small for it.
    """
    _ = experiment.modality
    classes = checkpoints.classes(experiment.network, experiment.weights) if experiment.trained else len(experiment.class_names)
    sizes = sizes_of(experiment, profile_of(experiment.network, experiment.input_shape, classes, experiment.defences))
    return Cost(
        round_bytes=round_bytes(experiment, sizes),
        attack_bytes=attack_bytes(experiment, sizes),
        round_products=experiment.asked * round_products(sizes),
        attack_products=attack_products(experiment, sizes),
    )
