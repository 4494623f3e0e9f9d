"""Dropout at the client: told from silent units by the update alone, and then no hindrance."""

from dataclasses import replace

import pytest
import torch
from rounds import observe, random_batch, smooth_batch
from test_contracts import NETWORKS, small_shape
from torch import nn

import lab
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.dropped_features import MaskedLinear, detect_dropped
from lab.capture import capturing
from lab.client.defences.dropout import Dropout
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.pruning import Pruning
from lab.client.defences.quantisation import Quantisation
from lab.client.defences.top_k import TopK
from lab.evaluation.scoring import score
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import simulate_round
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

TOLD = [SmallConvNet(width=8, activation=a) for a in Activation if a not in (Activation.SILU, Activation.GELU)]
TOLD += [LeNet(), ConvNet(width=4), FlowerNet(), MLP(depth=3, width=64), MLP(depth=3, width=64, activation=Activation.TANH)]


def gap(one, other):
    wrong = sum(float((one[name] - other[name]).detach().double().square().sum()) for name in other)
    return (wrong / sum(float(tensor.double().square().sum()) for tensor in other.values())) ** 0.5


def dropped(network, rate, batch, seed=0, protocol=None, source=LabelSource.KNOWN):
    """What the server sees of a client whose features drop out."""
    plain = observe(network, batch, protocol, source)
    rule = Dropout(strength=rate).training(plain.protocol.rule, stream(seed, "defence"))
    return replace(plain, update=plain.protocol.trained(plain.network, batch.inputs, batch.labels, rule))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.83])
@pytest.mark.parametrize("network", TOLD, ids=lambda network: f"{network.name}-{network.activation.value}")
def test_with_the_units_off_that_were_the_private_picture_sends_what_was_sent(network, rate):
    for protocol in (FedSGD(), FedAvg(local_steps=1, learning_rate=0.5)):
        batch = random_batch(1, dtype=torch.float64)
        observed = dropped(network, rate, batch, protocol=protocol)
        assert gap(protocol.update(observed.network, batch.images, batch.labels), observed.update) > 0.05
        found = detect_dropped(observed).observation
        assert gap(protocol.update(found.network, batch.images, batch.labels), observed.update) < 1e-6
        assert list(dict(found.network.named_parameters())) == list(observed.update)
        assert detect_dropped(found) is None, "what was read once is not read again"


def test_a_model_of_ones_own_that_drops_out_is_told_too(tmp_path):
    """Captured as it trains, by torch's own dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = (nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(2048, 64), nn.ReLU())
        model, batch = nn.Sequential(*body, nn.Dropout(0.5), nn.Linear(64, 10)).double(), random_batch(1, dtype=torch.float64)
        with capturing(model, tmp_path / "update.safetensors"):
            nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
    found = detect_dropped(lab.observe(model, tmp_path / "update.safetensors", labels=batch.labels)).observation
    assert gap(found.protocol.update(found.network, batch.images, batch.labels), found.update) < 1e-6


@pytest.mark.parametrize("network", NETWORKS)
def test_silent_units_are_no_dropout(network):
    for seed in range(2):
        assert detect_dropped(observe(network, random_batch(1, small_shape(network), seed=seed))) is None


CHANGES = [
    *(Pruning(strength=share) for share in (0.9, 0.99, 0.999, 0.9999)),
    *(Quantisation(bits=bits) for bits in (1, 2, 4)),
    TopK(strength=0.999),
    GaussianNoise(strength=1e-3),
]


@pytest.mark.parametrize("change", CHANGES, ids=repr)
def test_what_was_done_to_an_update_is_no_dropout(change):
    """However few of its numbers are left; of a network whose units fall silent, and of those whose never do."""
    for activation in (Activation.RELU, Activation.LEAKY_RELU, Activation.TANH):
        observed = observe(SmallConvNet(width=8, activation=activation), random_batch(1))
        sent = replace(observed, update=change.apply(observed.update, stream(0, "change")))
        assert detect_dropped(sent) is None, activation


def test_of_several_pictures_or_steps_nothing_is_claimed():
    assert detect_dropped(dropped(SmallConvNet(width=8), 0.5, random_batch(2))) is None
    assert detect_dropped(dropped(SmallConvNet(width=8), 0.5, random_batch(1), protocol=FedAvg(local_steps=3))) is None


@pytest.mark.parametrize("attack", [GradientMatching(iterations=5), HeadStart(iterations=5)], ids=lambda attack: attack.name)
@pytest.mark.parametrize("source", list(LabelSource), ids=lambda source: source.value)
def test_an_attack_says_what_it_read_and_goes_on(attack, source):
    observed = dropped(SmallConvNet(width=8), 0.5, smooth_batch(), source=source)
    *_, state = attack.reconstruct(observed, stream(0, "candidate"))
    assert state.note.startswith("Dropout was on at the client, and the update tells which units were off")
    assert state.candidate.isfinite().all()
    *_, deaf = replace(attack, reading=False).reconstruct(observed, stream(0, "candidate"))
    assert "Dropout" not in deaf.note
    assert not any(isinstance(module, MaskedLinear) for module in observed.network.modules())


def test_half_the_features_off_cost_nothing_of_the_picture():
    """On the page's first picture; others in benchmarks/README.md."""
    attacked = simulate_round(Experiment(network=SmallConvNet(width=16), defences=(Dropout(strength=0.5),)))
    found = {}
    for reading in (True, False):
        *_, state = GradientMatching(iterations=120, reading=reading).reconstruct(attacked.observation, stream(0, "candidate"))
        found[reading] = score(state, attacked).psnr_db
    assert found[True] > 20
    assert found[True] > found[False] + 6


@pytest.mark.parametrize("background", [0.0, 1.0])
@pytest.mark.parametrize("mean", [0.0, 1.0])
@pytest.mark.parametrize("hidden", [(), (nn.Linear(192, 16), nn.GELU())], ids=["one layer", "two"])
def test_a_background_is_no_dropout(hidden, mean, background):
    """Where pixels enter a layer as they are, those of a black background are zero, and a digit is mostly background."""
    batch = random_batch(1, (3, 8, 8))
    images = batch.images.clone()
    images[:, :, :, :5] = background
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(16 if hidden else 192, 10))
    loss = nn.functional.cross_entropy(model(images - mean), batch.labels)
    update = torch.autograd.grad(loss, list(model.parameters()))
    seen = lab.observe(model, update, input_shape=(3, 8, 8), labels=batch.labels, mean=mean)
    assert detect_dropped(seen) is None
    *_, last = lab.attack(seen, lab.Analytic())
    assert last.outcome is lab.ClosedFormOutcome.EXACT
    assert score(last, images).psnr_db > 80
