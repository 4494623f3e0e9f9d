"""Whoever says that a picture was read off exactly is right: the picture sends what was shared, to a stated precision."""

from dataclasses import dataclass, replace

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, smooth_batch

from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.head_start import HeadStart
from lab.attacks.patch_embedding import PatchEmbedding, PatchOutcome
from lab.attacks.recursive import Recursive
from lab.client.defences.base import Defence
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.pruning import Pruning
from lab.client.defences.scaling import Scaling
from lab.federated.networks.base import Activation
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.rounding import rounding
from lab.federated.updates import flat
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream

CLAIMS = (ClosedFormOutcome.EXACT, ClosedFormOutcome.PEELED, ClosedFormOutcome.SET_APART, PatchOutcome.PATCHES)
AFTER_STEPS = (ClosedFormOutcome.STRAIGHTENED, ClosedFormOutcome.UNMOVED_INPUT, PatchOutcome.PATCHES_UNMOVED)
PRECISION = 1e-3
"""||s g(x) - g*|| / ||g*||, s the length that a defence may have changed."""
ROUNDINGS = 50.0
"""After local steps as many times what rounding the client's weights makes, where that is more."""


@dataclass(frozen=True)
class Made(Defence):
    """A defence made up for a test."""

    change: object = None

    def apply(self, update, generator):
        return {name: self.change(tensor) for name, tensor in update.items()}


Made.__module__ = "tests"
DEFENCES = {
    "none": Scaling(strength=0.0),
    "noise": GaussianNoise(strength=1e-4),
    "loud noise": GaussianNoise(strength=0.1),
    "pruned": Pruning(strength=0.5),
    "pruned to the bone": Pruning(strength=0.99),
    "halved": Scaling(),
    "signs": Made(torch.sign),
    "ternary": Made(lambda g: g.sign() * (g.abs() > 0.5 * g.abs().mean())),
    "half precision": Made(lambda g: g.half().float()),
    "8 bits": Made(lambda g: (g / g.abs().max().clamp_min(1e-30) * 127).round() * g.abs().max() / 127),
    "clipped": Made(lambda g: g.clamp(-g.abs().mean(), g.abs().mean())),
    "squared": Made(lambda g: g * g.abs()),
    "other way": Made(torch.neg),
}
NETWORKS = {
    "mlp": MLP(width=32),
    "one layer": MLP(depth=1),
    "no bias": MLP(width=16, bias=False),
    "tanh, no bias": MLP(width=16, depth=2, bias=False, activation=Activation.TANH),
    "lenet": LeNet(),
    "convnet": SmallConvNet(width=16),
}
PROTOCOLS = {"gradient": FedSGD(), "one step": FedAvg(local_steps=1, learning_rate=0.1), "steps": FedAvg(3, 0, 0.01)}


def left(update, shared):
    """What one update leaves unexplained of another, at the best positive length."""
    own, other = flat(update).detach().double(), flat(shared).double()
    factor = max(0.0, float(own @ other / own.square().sum()))
    return float((factor * own - other).norm() / other.norm())


def attacked(attack, network, defence, protocol, pictures, source=LabelSource.KNOWN):
    batch = smooth_batch(pictures)
    observation = observe(network, batch, protocol, source)
    observation = replace(observation, update=defence.apply(observation.update, stream(0, "defence")))
    *_, last = attack.reconstruct(observation, stream(0, "candidate"))
    return batch, observation, last


def check(batch, observation, last):
    """That the claim made holds; whether one was made."""
    if last.outcome in (*CLAIMS, *AFTER_STEPS):
        labels = batch.labels if last.labels is None or observation.labels is not None else last.labels
        made = observation.protocol.update(observation.network, last.candidate, labels)
        allowed = max(PRECISION, ROUNDINGS * rounding(observation)) if last.outcome in AFTER_STEPS else PRECISION
        assert left(made, observation.update) <= allowed
        return True
    if last.outcome in (ClosedFormOutcome.UP_TO_SCALE, ClosedFormOutcome.FEATURES_ONLY):
        with torch.no_grad():
            truth = observation.network.embed(batch.images)
        cosine = torch.cosine_similarity(last.features.flatten().double(), truth.flatten().double(), dim=0)
        assert float(cosine) > 1 - PRECISION
        return True
    return False


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_ratio_is_exact_where_it_says_so(network, protocol):
    claims = {
        name: check(*attacked(Analytic(), NETWORKS[network], defence, PROTOCOLS[protocol], 1))
        for name, defence in DEFENCES.items()
    }
    if protocol == "gradient":
        assert claims["none"], "an undefended gradient gives its input away"
        assert claims["halved"], "a shorter one, too"
    assert not claims["signs"]
    assert not claims["loud noise"]


@pytest.mark.parametrize("source", [LabelSource.INFERRED, LabelSource.JOINT])
@pytest.mark.parametrize("network", ["mlp", "no bias", "lenet"])
def test_the_ratio_needs_no_labels_for_its_claim(network, source):
    assert check(*attacked(Analytic(), NETWORKS[network], DEFENCES["none"], FedSGD(), 1, source))
    assert not check(*attacked(Analytic(), NETWORKS[network], DEFENCES["signs"], FedSGD(), 1, source))


@pytest.mark.parametrize("defence", DEFENCES)
@pytest.mark.parametrize(("network", "pictures"), [("mlp", 1), ("mlp", 2), ("one layer", 2), ("no bias", 1), ("convnet", 1)])
def test_the_way_down_is_exact_where_it_says_so(network, pictures, defence):
    batch, observation, last = attacked(Recursive(hand_over=False), NETWORKS[network], DEFENCES[defence], FedSGD(), pictures)
    claimed = last.outcome is not ClosedFormOutcome.UP_TO_SCALE and check(batch, observation, last)
    if claimed and network != "convnet":  # a first layer without one below tells its input alone
        assert float(psnr_db(last.candidate, batch.images).min()) > 40 or pictures > 1


@pytest.mark.parametrize("defence", ["none", "noise", "signs", "half precision"])
def test_the_way_down_after_local_steps_is_exact_where_it_says_so(defence):
    check(*attacked(Recursive(hand_over=False), NETWORKS["mlp"], DEFENCES[defence], PROTOCOLS["steps"], 1))


@pytest.mark.parametrize("defence", ["none", "signs", "8 bits"])
def test_a_head_start_is_exact_where_it_says_so(defence):
    check(*attacked(HeadStart(iterations=3), NETWORKS["mlp"], DEFENCES[defence], FedSGD(), 1))


@pytest.mark.parametrize("width", [32, 128])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_patches_are_exact_where_they_say_so(protocol, width):
    """With a number for each patch and more, and with half as many."""
    network, attack = VisionTransformer(width=width, depth=1), PatchEmbedding(hand_over=False)
    for name, defence in DEFENCES.items():
        batch, observation, last = attacked(attack, network, defence, PROTOCOLS[protocol], 1)
        claimed = check(batch, observation, last)
        assert claimed or width < 64 or protocol == "steps" or name not in ("none", "halved")
        if claimed:
            assert float(psnr_db(last.candidate, batch.images).min()) > 40


def test_these_are_all_attacks_that_claim():
    assert set(of_pictures("attack")) == {
        *("analytic", "gradient_matching", "head_start", "label_reading", "patch_embedding", "recursive"),
        "soft_pooling",
    }
