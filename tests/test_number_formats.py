"""Clients that compute or send in half precision: as torch has it, told, diagnosed and attacked."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from rounds import observe, random_batch, smooth_batch
from torch.nn.functional import cross_entropy

import lab
from lab import Experiment, LabError
from lab.attacks.analytic import Analytic
from lab.capture import capturing
from lab.client.datasets.gallery import Gallery
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.evaluation.scoring import score
from lab.experiments import links
from lab.experiments.edits import edit
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.gradient_rules import GradientRule
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.number_formats import NumberFormat
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.protocols.secure_sum import SecureSum
from lab.federated.updates import flat
from lab.federation.settings import Federation
from lab.federation.training import federate
from lab.options.catalogue import entries, find
from lab.randomness import stream

HALVES = [NumberFormat.HALF, NumberFormat.BRAIN]
PROTOCOLS = [FedSGD(), FedAvg(1, 0, 0.05), FedAvg(4, 0, 0.05), SecureSum(2, 0, 0.05)]
DIGITS = {NumberFormat.HALF: 11, NumberFormat.BRAIN: 8}
SHAPE = (3, 16, 16)
SLIM = {"convnet": ConvNet(width=4), "small_convnet": SmallConvNet(width=8), "resnet": ResNet(depth=8)}


def off(one, other):
    """The length of the difference over that of the other."""
    return float((flat(one) - flat(other)).norm() / flat(other).norm())


def computing(kind, protocol=None):
    return replace(protocol or FedSGD(), computes_in=kind)


def by_hand(network, batch, steps, rate, kind):
    """The change of the weights under torch's own autocast and scaler."""
    model = deepcopy(network)
    stepper, scaler = torch.optim.SGD(model.parameters(), lr=rate), torch.amp.GradScaler("cpu")
    for _ in range(steps):
        stepper.zero_grad()
        with torch.autocast("cpu", kind.dtype):
            logits = model(batch.images)
        scaler.scale(cross_entropy(logits.float(), batch.labels)).backward()
        scaler.step(stepper)
        scaler.update()
    before = dict(network.named_parameters())
    return {name: (after - before[name]).detach() for name, after in model.named_parameters()}


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("steps", [1, 3])
def test_a_client_computes_as_torchs_autocast_does(kind, steps):
    batch = smooth_batch(2, 16)
    protocol = computing(kind, FedAvg(local_steps=steps, learning_rate=0.05))
    observed = observe(SmallConvNet(width=8), batch, protocol)
    assert off(observed.update, by_hand(observed.network, batch, steps, 0.05, kind)) < 1e-4
    single = observe(SmallConvNet(width=8), batch, replace(protocol, computes_in=NumberFormat.SINGLE))
    assert 2.0 ** -(DIGITS[kind] + 3) < off(observed.update, single.update) < 20 * 2.0 ** -DIGITS[kind]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
@pytest.mark.parametrize("kind", HALVES)
def test_what_is_sent_is_rounded_to_the_nearest_and_only_then(protocol, kind):
    """Truth: torch's own cast; after the defences, as it leaves the client."""
    experiment = Experiment(network=SmallConvNet(width=4), batch_size=2, defences=(GaussianNoise(strength=0.01),))
    plain = simulate_round(replace(experiment, protocol=protocol)).observation.update
    rounded = simulate_round(replace(experiment, protocol=replace(protocol, sends_in=kind))).observation.update
    for name, tensor in plain.items():
        assert torch.equal(rounded[name], tensor.to(kind.dtype).float())


@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_small_numbers_do_not_vanish_on_their_way_back(scale):
    """In float16 nothing is left below 6e-8, unless the loss is scaled up."""
    batch, found = smooth_batch(2, 16), {}
    network = observe(MLP(depth=3, width=16), batch).network
    with torch.no_grad():
        network.head[-1].weight.mul_(scale)
    for kind in NumberFormat:
        found[kind] = computing(kind).update(network, batch.images, batch.labels)
    assert off(found[NumberFormat.HALF], found[NumberFormat.SINGLE]) < 0.01
    first = next(iter(found[NumberFormat.HALF]))
    assert found[NumberFormat.HALF][first].any()


def test_a_loss_that_overflows_is_scaled_up_by_less():
    batch = smooth_batch(1, 16)
    network = observe(MLP(depth=2, width=16), batch).network
    with torch.no_grad():
        network.head[-1].weight.mul_(3e3)
    half, single = (
        computing(kind).update(network, batch.images, batch.labels) for kind in (NumberFormat.HALF, NumberFormat.SINGLE)
    )
    assert off(half, single) < 0.02


def test_what_a_format_cannot_hold_is_told_in_a_sentence():
    update = {"head.weight": torch.tensor([1.0, -1e5])}
    with pytest.raises(LabError, match=r"numbers up to 100,000, and float16 holds none beyond 65,504; send it in bfloat16"):
        replace(FedSGD(), sends_in=NumberFormat.HALF).sent(update)
    assert replace(FedSGD(), sends_in=NumberFormat.BRAIN).sent(update)["head.weight"].isfinite().all()
    assert FedSGD().sent(update) is update


@pytest.mark.parametrize(
    "entry", [pytest.param(entry, id=name) for name, entry in entries("network").items() if entry.image_size == 32]
)
@pytest.mark.parametrize("kind", HALVES)
def test_every_network_is_trained_in_it(entry, kind):
    """Pictures, graphs and sentences: nearly what single precision makes."""
    modality = find("modality", entry.modality)()
    experiment = Experiment(dataset=find("dataset", modality.dataset)(), network=SLIM.get(entry.name, entry()), batch_size=2)
    seen = simulate_round(replace(experiment, protocol=computing(kind))).observation
    plain = simulate_round(experiment).observation
    assert 0 < off(seen.update, plain.update) < 0.3


@pytest.mark.parametrize("kind", HALVES)
def test_of_each_picture_alone_as_of_batches_of_one(kind):
    batch = smooth_batch(3, 16)
    observed = observe(MLP(depth=2, width=16, activation=Activation.TANH), batch)
    weights = {name: weight.detach() for name, weight in observed.network.named_parameters()}
    rule = computing(kind).rule
    given = (observed.network, weights, batch.images, batch.labels)
    together, alone = rule.each(*given), GradientRule.each(rule, *given)
    assert off(together, alone) < 2.0 ** -(DIGITS[kind] - 3)


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in entries("protocol").items()])
@pytest.mark.parametrize("kind", list(NumberFormat))
def test_it_travels_in_links_and_files_stays_when_steps_are_taken_and_is_absent_from_old_ones(entry, kind):
    for where in ("computes_in", "sends_in"):
        experiment = Experiment(protocol=entry(**{where: kind}))
        assert links.read(links.write(experiment)).experiment == experiment
        assert Experiment.from_plain(experiment.to_plain()) == experiment
        for path, value in (("local_steps", 0), ("local_steps", 3), ("local_lr", 0.1)):
            assert getattr(edit(experiment, path, value).protocol, where) is kind
        old = experiment.to_plain()
        del old["protocol"]["computes_in"], old["protocol"]["sends_in"]
        assert Experiment.from_plain(old).protocol == entry()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
@pytest.mark.parametrize("kind", HALVES)
def test_a_server_simulates_single_precision_and_says_so(protocol, kind):
    told = replace(protocol, computes_in=kind, sends_in=kind)
    assert told.server_view() == protocol
    assert protocol.server_view() is protocol
    assert not protocol.notes
    seen = simulate_round(Experiment(network=SmallConvNet(width=4), batch_size=2, protocol=told)).observation
    assert seen.protocol == protocol
    assert seen.notes == (
        f"The client computes in {kind.value} and sends in {kind.value}, and the attack computes in single precision.",
    )


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("kind", HALVES)
def test_the_doctor_names_it_however_it_came_and_takes_it_for_no_noise(kind, pictures):
    """Sent, the digits tell; a gradient computed so has them, too; of a change the equations that rounding breaks."""
    scene = Experiment(network=SmallConvNet(width=16), batch_size=pictures)
    for protocol in (FedSGD(sends_in=kind), computing(kind), FedAvg(2, 0, 0.02, sends_in=kind)):
        found = lab.diagnose(simulate_round(replace(scene, protocol=protocol)).observation).findings
        assert [one.name for one in found] == ["quantised"]
        assert f"computed or sent in half precision: every large tensor is exact in {kind.value}" in found[0].sentence
    change = simulate_round(replace(scene, protocol=computing(kind, FedAvg(1, 0, 0.05)))).observation
    assert "noise" not in [one.name for one in lab.diagnose(change).findings]
    if kind is NumberFormat.BRAIN:  # which is rough enough to be heard
        assert lab.diagnose(change).findings[0].name == "half_precision"
    for level in (1e-2, 0.3):
        noisy = simulate_round(replace(scene, defences=(GaussianNoise(strength=level),))).observation
        assert "half_precision" not in [one.name for one in lab.diagnose(noisy).findings]


@pytest.mark.parametrize("kind", HALVES)
def test_an_attack_finds_the_picture_all_the_same(kind):
    """A picture of the gallery, matched; and a fully connected layer's input is as exact as its numbers."""
    rounded, plain = FedSGD(computes_in=kind, sends_in=kind), FedSGD()
    likeness = {}
    for protocol in (rounded, plain):
        scene = edit(
            Experiment(dataset=Gallery(first="cat"), network=SmallConvNet(width=16), protocol=protocol), "iterations", 40
        )
        attacked = simulate_round(scene)
        *_, last = reconstruct(scene, attacked.observation)
        likeness[protocol] = score(last, attacked).ssim
        assert (f"The client computes in {kind.value}" in last.note) is (protocol is rounded)
    assert likeness[rounded] > likeness[plain] - 0.05
    batch = random_batch(1, SHAPE)
    *_, read = Analytic().reconstruct(observe(MLP(depth=1), batch, computing(kind)), stream(0, "candidate"))
    assert float((read.candidate - batch.images).abs().max()) < 4 * 2.0 ** -DIGITS[kind]


@pytest.mark.parametrize("kind", HALVES)
def test_a_federation_of_such_clients_learns_from_what_arrives(kind):
    settings = Federation(
        network=MLP(depth=2, width=8), clients=2, rounds=1, pictures=12, protocol=FedAvg(2, 6, computes_in=kind, sends_in=kind)
    )
    *_, played = federate(settings)
    for update in played.sent.values():
        assert all(torch.equal(tensor, tensor.to(kind.dtype).float()) for tensor in update.values())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", HALVES)
def test_a_capture_says_that_its_client_computed_so(kind, inside, tmp_path):
    class Own(torch.nn.Sequential):
        def forward(self, pictures):
            with torch.autocast("cpu", kind.dtype, enabled=inside):
                return super().forward(pictures)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Own(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    batch = random_batch(1, (3, 4, 4), 5)
    said = []
    for enabled in (True, False):
        with capturing(model, tmp_path / "update.safetensors"):
            with torch.autocast("cpu", kind.dtype, enabled=enabled):
                logits = model(batch.images)
            cross_entropy(logits.float(), batch.labels).backward()
        said.append(
            any(
                f"The client computed in {kind.value}" in note
                for note in lab.observe(model, tmp_path / "update.safetensors").notes
            )
        )
        model.zero_grad()
    assert said == [True, inside]
