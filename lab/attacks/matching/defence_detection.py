"""What was done to an update before it was sent, as the update itself tells: signs, zeros, noise.

Read is only what changes how to attack. The doctor (``lab/findings``) hears fainter traces of the same, and formats of few
digits; what spoils little it names, and matching had better not be kept smoother for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from lab.lazy import torch

from lab.attacks.matching.sent_directions import RANK_TOLERANCE
from lab.federated.observation import Observation
from lab.federated.singular_values import noise_behind, rank_of

SAME_SIZE = 1 + 1e-3
"""Magnitudes this close count as one."""
PRUNED_SHARE = 0.5
"""From this share of zeros on an update may have been pruned ..."""
PRUNED_GAP = 0.1
"""... if the smallest number left is at least this share of the middle one: a network's own zeros stand beside ever smaller
numbers."""
GRID_SIZES = 16
"""Of a grid of at most five bits; more of them spoil little."""
MIN_RANK = 2
"""What is of rank one by itself, or stands alone, does not tell that its rank was lowered."""
MAX_NOISE = 10.0
"""Relative noise beside which the gradient's own length is not heard any more."""
MIN_NOISE = 0.2
"""Relative noise that changes how to attack."""


class DetectedDefence(Enum):
    """What an update tells of its way."""

    PLAIN = ""
    SIGNS = "The update holds signs alone, so signs are compared, softly."
    SPARSE = (
        "{amount:.3g} % of the update are zeros beside no small numbers: it was pruned, so what was sent is compared, and that "
        "nothing left out was larger, and the picture is kept smoother."
    )
    GRID = "Each layer's update has {number:.0f} sizes at most: it was rounded to a grid, so the picture is kept smoother."
    LOW_RANK = (
        "Each layer's update has {number:.0f} directions at most, fewer than training leaves: the others were left out, so "
        "what has nothing to do with these is not compared, and the picture is kept smoother."
    )
    NOISE = (
        "The last layer tells of noise {amount:.0f} % as long as the gradient, so the picture is kept smoother and no layer "
        "leads."
    )


@dataclass(frozen=True)
class Detection:
    """What was found, and how much of it."""

    trace: DetectedDefence
    amount: float = 0.0
    """The share of zeros, the most sizes, the largest rank, or the length of the noise over that of the gradient."""

    @property
    def sentence(self) -> str:
        """For the reader of a run."""
        return self.trace.value.format(amount=100 * self.amount, number=self.amount)


def detect_defence(observation: Observation) -> Detection:
    """The most telling trace; a plain update has none. Steps that divide by sizes leave few sizes by themselves.

    In a mean of several updates few sizes and zeros say no more what each was made of; what chance is left is noise.
    """
    if not observation.protocol.is_linear:
        return Detection(DetectedDefence.PLAIN)
    numbers = torch.cat([tensor.flatten() for tensor in observation.update.values()]).abs()
    left = numbers[numbers > 0]
    if not len(left):
        return Detection(DetectedDefence.PLAIN)
    if observation.rounds > 1:
        return _noisy(observation)
    if all(_of_one_size(tensor) for tensor in observation.update.values()):
        return Detection(DetectedDefence.SIGNS)
    sizes = _few_sizes(observation)
    if sizes:
        return Detection(DetectedDefence.GRID, sizes)
    zeros = 1 - len(left) / len(numbers)
    if zeros >= PRUNED_SHARE and float(left.min()) >= PRUNED_GAP * float(left.median()):
        return Detection(DetectedDefence.SPARSE, zeros)
    rank = _low_rank(observation)
    if rank:
        return Detection(DetectedDefence.LOW_RANK, rank)
    return _noisy(observation)


def _noisy(observation: Observation) -> Detection:
    noise = _noise(observation)
    return Detection(DetectedDefence.NOISE, noise) if noise >= MIN_NOISE else Detection(DetectedDefence.PLAIN)


def _of_one_size(tensor: torch.Tensor) -> bool:
    sizes = tensor.abs()[tensor != 0]
    return len(sizes) == 0 or float(sizes.max()) <= SAME_SIZE * float(sizes.min())


def _few_sizes(observation: Observation) -> int:
    """The most sizes, zero among them, of a tensor's numbers, where each large tensor has few; else 0."""
    most = 0
    for tensor in observation.update.values():
        if tensor.numel() > 2 * GRID_SIZES:
            most = max(most, len(tensor.abs().unique()))
            if most > GRID_SIZES:
                return 0
    return most


def _low_rank(observation: Observation) -> int:
    """The largest rank of a layer's update where each has at most half of what training leaves; 0 where one has more.

    A convolution's is full, and a linear layer's as large as the batch. One layer alone tells nothing.
    """
    ranks: list[int] = []
    for tensor in observation.update.values():
        usual = _usual_rank(tensor, observation.batch_size)
        if usual >= MIN_RANK:
            ranks.append(rank_of(torch.linalg.svdvals(tensor.detach().cpu().flatten(1)), RANK_TOLERANCE))
            if 2 * ranks[-1] > usual:
                return 0
    return max(ranks) if len(ranks) >= MIN_RANK else 0


def _usual_rank(tensor: torch.Tensor, pictures: int) -> int:
    if tensor.dim() not in (2, 4):
        return 0
    whole = min(tensor.flatten(1).shape)
    return min(whole, pictures) if tensor.dim() == 2 else whole


def _noise(observation: Observation) -> float:
    """The noise's length over that of the gradient without it; 0 where nothing tells it.

    It is what of a linear layer's gradient is not of the rank of the batch. After local steps the rank grows without any noise.
    """
    pictures, found = observation.batch_size, 0.0
    if observation.local_steps > 1:
        return found
    plain = observation.protocol.steps(pictures).optimiser.is_plain
    gradient = observation.update if plain else observation.mean_gradient()  # which differ in length alone
    for weight in (gradient.get(f"{name}.weight") for name in observation.network.linear_layers):
        if weight is None:
            continue
        level = noise_behind(torch.linalg.svdvals(weight.detach().cpu().double()), weight.shape, pictures)
        whole = math.sqrt(sum(float(tensor.double().square().sum()) for tensor in gradient.values()))
        count = sum(tensor.numel() for tensor in gradient.values())
        found = max(found, level * math.sqrt(count) / whole)
    return found / math.sqrt(max(1 - found**2, 1 / MAX_NOISE**2))
