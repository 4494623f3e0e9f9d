"""Networks that people bring: attention, frozen and unused parameters, layers that work in place. No attack falls over them."""

from dataclasses import dataclass, replace
from threading import Thread

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, smooth_batch
from torch import nn
from torch.nn import functional

import lab
from lab.attacks.derivative.frozen_verification import can_freeze
from lab.attacks.derivative.matcher import match
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.settings import Derivative
from lab.errors import LabError
from lab.evaluation.evidence import Assessment, evidence
from lab.federated.attention import PlainAttention
from lab.federated.networks.base import Network, feature_count
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream


class Attended(nn.Module):
    """Patches that look at one another, through torch's own attention or its function."""

    def __init__(self, channels, *, layer):
        super().__init__()
        self.patch = nn.Conv2d(channels, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if layer else None

    def forward(self, images):
        tokens = self.patch(images).flatten(2).transpose(1, 2)
        if self.attention is not None:
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]
        heads = tokens.unflatten(2, (2, 4)).transpose(1, 2)
        return functional.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)


class Encoded(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.patch = nn.Conv2d(channels, 8, 4, 4)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation="gelu", batch_first=True)

    def forward(self, images):
        return self.encoder(self.patch(images).flatten(2).transpose(1, 2)).mean(1)


class Unused(nn.Sequential):
    """The last child takes no part."""

    def forward(self, values):
        for module in list(self)[:-1]:
            values = module(values)
        return values


class WritesOver(nn.Module):
    """Works in place without a layer that says so."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)

    def forward(self, images):
        values = functional.relu_(self.first(images))
        return self.second(values).add_(values).relu_()


def convolutions(channels, *, inplace=False):
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 1, 1), nn.ReLU(inplace=inplace), nn.Conv2d(8, 8, 3, 2, 1), nn.LeakyReLU(0.1, inplace=inplace)
    )


def frozen(module):
    return module.requires_grad_(False)


def without(body, index):
    frozen(body[index])
    return body


BODIES = {
    "attention layer": lambda channels: Attended(channels, layer=True),
    "attention function": lambda channels: Attended(channels, layer=False),
    "transformer": Encoded,
    "frozen body": lambda channels: frozen(convolutions(channels)),
    "frozen first layer": lambda channels: without(convolutions(channels), 0),
    "unused parameters": lambda channels: Unused(nn.Conv2d(channels, 6, 3, 2, 1), nn.ReLU(), nn.Linear(3, 3)),
    "in-place layers": lambda channels: convolutions(channels, inplace=True),
    "in-place functions": WritesOver,
    "group norm": lambda channels: nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.ELU(inplace=True)),
    "no body, frozen head": lambda _: nn.Identity(),
}


@dataclass(frozen=True)
class Own(Network):
    """One of these bodies under a linear head."""

    body: str = "frozen body"

    def modules(self, image_shape, classes):
        body = BODIES[self.body](image_shape[0])
        head = [nn.Linear(feature_count(body, image_shape), 12), nn.ReLU(inplace=True), nn.Linear(12, classes)]
        if "frozen head" in self.body:
            frozen(head[0])
        return body, nn.Sequential(*head)


ATTACKS = [entry() for entry in of_pictures("attack").values()]
PROTOCOLS = [FedSGD(), FedAvg(local_steps=3, learning_rate=1e-2)]


def end(attack, observed, iterations=3):
    attack = replace(attack, iterations=iterations) if hasattr(attack, "iterations") else attack
    *_, last = attack.reconstruct(observed, stream(0, "candidate"))
    return last


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_attack_ends_with_a_picture_or_a_sentence(body, attack, protocol):
    for pictures, source in ((1, LabelSource.INFERRED), (2, LabelSource.KNOWN), (1, LabelSource.JOINT)):
        observed = observe(Own(body), smooth_batch(pictures, size=8), protocol, source)
        try:
            last = end(attack, observed)
        except LabError as error:
            assert str(error).endswith(".")  # noqa: PT017
        else:
            assert last.outcome is not None
            assert torch.isfinite(last.candidate).all()


@pytest.mark.parametrize("body", BODIES)
def test_what_does_not_train_is_not_sent(body):
    observed = observe(Own(body), smooth_batch(size=8))
    trained = [name for name, weight in observed.network.named_parameters() if weight.requires_grad]
    assert list(observed.update) == trained


@pytest.mark.parametrize("body", [body for body in BODIES if body != "in-place functions"])
def test_matching_finds_what_such_a_network_gives_away(body):
    """The distance falls, and the picture comes nearer than grey: the derivative is no accident."""
    batch = smooth_batch(size=8)
    observed = observe(Own(body), batch)
    states = list(GradientMatching(iterations=60).reconstruct(observed, stream(0, "candidate")))
    assert states[-1].terms["distance"] < 0.6 * states[0].terms["distance"]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("distance", [Cosine(), Euclidean()], ids=lambda distance: distance.name)
def test_the_derivative_is_that_of_a_difference_quotient(body, protocol, distance):
    batch = smooth_batch(size=8, dtype=torch.float64)
    observed = observe(Own(body), batch, protocol)
    images = 0.9 * batch.images + 0.04
    generator = stream(3, "direction")
    towards = torch.randn(images.shape, generator=generator, dtype=images.dtype)

    def rule(candidate, targets):
        return protocol.update(observed.network, candidate, targets, differentiable=True)

    def value(candidate):
        return float(distance(protocol.update(observed.network, candidate, batch.labels), observed.update))

    found = float((match(rule, images, batch.labels, distance, observed.update).input_gradient * towards).sum())
    step = 1e-6
    expected = (value(images + step * towards) - value(images - step * towards)) / (2 * step)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_layers_that_work_in_place_are_taken_out_of_place():
    """The same network either way, for every attack: bit by bit the same end."""
    batch = smooth_batch(size=8)

    @dataclass(frozen=True)
    class Twin(Network):
        """With ReLUs that write elsewhere."""

        def modules(self, image_shape, classes):
            body = convolutions(image_shape[0])
            return body, nn.Sequential(nn.Linear(feature_count(body, image_shape), 12), nn.ReLU(), nn.Linear(12, classes))

    for attack in ATTACKS:
        one, other = (end(attack, observe(network, batch)) for network in (Own("in-place layers"), Twin()))
        assert one.outcome is other.outcome
        assert torch.equal(one.candidate, other.candidate)


def test_a_network_in_which_nothing_trains_is_refused():
    network = frozen(Own("frozen body").build((3, 8, 8), 10, stream(0, "weights")))
    batch = smooth_batch(size=8)
    for protocol in PROTOCOLS:
        with pytest.raises(LabError, match="Every parameter of this network is frozen"):
            protocol.update(network, batch.images, batch.labels)


def test_frozen_layers_leave_the_fast_derivative_right():
    """Truth: double backward."""
    batch = smooth_batch(size=8)
    for body in ("frozen first layer", "no body, frozen head"):
        observed = observe(Own(body), batch)
        ends = [
            end(GradientMatching(derivative=derivative, coarse_to_fine=False), observed, iterations=8)
            for derivative in (Derivative.FROZEN, Derivative.EXACT)
        ]
        assert float((ends[0].candidate - ends[1].candidate).abs().mean()) < 0.02


def test_the_switch_of_attention_is_turned_back_whoever_goes_last():
    before = torch.backends.cuda.flash_sdp_enabled()
    first = PlainAttention()
    with first:
        inside = []

        def other():
            with PlainAttention():
                inside.append(torch.backends.cuda.flash_sdp_enabled())

        thread = Thread(target=other)
        thread.start()
        thread.join()
        inside.append(torch.backends.cuda.flash_sdp_enabled())
        assert inside == [False, False]
    assert torch.backends.cuda.flash_sdp_enabled() is before


class Hard(nn.Module):
    """What phones' networks use, as a layer or as a function."""

    def __init__(self, function):
        super().__init__()
        self.first, self.function, self.last = nn.Conv2d(3, 4, 3, 2, 1), function, nn.Linear(4 * 64, 10)

    def forward(self, images):
        return self.last(self.function(self.first(images)).flatten(1))


def sent(make):
    """A batch, a model, and the gradient that it sends."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        batch, model = smooth_batch(size=16), make()
    loss = functional.cross_entropy(model(batch.images), batch.labels)
    return batch, model, torch.autograd.grad(loss, list(model.parameters()))


CLAMPING = [
    *(nn.Hardsigmoid(), functional.hardsigmoid, nn.Hardswish(), functional.hardswish),
    *(nn.ReLU6(), functional.relu6, nn.Hardtanh(-0.5, 2.0), functional.hardtanh),
]


@pytest.mark.parametrize("function", CLAMPING)
def test_what_torch_derives_but_once_is_matched_all_the_same(function):
    """The logits are the model's, and differentiating twice lowers the distance."""
    batch, model, update = sent(lambda: Hard(function))
    seen = lab.observe(model, update, input_shape=(3, 16, 16), labels=batch.labels)
    assert torch.allclose(seen.network(batch.images), model(batch.images), atol=1e-6)
    attack = GradientMatching(iterations=20, derivative=Derivative.EXACT, distance=Euclidean())
    states = list(attack.reconstruct(seen, stream(0, "candidate")))
    assert states[-1].terms["distance"] < 0.5 * states[0].terms["distance"]
    assert can_freeze(seen)


class Segmented(nn.Module):
    """Torch has no second derivative of its sums over segments."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(64, 10)

    def forward(self, images):
        values = self.first(images).sigmoid().flatten()
        lengths = torch.full((64 * len(images),), 4)
        return self.last(torch.segment_reduce(values, "max", lengths=lengths).reshape(-1, 64))


def test_what_torch_derives_but_once_and_nobody_replaces_is_named():
    batch, model, update = sent(Segmented)
    seen = lab.observe(model, update, input_shape=(3, 16, 16), labels=batch.labels)
    with pytest.raises(LabError, match="torch has none of segment_reduce, which the model computes with"):
        list(GradientMatching(iterations=2, derivative=Derivative.EXACT).reconstruct(seen, stream(0, "candidate")))


def test_what_torch_derives_but_once_leaves_the_evidence_without_its_test():
    """The residual is told, and that nobody knows whether another would do."""
    batch, model, update = sent(Segmented)
    seen = lab.observe(model, update, input_shape=(3, 16, 16), labels=batch.labels)
    told = evidence(seen, lab.AttackState(1, 1, batch.images, 0.0))
    assert (told.belief, told.hidden) == (Assessment.UNTESTED, None)
    assert told.residual < 1e-5


@pytest.mark.parametrize("belief", Assessment)
def test_every_belief_is_told_in_few_words_and_in_a_sentence(belief):
    assert 0 < len(belief.title) < 40
    assert belief.sentence.endswith(".")
