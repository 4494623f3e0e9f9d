"""Batch norms in train mode: what a client's counts tell of its batch, and what matching makes of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rounds import random_batch, smooth_batch
from torch import nn
from torch.nn.functional import cross_entropy

import lab
from lab.attacks.gradient_matching import GradientMatching
from lab.capture import capturing
from lab.experiments import links
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.batch_statistics import batch_norms, batch_statistics
from lab.federated.networks.base import BatchNorm
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.resnet import ResNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

SIZE = 12
SENDING = FedSGD(sends_statistics=True)


def made(momentum=0.1, layers=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = []
        for width in range(layers):
            body += [
                nn.Conv2d(8 if width else 3, 8, 3, padding=1),
                nn.BatchNorm2d(8, momentum=momentum),
                nn.Tanh(),
            ]
        return nn.Sequential(*body, nn.Flatten(), nn.Linear(8 * SIZE**2, 5)).double()


def entered(model, images):
    """What torch says enters each norm, by name; an independent way to the statistics."""
    found = []
    norms = [norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(lambda _, given: found.append(given[0])) for norm in norms]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
@pytest.mark.parametrize("whole", [False, True], ids=["names", "capture"])
def test_the_change_of_counts_tells_the_batchs_own_statistics(momentum, pictures, whole, tmp_path):
    model, batch = made(momentum), random_batch(pictures, (3, SIZE, SIZE), 5, dtype=torch.float64)
    model.train()
    for _ in range(2):  # the counts are not those of a fresh network
        model(random_batch(4, (3, SIZE, SIZE), seed=7, dtype=torch.float64).images)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fresh = made(momentum).train()
    fresh.load_state_dict(before)
    expected = entered(fresh, batch.images)
    stepper = torch.optim.SGD(model.parameters(), lr=0.1)
    with capturing(model, tmp_path / "update.safetensors"):
        cross_entropy(model(batch.images), batch.labels).backward()
        stepper.step()
    change = {name: tensor - before[name] for name, tensor in model.state_dict().items()}
    start = made(momentum).train()
    start.load_state_dict(before)
    known = {"labels": batch.labels}
    if whole:
        seen = lab.observe(made(momentum), tmp_path / "update.safetensors", **known)
    else:
        seen = lab.observe(start, change, input_shape=(3, SIZE, SIZE), protocol=FedAvg(1, learning_rate=0.1), **known)
        listed = lab.observe(
            start, list(change.values()), input_shape=(3, SIZE, SIZE), protocol=FedAvg(1, learning_rate=0.1), **known
        )
        assert listed.batch_statistics.keys() == seen.batch_statistics.keys()
    if whole and momentum is None:  # a capture keeps no count of batches
        return
    assert list(seen.batch_statistics) == list(batch_norms(seen.network))
    for values, told in zip(expected, seen.batch_statistics.values(), strict=True):
        torch.testing.assert_close(told.mean.double(), values.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(told.variance.double(), values.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-6)


def test_counts_that_tell_nothing_are_left_aside():
    batch = random_batch(2, (3, SIZE, SIZE), 5, dtype=torch.float64)
    model = made().train()
    state = {name: torch.full_like(tensor, 0.1) for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    given = {"input_shape": (3, SIZE, SIZE), "labels": batch.labels}
    one_step = FedAvg(1, learning_rate=0.1)
    assert lab.observe(model, state, protocol=one_step, **given).batch_statistics
    for spoilt in (-1e9, float("nan")):  # no variance
        wrong = state | {name: torch.full_like(t, spoilt) for name, t in state.items() if name.endswith("running_var")}
        assert not lab.observe(model, wrong, protocol=one_step, **given).batch_statistics
    for protocol in (FedAvg(2, learning_rate=0.1), FedSGD()):  # mixed, or no change
        assert not lab.observe(model, state, protocol=protocol, **given).batch_statistics
    assert not lab.observe(made().eval(), state, protocol=one_step, **given).batch_statistics
    plain = {name: tensor for name, tensor in state.items() if "running" not in name}
    assert not lab.observe(model, plain, protocol=one_step, **given).batch_statistics


@pytest.mark.parametrize("kind", ["running_mean", "running_var"])
@pytest.mark.parametrize(
    "wrong",
    [
        "abc",
        object(),
        {},
        [1.0, 2.0],
        [[1.0], [2.0, 3.0]],
        [10**400] * 8,
        np.array([None] * 8),
        np.array(["a"] * 8),
        torch.zeros(8, dtype=torch.complex64),
        torch.zeros(8, device="meta"),
        torch.full((8,), torch.inf),
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_counts_that_are_no_numbers_of_the_norm_are_left_aside(kind, wrong):
    model = made().train()
    state = {name: torch.full_like(tensor, 0.1) for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    told = {"input_shape": (3, SIZE, SIZE), "batch_size": 2, "protocol": FedAvg(1, learning_rate=0.1)}
    sparse = {name: tensor.to_sparse() if "running" in name else tensor for name, tensor in state.items()}
    assert len(lab.observe(model, sparse, **told).batch_statistics) == 2
    assert len(lab.observe(model, state | {f"1.{kind}": wrong}, **told).batch_statistics) == 1


@pytest.mark.parametrize("options", [ConvNet(width=4), ResNet(depth=8)], ids=lambda options: options.name)
def test_a_client_of_the_lab_sends_them_where_it_is_told_to(options):
    for mode in BatchNorm:
        for protocol in (SENDING, FedSGD(), FedAvg(1, sends_statistics=True), FedAvg(3, sends_statistics=True)):
            scene = Experiment(network=replace(options, batch_norm=mode), batch_size=2, protocol=protocol)
            seen = simulate_round(scene).observation
            sends = mode is BatchNorm.TRAIN and protocol.sends_statistics and seen.local_steps == 1
            assert bool(seen.batch_statistics) is sends
    assert links.read(links.write(scene)).experiment == scene
    old = scene.to_plain()
    del old["protocol"]["sends_statistics"]
    assert not Experiment.from_plain(old).protocol.sends_statistics


def test_of_a_step_on_a_part_of_the_batch_it_is_that_parts():
    scene = Experiment(
        network=ConvNet(width=4, batch_norm=BatchNorm.TRAIN), batch_size=4, protocol=FedAvg(1, 2, sends_statistics=True)
    )
    attacked = simulate_round(scene)
    expected = batch_statistics(attacked.observation.network, attacked.batch.inputs[:2])
    for name, told in attacked.observation.batch_statistics.items():
        torch.testing.assert_close(told.mean, expected[name].mean.detach())


def test_told_statistics_lead_to_the_picture_that_is_not_found_without():
    batch = smooth_batch(2, SIZE, dtype=torch.float64)
    model = made(layers=3).train()
    errors = {}
    for told in (True, False):
        protocol = FedAvg(1, learning_rate=0.1)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        client = made(layers=3).train()
        client.load_state_dict(before)
        stepper = torch.optim.SGD(client.parameters(), lr=0.1)
        cross_entropy(client(batch.images), batch.labels).backward()
        stepper.step()
        change = {name: tensor - before[name] for name, tensor in client.state_dict().items()}
        sent = change if told else {name: change[name] for name, _ in client.named_parameters()}
        seen = lab.observe(model, sent, input_shape=(3, SIZE, SIZE), protocol=protocol, labels=batch.labels)
        *_, last = GradientMatching(iterations=60).reconstruct(seen, stream(0, "candidate"))
        assert ("candidates are held to it" in last.note) is told
        errors[told] = float((last.candidate - batch.images).square().mean())
    assert errors[True] < 0.5 * errors[False]
    *_, blind = GradientMatching(iterations=2, reading=False).reconstruct(replace(seen), stream(0, "candidate"))
    assert "held" not in blind.note


def test_the_recommended_attack_of_a_client_of_the_lab_says_it():
    scene = Experiment(network=ConvNet(width=4, batch_norm=BatchNorm.TRAIN), protocol=SENDING)
    scene = replace(scene, attack=GradientMatching(iterations=2))
    *_, last = reconstruct(scene, simulate_round(scene).observation)
    assert "The client sent what its batch norms counted" in last.note
