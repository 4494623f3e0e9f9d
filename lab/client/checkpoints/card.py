"""The card of a training: how it was done and how well the result does, kept beside the weights as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.options.fields import AtMost, Bounds, Help, Option
from lab.options.plain import from_plain, to_plain


class Rule(Enum):
    """How the weights follow the gradient."""

    SGD = "sgd"
    ADAMW = "adamw"


@dataclass(frozen=True)
class Recipe(Option):
    """How a network is trained; with the seed it fixes every weight on a given machine."""

    epochs: Annotated[int, Bounds(1, 1000), Help("passes over the training pictures")] = 30
    batch_size: Annotated[int, Bounds(1, 4096), Help("pictures in one step", "pictures")] = 128
    rule: Annotated[Rule, Help("SGD with Nesterov's momentum 0.9, or AdamW")] = Rule.SGD
    learning_rate: Annotated[float, Bounds(1e-6, 10, log=True), Help("the highest step size of the one-cycle schedule")] = 0.1
    warm_up: Annotated[float, Bounds(0.01, 0.9), Help("share of the steps in which the step size grows")] = 0.2
    weight_decay: Annotated[float, Bounds(0, 1), Help("pull of the weights towards zero")] = 5e-4
    shift: Annotated[int, Bounds(0, 16), Help("how far a picture is moved at random", "pixels")] = 4
    flip: Annotated[bool, Help("whether every second picture is mirrored, which suits photographs and not digits")] = True
    held_out: Annotated[int, Bounds(1, 20_000), Help("last training pictures kept aside to measure on", "pictures")] = 5000
    bfloat16: Annotated[bool, Help("compute in bfloat16: faster where the processor has it, slower elsewhere")] = False
    seed: Annotated[int, Bounds(0, 2**31 - 1), Help("the seed of weights, order and augmentation")] = 0


@dataclass(frozen=True)
class Accuracy(Option):
    """A share of pictures classified rightly, and of how many: without that number it says little."""

    of: Annotated[str, Help("which pictures")]
    pictures: Annotated[int, Bounds(1, 2**31), Help("how many")]
    share: Annotated[float, Bounds(0, 1), Help("share classified rightly")]


@dataclass(frozen=True)
class Perplexity(Option):
    """Among how many next words a language model is as good as undecided, and of how many sentences."""

    of: Annotated[str, Help("which sentences")]
    sentences: Annotated[int, Bounds(1, 2**31), Help("how many, each cut to the places there are")]
    value: Annotated[float, Bounds(1, 1e9), Help("the exponential of the mean loss of a next word piece")]


@dataclass(frozen=True)
class Card(Option):
    """Everything worth knowing about trained weights."""

    network: Annotated[Network, Help("what was trained")]
    classes: Annotated[int, Bounds(1, 100_000), Help("classes told apart")]
    image_shape: Annotated[
        tuple[int, ...], AtMost(3), Help("(channels, height, width) of the pictures, (places, pieces) or (nodes, kinds)")
    ]
    recipe: Annotated[Recipe, Help("how it was trained")]
    data: Annotated[str, Help("on which data set")]
    training_pictures: Annotated[int, Bounds(1, 2**31), Help("on how many pictures, or sentences")]
    accuracy: Annotated[tuple[Accuracy, ...], AtMost(20), Help("measured on pictures never trained on")]
    torch: Annotated[str, Help("PyTorch's version")]
    date: Annotated[str, Help("when the training ended")]
    after_epochs: Annotated[float | None, Bounds(0, 1000), Help("so far along the recipe; empty at its end", "epochs")] = None
    perplexity: Annotated[tuple[Perplexity, ...], AtMost(20), Help("of sentences never trained on")] = ()


def write_card(path: Path, card: Card) -> None:
    """Write a card as JSON."""
    path.write_text(json.dumps(to_plain(card), indent=2) + "\n", encoding="utf-8")


def read_card(path: Path) -> Card:
    """Read a card. Raises ``LabError`` where the file is none."""
    try:
        return from_plain(Card, json.loads(path.read_text(encoding="utf-8")), f"card {path.name}")
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"The card {path} cannot be read ({type(error).__name__}); train or copy the weights again.") from None
