"""The fast derivative is trusted once verified: on every network of the catalogue, and on none whose kinks it overlooks."""

from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import partial

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch, smooth_batch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from lab import Experiment, LabError, simulate_round
from lab.attacks.derivative.frozen_matcher import FrozenMatcher
from lab.attacks.derivative.frozen_verification import can_freeze
from lab.attacks.derivative.matcher import ExactMatcher
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.matcher_choice import NOT_VERIFIED, SLOWER, matcher_of
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.settings import Derivative
from lab.federated.networks.base import Network, feature_count
from lab.federated.networks.mlp import MLP
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from lab.randomness import stream

SLIM = {"mlp": {"width": 16}, "small_convnet": {"width": 4}, "convnet": {"width": 4}, "resnet": {"depth": 8}}
SLIM |= {"vgg11": {"units": 16}}
SLIM |= {"vision_transformer": {"width": 16, "depth": 1}, "imagenet_vit": {"width": 192}}
TRAINED = ["lenet", "mlp", "small_convnet", "resnet"]


def choices(entry):
    """Each way to build, beside the others' first and beside their last, at the smallest size."""
    slim = SLIM.get(entry.name, {})
    named = {field.name: field for field in fields_of(entry)}
    ways = {
        field.name: list(type(getattr(entry(), field.name)))
        if isinstance(getattr(entry(), field.name), Enum)
        else [False, True]
        for field in fields(entry)
        if isinstance(getattr(entry(), field.name), Enum | bool)
    }
    assert named.keys() >= ways.keys()
    others = ({name: values[end] for name, values in ways.items()} for end in (0, -1))
    chosen = [beside | {name: value} for beside in others for name, values in ways.items() for value in values]
    return list(dict.fromkeys(entry(**slim, **each) for each in chosen or [{}]))


def gaps(observation, pictures, matcher=None):
    """How far the derivative on the route that the attack takes is from the exact one, at several candidates."""
    attack = GradientMatching(distance=Euclidean())
    taken = matcher or matcher_of(attack, observation)
    rule = partial(observation.protocol.update, observation.network, differentiable=True)
    exact = ExactMatcher(rule, attack.distance, observation.update)
    for seed in range(3):
        dtype = next(observation.network.parameters()).dtype
        images = random_batch(pictures, observation.image_shape, seed=10 + seed, dtype=dtype).images
        found, wanted = (each(images, observation.labels).input_gradient for each in (taken, exact))
        yield float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in of_pictures("network").items()])
def test_every_choice_of_the_catalogue_is_verified_and_right(entry):
    side = 64 if entry().image_size == 224 else 32
    for index, network in enumerate(choices(entry)):
        pictures = (1, 3)[index % 2]
        assert can_freeze(observe(network, smooth_batch(1, side))), network
        assert max(gaps(observe(network, smooth_batch(pictures, side, dtype=torch.float64)), pictures)) < 1e-3, network


@pytest.mark.parametrize("name", TRAINED)
def test_trained_networks_are_verified_too(name):
    network = entries("network")[name]()
    observation = simulate_round(Experiment(network=network, trained=True)).observation
    assert can_freeze(observation)


def body(make):
    """A network of a user's own, as if its file lay in the catalogue."""

    @dataclass(frozen=True)
    class Own(Network):
        def modules(self, image_shape, classes):
            module = make()
            return module, nn.Sequential(nn.Linear(feature_count(module, image_shape), classes))

    Own.__module__ = "lab.federated.networks.own"
    return Own()


class Plain(nn.Module):
    """Two convolutions; what stands between them is for a subclass to say."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.act = nn.ReLU()

    def forward(self, values):
        return self.act(self.second(self.between(self.first(values))))


def with_between(between):
    kind = type("Own", (Plain,), {"between": between, "__module__": "lab.federated.networks.own"})
    return body(kind)


class Loud(nn.ReLU):
    """More than its type says."""

    def forward(self, values):
        return functional.relu(values - 0.05).abs() + functional.relu(-values)


class Standardised(nn.Conv2d):
    """A convolution that scales its weights by a number taken out of the graph."""

    def forward(self, values):
        scale = self.weight.detach().std()
        return self._conv_forward(values, self.weight / scale, self.bias)


class Stale(Plain):
    """Keeps a second hold on its weights."""

    def __init__(self):
        super().__init__()
        self.held = [self.second.weight]

    def between(self, values):
        return functional.conv2d(self.act(values), self.held[0], padding=1)


class Tied(Plain):
    """One parameter in two layers."""

    def __init__(self):
        super().__init__()
        self.third = nn.Conv2d(8, 8, 3, 1, 1)
        self.third.weight = self.second.weight

    def between(self, values):
        return self.act(self.third(self.act(values)))


class Twice(Plain):
    """One layer used twice, and one activation three times."""

    def __init__(self):
        super().__init__()
        self.again = nn.Conv2d(8, 8, 3, 1, 1)

    def between(self, values):
        return self.act(self.again(self.act(self.again(values))))


class Hooked(Plain):
    """A hook that changes what an activation gives."""

    def __init__(self):
        super().__init__()
        self.inner = nn.ReLU()
        self.inner.register_forward_hook(lambda module, inputs, output: output + 0.3 * inputs[0].abs())

    def between(self, values):
        return self.inner(values)


class Changed(Plain):
    """Relies on an activation that writes over its input."""

    def __init__(self):
        super().__init__()
        self.inner = nn.ReLU(inplace=True)

    def between(self, values):
        values = values * 1.0
        return self.inner(values) + values


class Straight(torch.autograd.Function):
    """Rounds, and says that it did not."""

    @staticmethod
    def forward(ctx, values):
        return (4 * values).round() / 4

    @staticmethod
    def backward(ctx, slope):
        return slope


def _layer(make):
    """A module between, made afresh for each network."""

    class Layered(Plain):
        def __init__(self):
            super().__init__()
            self.inner = make()

        def between(self, values):
            return self.inner(values)

    return body(Layered)


HOSTILE = {
    "functional relu": with_between(lambda self, values: functional.relu(values)),
    "method relu": with_between(lambda self, values: values.relu()),
    "in-place relu": with_between(lambda self, values: functional.relu_(values * 1.0)),
    "clamp": with_between(lambda self, values: values.clamp_min(0)),
    "mask": with_between(lambda self, values: values * (values > 0)),
    "where": with_between(lambda self, values: torch.where(values > 0, values, 0.1 * values)),
    "absolute value": with_between(lambda self, values: values.abs()),
    "largest of two": with_between(lambda self, values: torch.maximum(values[:, ::2], values[:, 1::2]).repeat(1, 2, 1, 1)),
    "largest channel": with_between(lambda self, values: values + values.amax(1, keepdim=True)),
    "sorted": with_between(lambda self, values: values + values.sort(1).values),
    "functional pool": with_between(lambda self, values: functional.max_pool2d(values, 2, 1, 1)[..., :16, :16]),
    "adaptive max pool": _layer(lambda: nn.AdaptiveMaxPool2d(8)),
    "hard tanh": _layer(nn.Hardtanh),
    "ReLU6": _layer(nn.ReLU6),
    "PReLU": _layer(nn.PReLU),
    "hard swish": _layer(nn.Hardswish),
    "ELU": _layer(nn.ELU),
    "subclassed relu": _layer(Loud),
    "weights out of the graph": _layer(lambda: nn.Sequential(Standardised(8, 8, 3, 1, 1), nn.ReLU())),
    "weight norm": _layer(lambda: parametrizations.weight_norm(nn.Conv2d(8, 8, 3, 1, 1))),
    "interpolated": with_between(lambda self, values: functional.interpolate(functional.relu(values), scale_factor=2)),
    "skip by code": with_between(lambda self, values: values + self.act(values) + functional.relu(-values)),
    "straight through": with_between(lambda self, values: Straight.apply(values)),
    "layer norm": with_between(lambda self, values: functional.layer_norm(values, values.shape[1:])),
    "group norm": _layer(lambda: nn.Sequential(nn.GroupNorm(4, 8), nn.ReLU())),
    "batch norm of its own": _layer(lambda: nn.Sequential(nn.BatchNorm2d(8, affine=False), nn.ReLU())),
    "second hold": body(Stale),
    "tied weights": body(Tied),
    "used twice": body(Twice),
    "hooked": body(Hooked),
    "input written over": body(Changed),
    "sines": with_between(lambda self, values: values.sin()),
}
FAST = {"tied weights", "used twice", "group norm", "ELU", "sines", "layer norm"}
"""Of these the kinks are all known: they lose nothing by being somebody's own."""


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_network_does_its_derivative_is_right(name):
    observation = observe(HOSTILE[name], smooth_batch(2))
    assert max(gaps(observation, 2)) < 0.02
    assert can_freeze(observation) or name not in FAST


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_trusted_in_secret_would_have_been_wrong_or_is_right(name):
    """The check is no mere caution: whatever it lets pass is right by a matcher that asks nobody."""
    observation = observe(HOSTILE[name], smooth_batch(2))
    if can_freeze(observation):
        steps = observation.protocol.steps(2)
        assert max(gaps(observation, 2, FrozenMatcher(observation.network, steps, Euclidean(), observation.update))) < 0.02


CHANCE = {
    "dropout": nn.Dropout,
    "random slopes": nn.RReLU,
    "random pools": lambda: nn.FractionalMaxPool2d(2, output_size=16),
}


@pytest.mark.parametrize("make", CHANCE.values(), ids=CHANCE.keys())
def test_chance_is_never_frozen(make):
    observation = observe(MLP(width=8), random_batch(1))
    with torch.random.fork_rng(devices=[]):
        observation.network.features = nn.Sequential(nn.Conv2d(3, 12, 3, 1, 1), make(), nn.AdaptiveAvgPool2d(16)).train()
        assert not can_freeze(observation)


def test_a_machine_short_of_memory_is_not_taken_for_a_network_that_cannot_be_asked(monkeypatch):
    def refused(*_):
        raise RuntimeError("could not create a primitive")

    observation = observe(MLP(width=8), random_batch(1))
    monkeypatch.setattr(type(observation.network), "forward", refused)
    with pytest.raises(RuntimeError, match="could not create a primitive"):
        can_freeze(observation)


def test_a_network_that_falls_back_says_so_and_one_that_must_not_refuses():
    observation = observe(HOSTILE["functional relu"], smooth_batch(1))
    attack = GradientMatching(iterations=2)
    *_, last = attack.reconstruct(observation, stream(0, "candidate"))
    assert SLOWER in last.note
    with pytest.raises(LabError, match="does not prove right for this network") as refused:
        list(replace(attack, derivative=Derivative.FROZEN).reconstruct(observation, stream(0, "candidate")))
    assert str(refused.value) == NOT_VERIFIED


@pytest.mark.parametrize("change", [{"derivative": Derivative.EXACT}, {"optimiser": LBFGS()}], ids=["exact", "L-BFGS"])
def test_who_never_wanted_the_fast_route_is_told_nothing(change):
    observation = observe(HOSTILE["functional relu"], smooth_batch(1))
    *_, last = replace(GradientMatching(iterations=2), **change).reconstruct(observation, stream(0, "candidate"))
    assert last.note == ""
    *_, fast = GradientMatching(iterations=2).reconstruct(observe(MLP(width=8), smooth_batch(1)), stream(0, "candidate"))
    assert fast.note == ""
