"""The doctor: each seeded fault is the first that it names, alone and beside others, and of a clean round it says nothing."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from faults import FAULTS, Scene
from torch import nn
from typer.testing import CliRunner

import lab
from lab.capture import Recipe, save
from lab.cli import app
from lab.client.datasets.gallery import NAMES, Gallery
from lab.federated.losses.base import Reduction
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries
from lab.options.plain import to_plain
from lab.randomness import stream

NETWORKS = {"small": SmallConvNet(width=16), "resnet": ResNet(depth=8), "convnet": ConvNet(width=4)}
TWELVE = (
    *("later_weights", "a sum", "change_for_gradient", "more_steps", "pictures", "noise", "pruned", "quantised"),
    *("batch_norm_mode", "dropout", "frozen", "preprocessing"),
)
"""Of all faults those that the doctor promises."""


def scene(network, pictures=4, protocol=None, first=0):
    """A client with pictures of the gallery."""
    built = NETWORKS[network].build((3, 32, 32), 10, stream(first, "a doctor's network"))
    batch = Gallery(first=NAMES[first % len(NAMES)]).load(pictures, 32, stream(0, "data"))
    return Scene(built, batch.images, batch.labels, protocol or FedSGD())


def named(seen):
    return [found.name for found in lab.diagnose(seen).findings]


CLEAN = [
    (network, pictures, protocol, first)
    for first, (network, pictures, protocol) in enumerate(
        (network, pictures, protocol)
        for network in NETWORKS
        for pictures in (1, 2, 4)
        for protocol in (FedSGD(), FedAvg(1, 0, 0.05), FedAvg(4, 0, 0.01))
    )
]


def test_of_clean_rounds_nothing_is_said():
    """Fewer than one in twenty, of 27: networks, pictures and protocols that are all as told."""
    alarms = {case: said for case in CLEAN if (said := named(scene(*case).seen()))}
    assert len(alarms) <= len(CLEAN) / 20, alarms


@pytest.mark.parametrize("network", ["small", "resnet"])
def test_of_twelve_seeded_faults_eleven_are_named_first(network):
    missed = {}
    for fault in TWELVE:
        seed, finding = FAULTS[fault]
        clean = scene(network, first=3)
        seen = seed(clean) or seed(scene("resnet", first=3))  # a fault of batch norms needs one
        if (said := named(seen))[:1] != [finding]:
            missed[fault] = said
    assert len(missed) <= 1, missed


OF_ONE = (
    "later_weights",
    "clipped",
    "change_for_gradient",
    "pictures",
    "noise",
    "pruned",
    "quantised",
    "frozen",
    "order",
    "labels",
)


@pytest.mark.parametrize("fault", OF_ONE)
def test_faults_of_one_picture_are_named_first(fault):
    seed, finding = FAULTS[fault]
    seen = seed(scene("small", 1, first=5)) or seed(scene("resnet", 1, first=5))  # to exchange, two tensors of one shape
    assert named(seen)[:1] == [finding]


@pytest.mark.parametrize("rate", [0.001, 0.01])
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_the_number_of_local_steps_is_read_off_the_laws(steps, rate):
    """Told one, took more; both by the shift of the weights at which the laws hold."""
    clean = scene("small", 2, FedAvg(steps, 0, rate))
    found = lab.diagnose(clean.seen(protocol=FedAvg(1, 0, rate))).findings
    first = next(one for one in found if one.name == "more_steps")
    assert first.evidence == pytest.approx(steps, rel=0.35)


SPOILING = {
    "noise": lambda u: {n: t + 1e-3 * t.abs().max() * torch.randn(t.shape, generator=stream(1, n)) for n, t in u.items()},
    "pruned": lambda u: {n: t * (t.abs() > 0.05 * t.abs().max()) for n, t in u.items()},
    "quantised": lambda u: {n: (t / t.abs().max() * 100).round() * t.abs().max() / 100 for n, t in u.items()},
    "frozen": lambda u: {n: torch.zeros_like(t) if n.startswith("features.0.") else t for n, t in u.items()},
    "length": lambda u: {n: 4 * t for n, t in u.items()},
    "change_for_gradient": lambda u: {n: -0.02 * t for n, t in u.items()},
}
TOGETHER = [
    (one, other)
    for one, other in combinations(SPOILING, 2)
    if {one, other}
    not in ({"pruned", "quantised"}, {"length", "change_for_gradient"}, {"noise", "pruned"}, {"noise", "quantised"})
]
"""Two faults of which neither hides the other: what is pruned or rounded after noise was added shows no noise."""


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_two_faults_at_once_are_both_named(one, other):
    clean = scene("small", 2, first=2)
    update = SPOILING[other](SPOILING[one](clean.sent()))
    assert {one, other} <= set(named(clean.seen(update)))


def test_weights_of_another_model_are_told_from_those_after_the_round():
    clean = scene("small", 2)
    other = NETWORKS["small"].build((3, 32, 32), 10, stream(9, "another"))
    assert named(clean.seen(network=other))[:1] == ["other_weights"]


def test_the_laws_are_tried_and_not_believed():
    """Where units are not homogeneous there are none, and no gradient is said to break them."""
    from lab.federated.networks.base import Activation
    from lab.findings.case import Case

    def laws(activation):
        built = SmallConvNet(width=8, activation=activation).build((3, 32, 32), 10, stream(0, "laws"))
        batch = Gallery().load(2, 32, stream(0, "data"))
        return len(Case(Scene(built, batch.images, batch.labels).seen()).laws)

    assert laws(Activation.RELU) == laws(Activation.LEAKY_RELU) == 3
    assert laws(Activation.SIGMOID) == laws(Activation.TANH) == 0


@pytest.mark.parametrize("entry", entries("finding").values(), ids=lambda entry: entry.name)
def test_every_finding_bears_any_update(entry):
    """Zeros, a part, one picture of a model without a linear layer: something is said, or nothing, and nothing fails."""
    clean = scene("small", 2)
    update = clean.sent()
    partial = dict(list(update.items())[:2])
    for given in (
        update,
        partial,
        {n: torch.zeros_like(t) for n, t in update.items()},
        {n: t * 1e-30 for n, t in update.items()},
    ):
        bears(entry, clean.seen(given))
    batch = Gallery().load(1, 32, stream(0, "data"))
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(3, 10, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    update = torch.autograd.grad(nn.functional.cross_entropy(model(batch.images), batch.labels), list(model.parameters()))
    bears(entry, lab.observe(model, update, input_shape=(3, 32, 32)))


def bears(entry, seen):
    from lab.findings.case import Case

    found = entry().look(Case(seen))
    assert found is None or (found.name == entry.name and found.sentence.endswith("."))


def test_a_model_of_ones_own_is_diagnosed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10))
    batch = Gallery().load(2, 32, stream(0, "data"))
    loss = nn.functional.cross_entropy(model(batch.images), batch.labels, reduction="sum")
    update = torch.autograd.grad(loss, list(model.parameters()))
    seen = lab.observe(model, update, input_shape=(3, 32, 32), batch_size=2)
    assert named(seen)[:1] == ["length"]
    with pytest.raises(lab.LabError, match="is no observation"):
        lab.diagnose(update)


def test_the_command_says_it(tmp_path):
    clean = scene("small", 2, FedAvg(1, 0, 0.05))
    after = {name: tensor + clean.sent()[name] for name, tensor in clean.network.state_dict().items()}
    recipe = Recipe(learning_rate=0.05, pictures=2, input_shape=(3, 32, 32), network=to_plain(NETWORKS["small"]))
    for weights, said in (
        (clean.network.state_dict(), "Nothing stands in the way"),
        (after, "weights are from after the round"),
    ):
        path = save(tmp_path / "x.safetensors", weights, clean.sent(), replace(recipe))
        done = CliRunner().invoke(app, ["diagnose", str(path)])
        assert done.exit_code == 0, done.output
        assert said in done.stdout


OTHER_LOSSES = [lab.BCEWithLogits(), lab.MSE()]


@pytest.mark.parametrize("loss", OTHER_LOSSES, ids=lambda loss: loss.name)
def test_of_clean_rounds_under_other_losses_nothing_is_said(loss):
    """Networks, pictures, a gradient and a change, all as told."""
    rules = (FedSGD(loss=loss), FedAvg(2, 0, 0.01, loss=loss))
    cases = [(network, pictures, rule) for network in ("small", "resnet") for pictures in (1, 3) for rule in rules]
    assert not {case: said for case in cases if (said := named(scene(*case).seen()))}


@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("loss", OTHER_LOSSES, ids=lambda loss: loss.name)
def test_noise_is_heard_under_other_losses_and_more_pictures_are_none(loss, pictures):
    """Directions that fewer pictures than classes leave empty; as long as it is, within a quarter."""
    clean = scene("small", pictures, FedSGD(loss=loss))
    sent, generator = clean.sent(), stream(0, "noise")
    length = torch.cat([tensor.flatten() for tensor in sent.values()]).square().mean().sqrt()
    for share in (1e-2, 0.1):
        noisy = {name: t + share * length * torch.randn(t.shape, generator=generator) for name, t in sent.items()}
        (heard,) = (found for found in lab.diagnose(clean.seen(noisy)).findings if found.name == "noise")
        assert heard.evidence == pytest.approx(share, rel=0.25)
    if pictures > 1:
        assert "noise" not in named(clean.seen(pictures=1))


@pytest.mark.parametrize("loss", OTHER_LOSSES, ids=lambda loss: loss.name)
def test_a_change_is_told_from_a_gradient_under_other_losses(loss):
    clean = scene("small", 1, FedSGD(loss=loss))
    change = {name: -0.05 * tensor for name, tensor in clean.sent().items()}
    assert named(clean.seen(change))[:1] == ["change_for_gradient"]


@pytest.mark.parametrize("told", [True, False], ids=["labels", "no labels"])
@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("loss", [CrossEntropy(), *OTHER_LOSSES], ids=lambda loss: loss.name)
def test_a_sum_told_as_a_mean_and_a_mean_told_as_a_sum_are_named_under_every_loss(loss, pictures, told):
    """The reduction is torch's: over pictures and classes, cross entropy's over pictures."""
    summed = replace(loss, reduction=Reduction.SUM)
    clean = replace(scene("small", pictures, FedSGD(loss=loss)), told=told)
    parts = pictures * (1 if loss.is_shift_invariant else clean.network.classes)
    for client, server, said in ((summed, loss, "the sum over"), (loss, summed, "the mean over")):
        sent = clean.sent(protocol=FedSGD(loss=client))
        found = lab.diagnose(clean.seen(sent, protocol=FedSGD(loss=server))).findings
        if parts == 1:
            assert not found
            continue
        assert found[0].name == "length"
        assert said in found[0].sentence
        assert found[0].evidence == pytest.approx(parts if client is summed else 1 / parts, rel=0.2)
    assert not lab.diagnose(clean.seen(clean.sent(protocol=FedSGD(loss=summed)), protocol=FedSGD(loss=summed))).findings
