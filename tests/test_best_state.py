"""The result of any attack is the state whose update came nearest to the shared one; a start that was handed over is kept."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, smooth_batch

from lab.attacks.base import AttackState
from lab.attacks.closed_form.chain import Obstacle
from lab.attacks.closed_form.inversion import Inversion, grey_state
from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading
from lab.attacks.matching.best_state import BestState, update_distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.settings import Start, Steps
from lab.attacks.recursive import Recursive
from lab.federated.networks.base import Activation
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.fields import fields_of
from lab.randomness import stream

ROUGH = {"optimiser": SignedAdam(step=0.3), "iterations": 12}
"""Steps so long that the distance goes up and down."""
ATTACKS = {
    "default": GradientMatching(iterations=12),
    "rough": GradientMatching(**ROUGH),
    "restarts": GradientMatching(**ROUGH, restarts=3),
    "noise": GradientMatching(**ROUGH, start=Start.NOISE, coarse_to_fine=False),
    "strong prior": GradientMatching(**ROUGH, priors=(TotalVariation(weight=5.0),)),
    "the paper's prior": GradientMatching(**ROUGH, distance=Cosine(), priors=(TotalVariation(weight=0.1, relative=False),)),
    "patience": GradientMatching(**ROUGH, patience=3),
    "L-BFGS": GradientMatching(optimiser=LBFGS(), iterations=8),
    "simulated": GradientMatching(**ROUGH, local_steps=Steps.SIMULATED),
    "head start": HeadStart(**ROUGH),
}
PROTOCOLS = {"gradient": FedSGD(), "steps": FedAvg(3, 0, 1e-2)}


def run(attack, observation, first=None, seed=0):
    generator = stream(seed, "candidate")
    return list(
        attack.reconstruct(observation, generator) if first is None else attack.reconstruct(observation, generator, first)
    )


def distances(attack, observation, states):
    """Of every state's picture, as it is shown: simulated anew, but for labels that moved with it as probabilities."""
    if observation.label_source is LabelSource.JOINT:
        return [state.terms["distance"] for state in states if "distance" in state.terms]
    return [update_distance(attack.distance, observation, state) for state in states]


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("source", list(LabelSource), ids=lambda source: source.value)
def test_no_state_of_a_matching_came_nearer_than_its_result(name, source):
    attack = ATTACKS[name]
    for network in (SmallConvNet(width=4), LeNet(activation=Activation.SIGMOID)):
        observation = observe(network, smooth_batch(2), source=source)
        *states, last = run(attack, observation)
        found = distances(attack, observation, [last, *states])
        assert found[0] <= min(found[1:]) * (1 + 1e-4) + 1e-7


@pytest.mark.parametrize("step", [3.0, 0.3, 0.003])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("annealing", [0.0, 0.2])
def test_a_handed_over_start_is_never_spoilt(step, protocol, annealing):
    """Whatever the optimiser does with it: nearly the private picture, on local steps and under noise too."""
    batch = smooth_batch(1)
    attack = GradientMatching(optimiser=SignedAdam(step=step), iterations=10, annealing=annealing)
    observation = observe(SmallConvNet(width=8), batch, PROTOCOLS[protocol])
    first = (batch.images + 1e-3 * torch.randn(batch.images.shape, generator=stream(1, "noise"))).clamp(0, 1)
    *states, last = run(attack, observation, first)
    before, after = distances(attack, observation, [states[0], last])
    assert torch.equal(states[0].candidate, first)
    assert after <= before * (1 + 1e-4) + 1e-7
    assert float((last.candidate - batch.images).abs().mean()) <= float((first - batch.images).abs().mean()) * 1.5


@pytest.mark.parametrize("attack", [HeadStart(**ROUGH), HeadStart(**ROUGH, patient=True), Recursive(iterations=8)], ids=repr)
@pytest.mark.parametrize("off", [0.01, 0.2])
def test_a_picture_from_the_algebra_is_never_spoilt(attack, off):
    """Whether matching begins at it or not."""
    batch = smooth_batch(1)
    observation = observe(SmallConvNet(width=8), batch)
    drawn = torch.randn(batch.images.shape, generator=stream(1, "noise"))
    near = (batch.images + 1e-3 * drawn).clamp(0, 1)
    peeled = replace(grey_state(observation), candidate=near, objective=off, terms={"mismatch": off, "residual": off})
    if isinstance(attack, Recursive):
        obstacle = Obstacle(ClosedFormOutcome.PEEL_INEXACT, "Made up.")
        *_, last = attack._match(Inversion(observation), stream(0, "candidate"), peeled, obstacle)
        measure = mismatch
    else:
        *_, last = attack._match(observation, stream(0, "candidate"), peeled)
        measure = partial(_distance, attack.distance)
    assert measure(observation, last.candidate) <= measure(observation, near) * (1 + 1e-4)


def _distance(distance, observation, images):
    return update_distance(distance, observation, AttackState(1, 1, images, 0.0))


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in of_pictures("attack").items()])
@pytest.mark.parametrize("network", [MLP(width=16), ResNet(depth=8)], ids=lambda network: network.name)
def test_every_attack_ends_with_the_nearest_of_its_pictures(entry, network):
    options = {"iterations": 6} if "iterations" in {field.name for field in fields_of(entry)} else {}
    observation = observe(network, smooth_batch(1))
    attack = entry(**options)
    *states, last = run(attack, observation)
    if isinstance(attack, LabelReading):
        return
    distance = getattr(attack, "distance", GradientMatching().distance)
    far = [update_distance(distance, observation, state) for state in (last, *states)]
    assert far[0] <= min(far) * (1 + 1e-4) + 1e-7


def test_of_attempts_those_that_ended_well_come_first():
    state = AttackState(1, 1, torch.zeros(1, 3, 2, 2), 0.0)
    ended = [BestState(state, 0.1).ended(1, MatchingOutcome.NOT_FINITE), BestState(state, 0.5), BestState(state, 0.3)]
    assert min(ended, key=lambda nearest: nearest.ranking) is ended[2]
