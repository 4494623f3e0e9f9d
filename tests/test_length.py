"""An update that is shorter or longer than the batch's own (clipped, halved, summed): what it tells stays the same."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from of_pictures import of_pictures
from rounds import observe, random_batch, smooth_batch

from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.mismatch import fitted
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.recursive import Recursive
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

LENGTHS = [0.024, 0.5, 8.0]


def scaled(observed, factor):
    return replace(observed, update={name: factor * tensor for name, tensor in observed.update.items()})


def end(attack, observed):
    *_, last = attack.reconstruct(observed, stream(0, "candidate"))
    return last


def farthest(one, other):
    return float((one.candidate - other.candidate).abs().max())


SINGLE = [
    pytest.param(MLP(depth=2, width=32), FedSGD(), id="mlp"),
    pytest.param(MLP(depth=2, width=32), FedAvg(local_steps=8, learning_rate=0.1), id="mlp, local steps"),
    pytest.param(LeNet(), FedSGD(), id="lenet"),
    pytest.param(LeNet(), FedAvg(local_steps=5, learning_rate=1e-3), id="lenet, local steps"),
    pytest.param(SmallConvNet(), FedSGD(), id="small_convnet"),
]


@pytest.mark.parametrize(("network", "protocol"), SINGLE)
def test_the_way_down_finds_the_same_picture_at_every_length(network, protocol):
    observed = observe(network, smooth_batch(), protocol)
    attack = Recursive(hand_over=False)
    clean = end(attack, observed)
    assert "times as long" not in clean.note
    for length in LENGTHS:
        last = end(attack, scaled(observed, length))
        assert last.outcome is clean.outcome
        assert farthest(last, clean) < 2e-3
        if last.objective < 0.01:
            assert f"{length:.2g}" in f"{float(last.note.rpartition('sent ')[2].split()[0]):.2g}"


@pytest.mark.parametrize("network", [MLP(depth=2, width=64), MLP(depth=3, width=48, activation=Activation.TANH)], ids=repr)
@pytest.mark.parametrize("pictures", [2, 4])
def test_several_pictures_come_apart_at_every_length(network, pictures):
    observed = observe(network, random_batch(pictures, (3, 8, 8), labels=list(range(pictures))))
    attack = Recursive(hand_over=False)
    clean = end(attack, observed)
    assert clean.outcome is ClosedFormOutcome.SET_APART
    for length in (*LENGTHS, float(pictures)):
        last = end(attack, scaled(observed, length))
        assert last.outcome is ClosedFormOutcome.SET_APART
        assert farthest(last, clean) < 1e-3


@pytest.mark.parametrize("length", LENGTHS)
def test_a_ratio_has_no_length(length):
    for protocol in (FedSGD(), FedAvg(local_steps=6, learning_rate=0.05)):
        observed = observe(MLP(depth=2, width=32), random_batch(1), protocol)
        clean, last = end(Analytic(), observed), end(Analytic(), scaled(observed, length))
        assert last.outcome is clean.outcome
        assert farthest(last, clean) < 1e-4


@pytest.mark.parametrize("source", list(LabelSource))
@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=3, learning_rate=1e-3)], ids=lambda protocol: protocol.name)
def test_directions_have_no_length(source, protocol):
    """A few steps, and the mean over pixels: rounding moves single ones by a step; powers of two round nothing."""
    observed = observe(SmallConvNet(width=4, activation=Activation.TANH), smooth_batch(2, size=16), protocol, source)
    attack = GradientMatching(iterations=4)
    clean = end(attack, observed)
    for length in LENGTHS:
        last = end(attack, scaled(observed, length))
        assert torch.equal(last.labels, clean.labels)
        assert float((last.candidate - clean.candidate).abs().mean()) < 0.01
        assert farthest(last, clean) == 0 or length not in (0.5, 2.0, 8.0) or observed.local_steps > 1


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("labels", [[1, 1, 1, 2], [3, 3, 3, 3], [0, 1, 2, 3, 4, 5, 6, 7], [0, 0, 1, 1, 2, 2, 5, 5]], ids=str)
@pytest.mark.parametrize(
    "network", [MLP(depth=2, width=32), SmallConvNet(), ConvNet(width=8), ResNet(depth=8)], ids=lambda network: network.name
)
def test_labels_are_counted_alike_at_every_length(network, labels, rule):
    observed = observe(network, smooth_batch(len(labels)), source=LabelSource.INFERRED)
    batch = smooth_batch(len(labels))
    update = observed.protocol.update(observed.network, batch.images, torch.tensor(labels))
    observed = replace(observed, update=update)
    clean = end(LabelReading(rule), observed)
    assert ("as told" in clean.note) is (rule in (Rule.LLG, Rule.ILRG))
    assert clean.labels.tolist() == labels or rule is not Rule.LLG
    for length in (0.1, 0.5, 2.0, float(len(labels))):
        last = end(LabelReading(rule), scaled(observed, length))
        counts_right = clean.labels.tolist() == labels or rule in (Rule.IDLG, Rule.GRADINVERSION)
        assert torch.equal(last.labels, clean.labels) or not counts_right


def shortest(attack):
    """The attack's own defaults with the least budget it allows."""
    return attack(iterations=1) if "iterations" in {field.name for field in fields(attack)} else attack()


ATTACKS = [shortest(kind) for kind in of_pictures("attack").values() if kind is not LabelReading]
LEFT_ALONE = [replace(attack, hand_over=False) for attack in ATTACKS if hasattr(attack, "hand_over")]
"""Those that matching would take over from, where it may not."""


@pytest.mark.parametrize("network", [SmallConvNet(width=4), MLP(depth=2, width=32)], ids=lambda network: network.name)
@pytest.mark.parametrize(
    "attack", [*ATTACKS, *LEFT_ALONE], ids=lambda attack: f"{attack.name}{' alone' * (attack in LEFT_ALONE)}"
)
@pytest.mark.parametrize("source", list(LabelSource))
@pytest.mark.parametrize("pictures", [1, 3])
def test_whoever_counts_repeated_labels_says_once_what_the_length_was_taken_for(network, attack, source, pictures):
    """Label reading, whose rules need not count, says it by rule (above)."""
    last = end(attack, observe(network, smooth_batch(pictures, size=16), source=source))
    counted = source is LabelSource.INFERRED and pictures > 1
    assert last.note.count("taken as told") + last.note.count("counts come out whole") == counted


@settings(max_examples=50, deadline=None, derandomize=True)
@given(factor=st.floats(1e-3, 1e3), noise=st.floats(0, 0.2), seed=st.integers(0, 100))
def test_another_length_is_believed_where_it_explains_clearly_more(factor, noise, seed):
    """Truth: the least-squares factor and both residuals, in one flat vector."""
    generator = stream(seed, "numbers")
    own = torch.randn(50, generator=generator, dtype=torch.float64)
    shared = factor * (own + noise * torch.randn(50, generator=generator, dtype=torch.float64))
    found = fitted({"a": own[:20], "b": own[20:]}, {"a": shared[:20], "b": shared[20:]})
    best = float(own @ shared / (own @ own))
    told, free = (float((shared - s * own).norm() / shared.norm()) for s in (1.0, best))
    if free < 0.49 * told:
        assert found.factor == pytest.approx(best)
        assert found.residual == pytest.approx(free, rel=1e-6)
    elif free > 0.51 * told:
        assert found.factor == 1
        assert found.residual == pytest.approx(told, rel=1e-6)
