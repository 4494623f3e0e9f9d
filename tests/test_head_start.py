"""The head start: closed form first, matching after it, and plain matching where the way down is barred."""

import math
from dataclasses import replace

import pytest
import torch
from rounds import observe, smooth_batch

from lab import Experiment, reconstruct, score, simulate_round
from lab.attacks.closed_form.inversion import KEPT_WITHOUT_MATCHING, Inversion, grey_state
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import MAX_JOINT_STEPS, HeadStart
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.client.batch import Batch
from lab.client.datasets.gallery import Gallery
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.randomness import stream


def run(attack, observation, first=None):
    return list(attack.reconstruct(observation, stream(0, "candidate"), first))


@pytest.mark.parametrize("count", [1, 2])
def test_where_the_way_down_is_barred_it_is_plain_matching(count):
    network = ConvNet(width=4) if count == 1 else SmallConvNet(width=4)
    observation = observe(network, smooth_batch(count))
    with_start, plain = (run(attack(iterations=5), observation) for attack in (HeadStart, GradientMatching))
    assert [state.iteration for state in with_start] == [state.iteration for state in plain]
    assert torch.equal(with_start[-1].candidate, plain[-1].candidate)


def test_what_the_algebra_solves_needs_no_matching():
    batch = smooth_batch(1)
    states = run(HeadStart(), observe(SmallConvNet(), batch))
    assert states[-1].outcome is ClosedFormOutcome.PEELED
    assert float((states[-1].candidate - batch.images).abs().max()) < 1e-3


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_an_untrained_resnet_gives_the_picture_away(shift):
    batch = smooth_batch(1)
    images = (batch.images + shift).clamp(0, 1)
    states = run(HeadStart(), observe(ResNet(depth=8, widen=4), Batch(images, batch.labels)))
    assert states[-1].outcome in KEPT_WITHOUT_MATCHING
    assert float((states[-1].candidate - images).abs().max()) < 1e-2


class Told(Inversion):
    """A way down with these states."""

    def __init__(self, states):
        self.states = states

    def invert(self, state):
        yield from self.states


@pytest.mark.parametrize(
    ("told", "shown", "kept"),
    [
        ([(0.9, 0.1)], 0, 0),
        ([(0.2, math.nan), (0.9, 0.1), (0.2, 0.1)], 1, 0),
        ([(0.2, 0.3), (0.1, 0.4), (0.1, 0.2), (0.1, 0.2), (0.05, 0.1)], 3, 3),
        ([(0.2, 0.5), (0.1, math.nan)], 2, 1),
        ([(0.4, 1.0 - step / 100) for step in range(MAX_JOINT_STEPS + 5)], MAX_JOINT_STEPS, MAX_JOINT_STEPS),
    ],
    ids=["without hope", "without a picture", "as long as either falls", "a layer shows nothing", "at most so long"],
)
def test_the_way_down_goes_on_while_residual_or_mismatch_falls(told, shown, kept):
    check_way_down(HeadStart(), told, shown, kept)


@pytest.mark.parametrize(
    ("told", "shown", "kept"),
    [
        ([(0.9, 0.1)], 0, 0),
        ([(0.1, 7.0), (0.1, 30.0), (0.1, 0.4), (0.1, 0.5), (0.1, 0.2), (0.05, 0.3)], 6, 5),
        ([(0.1, 7.0), (0.9, 0.1)], 1, 1),
        ([(0.1, 1.0 - step / 100) for step in range(MAX_JOINT_STEPS + 5)], MAX_JOINT_STEPS + 5, MAX_JOINT_STEPS + 5),
    ],
    ids=["without hope", "the best of all", "until hope is gone", "however long"],
)
def test_a_patient_one_takes_the_whole_way_down(told, shown, kept):
    check_way_down(HeadStart(patient=True), told, shown, kept)


def check_way_down(attack, told, shown, kept):
    """How many states of those told come through, and which of them the matching begins with."""
    grey = grey_state(observe(SmallConvNet(width=4), smooth_batch(1)))
    states = [
        replace(grey, iteration=number, objective=mismatch, terms={"residual": residual})
        for number, (residual, mismatch) in enumerate(told, 1)
    ]
    reached = []

    def walk():
        reached.append((yield from attack._layer_by_layer(Told(states), grey)))

    assert list(walk()) == [grey, *states[:shown]]
    assert (reached[0].iteration, reached[0].terms) == (shown, [grey, *states][kept].terms)


def test_without_a_head_start_it_is_the_same_matching():
    attack = HeadStart(iterations=7, optimiser=SignedAdam(step=0.03))
    assert attack.without() == GradientMatching(iterations=7, optimiser=SignedAdam(step=0.03))


def test_pictures_set_apart_exactly_need_no_matching():
    batch = smooth_batch(2)
    states = run(HeadStart(iterations=5), observe(MLP(), batch))
    assert states[-1].outcome is ClosedFormOutcome.SET_APART
    assert states[-1].iteration == 1


def test_a_given_picture_takes_the_place_of_the_head_start():
    batch = smooth_batch(1)
    states = run(HeadStart(iterations=3), observe(SmallConvNet(width=8), batch), first=batch.images)
    assert torch.equal(states[0].candidate, batch.images)
    assert states[-1].outcome is MatchingOutcome.BUDGET_SPENT


def test_on_the_trained_network_it_ends_nearer_than_matching_from_grey():
    ends = {}
    for attack in (HeadStart(iterations=60), GradientMatching(iterations=60)):
        scores = []
        for picture in ("duck", "cat"):
            experiment = Experiment(dataset=Gallery(first=picture), trained=True, attack=attack)
            attacked = simulate_round(experiment)
            states = list(reconstruct(experiment, attacked.observation))
            assert [state.iteration for state in states] == sorted(state.iteration for state in states)
            assert states[-1].iteration == states[-1].iterations
            scores.append(score(attacked, states[-1]).ssim)
        ends[attack.name] = sum(scores) / 2
    assert ends["head_start"] > ends["gradient_matching"] + 0.1
