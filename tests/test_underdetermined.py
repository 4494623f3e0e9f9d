"""A picture that explains every shared number need not be the private one; where it is one of many, matching chooses."""

from dataclasses import dataclass

import pytest
import torch
from rounds import observe, smooth_batch
from torch import nn

from lab.attacks.closed_form.inversion import BOX_TOLERANCE, EXPLAINING, UNDERDETERMINED
from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.recursive import Recursive
from lab.federated.networks.base import Activation, Network, feature_count
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream


@dataclass(frozen=True)
class Strided(Network):
    """Two strided convolutions and a head."""

    widths: tuple[int, int] = (16, 32)
    kernel: int = 3
    activation: Activation = Activation.RELU

    def modules(self, image_shape, classes):
        first, second = self.widths
        body = nn.Sequential(
            nn.Conv2d(image_shape[0], first, self.kernel, 2, self.kernel // 2),
            self.activation.layer(),
            nn.Conv2d(first, second, self.kernel, 2, self.kernel // 2),
            self.activation.layer(),
        )
        return body, nn.Sequential(nn.Linear(feature_count(body, image_shape), classes))


FAMILY = [
    (Strided((16, 32)), 0),
    (Strided((16, 32)), 1),
    (Strided((8, 16), 3, Activation.LEAKY_RELU), 2),
    (Strided((12, 24), 3, Activation.TANH), 3),
    (Strided((24, 48)), 5),
]
"""Small random networks, of which some tell the whole picture and some do not."""


def run(attack, network, seed):
    batch = smooth_batch(1, seed=seed)
    observation = observe(network, batch, seed=seed)
    *_, last = attack.reconstruct(observation, stream(0, "candidate"))
    return observation, last, float(psnr_db(last.candidate.clamp(0, 1), batch.images))


@pytest.mark.parametrize(("network", "seed"), FAMILY, ids=repr)
def test_what_is_called_read_off_is_the_picture_and_what_is_open_is_called_so(network, seed):
    observation, last, db = run(Recursive(hand_over=False), network, seed)
    if last.outcome in EXPLAINING:
        assert db > 45, "a unique picture is the private one"
        assert float(last.candidate.min()) >= -BOX_TOLERANCE
        assert float(last.candidate.max()) <= 1 + BOX_TOLERANCE
    if last.outcome is ClosedFormOutcome.PEEL_OPEN:
        assert mismatch(observation, last.candidate) < 1e-3
        assert last.note


@pytest.mark.parametrize(
    ("attack", "network", "seed"), [(Recursive, *FAMILY[1]), (HeadStart, *FAMILY[0]), (Recursive, *FAMILY[2])], ids=repr
)
def test_where_much_is_open_nothing_is_lost_against_matching_alone(attack, network, seed):
    """The equations are met by the picture nearest to the matched one: the private one meets them too."""
    _, last, db = run(attack(iterations=60), network, seed)
    if last.outcome in UNDERDETERMINED:
        alone, matched, alone_db = run(GradientMatching(iterations=60), network, seed)
        assert db > alone_db - 0.1
        assert mismatch(alone, last.candidate) <= mismatch(alone, matched.candidate)
        assert torch.equal(last.candidate, last.candidate.clamp(0, 1))


def test_two_strided_convolutions_leave_pictures_open_and_gain_from_both():
    """By matching alone 22 dB, by the equations alone less; together more than either."""
    network, seed = FAMILY[0]
    _, algebra, by_algebra = run(Recursive(hand_over=False), network, seed)
    _, _, by_matching = run(GradientMatching(iterations=60), network, seed)
    _, both, together = run(Recursive(iterations=60), network, seed)
    assert algebra.outcome in UNDERDETERMINED
    assert both.outcome in UNDERDETERMINED
    assert together > max(by_algebra, by_matching) + 0.5
