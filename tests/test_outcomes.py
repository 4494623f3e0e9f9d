"""Every outcome, met once: an experiment that ends there, and what its sentence says, asked of the numbers."""

import math
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import pytest
import torch
from rounds import as_round, observe, random_batch, smooth_batch
from test_input_after_local_steps import after
from test_underdetermined import Strided

from lab.attacks.analytic import Analytic
from lab.attacks.base import Interrupted, Outcome
from lab.attacks.closed_form.inversion import Inversion, grey_state
from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading, LabelReadingOutcome
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.distances.l1 import L1
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.attacks.patch_embedding import PatchEmbedding, PatchOutcome
from lab.attacks.recursive import Recursive
from lab.client.defences.dropout import Dropout
from lab.commands.recording import Recording, follow
from lab.experiments.driving import Driven
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.networks.vision_transformer import Positions, VisionTransformer
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.scores import psnr_db
from lab.modalities.pairing import best_matching
from lab.randomness import stream

SMALL = (3, 8, 8)
EXACTLY = 1e-3
"""Up to this relative mismatch a picture explains every shared number."""
TOLD = Strided((12, 24), activation=Activation.TANH)
"""Tells all of a picture of 16 x 16 pixels."""
PEEL = Recursive(hand_over=False)
PATCHES, SIXTEEN = PatchEmbedding(hand_over=False), VisionTransformer(patch=4, width=32, depth=1)
"""For pictures of 16 x 16 pixels, which are sixteen patches."""
MATCH = GradientMatching(iterations=6)
CASES = {}


def ends(outcome):
    """Marks what asserts an outcome's sentence and returns the state that has it."""

    def marked(case):
        CASES[outcome] = case
        return case

    return marked


@pytest.mark.parametrize("outcome", Outcome)
def test_an_experiment_ends_there_and_the_sentence_is_true_of_it(outcome):
    assert outcome in CASES, "give this outcome an experiment that ends there, and assert its sentence"
    assert CASES[outcome]().outcome is outcome


def run(attack, observed, start=None):
    generator = stream(0, "candidate")
    return list(attack.reconstruct(observed, *((generator,) if start is None else (generator, start))))


def changed(observed, change):
    return replace(observed, update={name: change(name, tensor) for name, tensor in observed.update.items()})


def grey(state):
    return bool((state.candidate == 0.5).all())


def told(network, batch, attack, protocol=None):
    observed = observe(network, batch, protocol)
    return observed, run(attack, observed)[-1]


def decibels(state, batch):
    shown = state.candidate.clamp(0, 1)
    return float(psnr_db(shown[best_matching(batch.images, shown)], batch.images).min())


@ends(MatchingOutcome.CONVERGED)
def converged():
    batch = smooth_batch()
    attack = GradientMatching(iterations=50, patience=5, optimiser=SignedAdam(step=0.01), priors=())
    states = run(attack, observe(SmallConvNet(width=4), batch), batch.images)
    assert states[-1].iteration < states[-1].iterations
    assert min(state.objective for state in states[-6:]) >= states[-1].objective
    return states[-1]


@ends(MatchingOutcome.BUDGET_SPENT)
def budget_spent():
    last = told(SmallConvNet(width=4), smooth_batch(), MATCH)[1]
    assert last.iteration == last.iterations == 6
    return last


@ends(Interrupted.STOPPED)
def stopped():
    batch = smooth_batch()
    observed = observe(SmallConvNet(width=4), batch)
    states = MATCH.reconstruct(observed, stream(0, "candidate"))
    found = follow(Driven(states), Recording(as_round(batch, observed)), lambda state, _: state.iteration == 2, lambda *_: None)
    assert found.state.iteration < found.state.iterations
    return found.state


@ends(MatchingOutcome.NOT_FINITE)
def not_finite():
    observed = observe(SmallConvNet(width=4), smooth_batch(size=16))
    *states, last = run(replace(MATCH, distance=Overflowing(), priors=()), observed)
    assert bool(last.candidate.isfinite().all())
    assert last.objective == min(state.objective for state in states if math.isfinite(state.objective))
    return last


@dataclass(frozen=True)
class Overflowing(L1):
    """A distance that is no number any more after a few questions."""

    asked: ClassVar = count()

    def __call__(self, candidate, shared):
        return super().__call__(candidate, shared) * (1.0 if next(self.asked) < 4 else math.nan)


Overflowing.__module__ = "tests"


@ends(MatchingOutcome.NEVER_FINITE)
def never_finite():
    huge = changed(observe(SmallConvNet(width=4), smooth_batch(size=16)), lambda _, tensor: 1e30 * tensor)
    (last,) = run(replace(MATCH, distance=Euclidean()), huge)[-1:]
    assert not math.isfinite(last.objective)
    return last


@ends(MatchingOutcome.SILENT)
def silent():
    observed = changed(observe(SmallConvNet(width=4), smooth_batch()), lambda _, tensor: 0 * tensor)
    (last,) = run(MATCH, observed)
    return last


@ends(ClosedFormOutcome.EXACT)
def exact():
    batch = random_batch(1, SMALL)
    observed, last = told(MLP(depth=2, width=16), batch, Analytic())
    assert mismatch(observed, last.candidate) < EXACTLY
    assert decibels(last, batch) > 80
    return last


@ends(ClosedFormOutcome.DROPPED_INPUT)
def dropped_input():
    """Of pixels that went in, those that stayed on are told, and none is claimed that did not."""
    batch = random_batch(1, SMALL)
    observed = observe(MLP(depth=1), batch)
    rule = Dropout(strength=0.5).training(observed.protocol.rule, stream(0, "defence"))
    observed = replace(observed, update=observed.protocol.trained(observed.network, batch.inputs, batch.labels, rule))
    last = run(Analytic(), observed)[-1]
    right = (last.candidate - batch.images).abs() < 1e-4
    assert 0.3 < float(right.double().mean()) < 0.7
    assert run(PEEL, observed)[-1].outcome is not ClosedFormOutcome.EXACT
    return last


@ends(ClosedFormOutcome.UP_TO_SCALE)
def up_to_scale():
    batch = random_batch(1, SMALL)
    observed, last = told(MLP(depth=2, width=16, bias=False), batch, Analytic())
    truth = observed.network.normalise(batch.images).flatten()
    assert float(torch.cosine_similarity(last.features.flatten(), truth, dim=0)) > 1 - 1e-5
    assert float((last.features.flatten() / truth).median()) != pytest.approx(1, abs=0.01)
    assert (float(last.candidate.min()), float(last.candidate.max())) == (0, 1)
    assert "stretched" in last.note
    broken = run(PEEL, observed)[-1]
    assert (broken.outcome, grey(broken)) == (ClosedFormOutcome.UP_TO_SCALE, True)
    assert "stretched" not in broken.note
    return last


@ends(ClosedFormOutcome.FEATURES_ONLY)
def features_only():
    batch = smooth_batch()
    observed, last = told(LeNet(), batch, Analytic())
    torch.testing.assert_close(last.features, observed.network.embed(batch.images).detach(), rtol=1e-4, atol=1e-5)
    assert grey(last)
    return last


@ends(ClosedFormOutcome.MIXTURE)
def mixture():
    batch = random_batch(3, SMALL)
    observed, last = told(MLP(depth=1), batch, Analytic())
    inputs = observed.network.normalise(batch.images).flatten(1)
    weights = torch.linalg.lstsq(inputs.T, last.features.flatten()[:, None]).solution
    torch.testing.assert_close(inputs.T @ weights, last.features.T, atol=1e-3, rtol=1e-3)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-3)
    return last


@ends(ClosedFormOutcome.UNMOVED_INPUT)
def unmoved_input():
    batch = random_batch(1, SMALL)
    last = told(MLP(depth=2, width=16), batch, Analytic(), FedAvg(local_steps=8, learning_rate=0.05))[1]
    assert decibels(last, batch) > 60
    return last


@ends(ClosedFormOutcome.UNCONFIRMED_RATIO)
def unconfirmed_ratio():
    """Of momentum the ratio is exact, and cannot be confirmed by plain steps."""
    batch = random_batch(1, SMALL)
    network = MLP(depth=2, width=16)
    observed = after(network, batch, lambda weights: torch.optim.SGD(weights, lr=0.05, momentum=0.9), 8, 0.05)
    last = run(Analytic(), observed)[-1]
    assert mismatch(observed, last.candidate) > EXACTLY
    assert decibels(last, batch) > 60
    return last


@ends(ClosedFormOutcome.AFTER_LOCAL_STEPS)
def after_local_steps():
    batch = smooth_batch()
    observed, last = told(LeNet(), batch, Analytic(), FedAvg(local_steps=5, learning_rate=0.05))
    true = observed.network.embed(batch.images).detach()
    off = float((last.features - true).norm() / true.norm())
    assert 1e-6 < off < 1
    return last


@ends(ClosedFormOutcome.INCONSISTENT)
def inconsistent():
    observed = observe(MLP(depth=2, width=16), random_batch(1, SMALL))
    drawn = stream(0, "noise")
    noisy = changed(observed, lambda _, t: t + 0.1 * t.abs().mean() * torch.randn(t.shape, generator=drawn))
    last = run(Analytic(), noisy)[-1]
    assert mismatch(noisy, last.candidate) > EXACTLY
    return last


@ends(ClosedFormOutcome.DEAD_UNITS)
def dead_units():
    batch = random_batch(1, SMALL)
    observed = observe(MLP(depth=2, width=16), batch)
    with torch.no_grad():
        observed.network.head[0].bias.fill_(-100.0)
    dead = replace(observed, update=observed.protocol.update(observed.network, batch.images, batch.labels))
    kept_back = changed(observed, lambda _, tensor: 0 * tensor)
    for silent_round in (dead, kept_back):
        last = run(Analytic(), silent_round)[-1]
        layers = [name for name in silent_round.update if name.endswith("weight")]
        assert any(not silent_round.update[name].any() for name in layers)
        assert last.outcome is ClosedFormOutcome.DEAD_UNITS
    return last


@ends(ClosedFormOutcome.NO_LINEAR_LAYER)
def no_linear_layer():
    observed, last = told(SqueezeNet(), random_batch(1, (3, 64, 64)), Analytic())
    assert not any(isinstance(module, torch.nn.Linear) for module in observed.network.modules())
    return last


@ends(ClosedFormOutcome.NOT_SENT)
def not_sent():
    observed = observe(SmallConvNet(width=4), smooth_batch())
    rest = {name: tensor for name, tensor in observed.update.items() if not name.startswith("head")}
    partial = replace(observed, update=rest)
    assert run(MATCH, partial)[-1].outcome is MatchingOutcome.BUDGET_SPENT, "matching takes what is there"
    last = run(PEEL, partial)[-1]
    assert "head" in last.note
    return last


@ends(LabelReadingOutcome.LABELS_ONLY)
def labels_only():
    last = told(SmallConvNet(width=4), smooth_batch(2), LabelReading())[1]
    assert last.labels.tolist() == [0, 1]
    assert grey(last)
    return last


@ends(ClosedFormOutcome.PEELED)
def peeled():
    batch = smooth_batch(size=16)
    observed, last = told(TOLD, batch, PEEL)
    assert mismatch(observed, last.candidate) < EXACTLY
    assert decibels(last, batch) > 60
    return last


@ends(ClosedFormOutcome.PEEL_OPEN)
def peel_open():
    """Two pictures that explain the numbers, and a layer that says so: the found one, and the private one."""
    batch = smooth_batch(size=16)
    observed, last = told(Strided((8, 16), activation=Activation.TANH), batch, PEEL)
    assert mismatch(observed, last.candidate) < EXACTLY
    assert mismatch(observed, batch.images) < EXACTLY
    assert decibels(last, batch) < 40
    assert "unknowns" in last.note or "No picture has pixels" in last.note
    return last


@ends(ClosedFormOutcome.PEEL_CLOSE)
def peel_close():
    """Made up, as rounding alone decides where it is met: the picture of a whole way down, moved by a little."""
    observed = observe(TOLD, smooth_batch(size=16))
    inversion = Inversion(observed)
    *_, state = inversion.invert(grey_state(observed))
    drawn = torch.randn(state.candidate.shape, generator=stream(0, "noise"))
    moved = [state.candidate + size * drawn for size in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)]
    near = next(picture for picture in moved if mismatch(observed, picture) > EXACTLY)
    found = inversion.verdict(replace(state, candidate=near, objective=mismatch(observed, near)))
    assert mismatch(observed, near) < 0.01
    return found


@ends(ClosedFormOutcome.PEEL_NOISE)
def peel_noise():
    observed = observe(TOLD, smooth_batch(size=16))
    drawn = stream(0, "noise")
    noisy = changed(observed, lambda _, t: t + 1e-3 * t.square().mean().sqrt() * torch.randn(t.shape, generator=drawn))
    last = run(PEEL, noisy)[-1]
    assert mismatch(noisy, last.candidate) > 1e-5
    return last


@ends(ClosedFormOutcome.PEEL_RANK)
def peel_rank():
    last = told(SmallConvNet(width=4), smooth_batch(), PEEL)[1]
    (lacking,) = [layer for layer in last.layers if last.note.startswith(f"{layer.name}:")]
    assert lacking.rank < lacking.unknowns
    return last


@ends(ClosedFormOutcome.PEEL_MAX_POOLING)
def peel_max_pooling():
    observed, last = told(ConvNet(width=4), smooth_batch(), PEEL)
    assert any(isinstance(module, torch.nn.MaxPool2d) for module in observed.network.modules())
    assert grey(last)
    return last


@ends(ClosedFormOutcome.PEEL_SKIP)
def peel_skip():
    last = told(ResNet(depth=8), smooth_batch(), PEEL)[1]
    assert grey(last)
    return last


@ends(ClosedFormOutcome.PEEL_UNSUPPORTED)
def peel_unsupported():
    """A convolution that sees its own picture mirrored beyond the border."""
    batch = smooth_batch()
    observed = observe(SmallConvNet(width=8), batch)
    observed.network.features[0].padding_mode = "reflect"
    update = observed.protocol.update(observed.network, batch.images, batch.labels)
    last = run(PEEL, replace(observed, update=update))[-1]
    assert "'reflect'" in last.note
    assert grey(last)
    return last


@ends(ClosedFormOutcome.SET_APART)
def set_apart():
    batch = random_batch(2, SMALL, labels=[0, 1])
    observed, last = told(MLP(depth=2, width=32, activation=Activation.TANH), batch, PEEL)
    assert mismatch(observed, last.candidate) < EXACTLY
    assert decibels(last, batch) > 60
    return last


@ends(ClosedFormOutcome.PEEL_BATCH)
def peel_batch():
    last = told(MLP(width=64, activation=Activation.TANH), random_batch(11), PEEL)[1]
    assert "11 pictures" in last.note
    assert grey(last)
    assert last.layers == ()
    return last


@ends(ClosedFormOutcome.STRAIGHTENED)
def straightened():
    batch = smooth_batch(size=16)
    observed, last = told(TOLD, batch, PEEL, FedAvg(local_steps=3, learning_rate=0.01))
    first = next(state for state in run(PEEL, observed) if math.isfinite(state.objective))
    assert mismatch(observed, last.candidate) < min(EXACTLY, first.objective / 10)
    assert decibels(last, batch) > 60
    return last


@ends(ClosedFormOutcome.PEEL_LOCAL_STEPS)
def peel_local_steps():
    observed, last = told(LeNet(), smooth_batch(), PEEL, FedAvg(local_steps=5, learning_rate=0.01))
    assert mismatch(observed, last.candidate) > EXACTLY
    return last


@ends(ClosedFormOutcome.PEEL_INEXACT)
def peel_inexact():
    """One layer's numbers in another order: the features come out, and nothing below explains them all."""
    observed = observe(TOLD, smooth_batch(size=16))
    other = changed(observed, lambda name, tensor: tensor.flip(0) if name == "features.0.weight" else tensor)
    last = run(PEEL, other)[-1]
    assert mismatch(other, last.candidate) > EXACTLY
    return last


@ends(PatchOutcome.PATCHES)
def patches():
    batch = smooth_batch(size=16)
    observed, last = told(SIXTEEN, batch, PATCHES)
    assert mismatch(observed, last.candidate) < EXACTLY
    assert decibels(last, batch) > 70
    return last


@ends(PatchOutcome.PATCHES_UNMOVED)
def patches_unmoved():
    batch = smooth_batch(size=16, dtype=torch.float64)
    observed, last = told(SIXTEEN, batch, PATCHES, FedAvg(local_steps=8, learning_rate=0.05))
    assert mismatch(observed, last.candidate) < EXACTLY
    assert decibels(last, batch) > 70
    return last


@ends(PatchOutcome.PATCHES_UNCONFIRMED)
def patches_unconfirmed():
    """Of momentum the patches are exact, and plain steps do not confirm them."""
    batch = smooth_batch(size=16, dtype=torch.float64)
    observed = after(SIXTEEN, batch, lambda weights: torch.optim.SGD(weights, lr=0.05, momentum=0.9), 8, 0.05)
    last = run(PATCHES, observed)[-1]
    assert mismatch(observed, last.candidate) > EXACTLY
    assert decibels(last, batch) > 70
    return last


@ends(PatchOutcome.PATCHES_ROUNDED)
def patches_rounded():
    batch, network = smooth_batch(size=16), replace(SIXTEEN, width=48, depth=2)
    slow = FedAvg(local_steps=3, learning_rate=1e-5)
    observed, solved = told(network, batch, PATCHES, slow)
    last = run(replace(PATCHES, hand_over=True, iterations=40), observed)[-1]
    assert mismatch(observed, last.candidate) < mismatch(observed, solved.candidate) / 2
    assert decibels(last, batch) > decibels(solved, batch)
    return last


@ends(PatchOutcome.PATCHES_OPEN)
def patches_open():
    batch = smooth_batch(size=16, dtype=torch.float64)
    observed, last = told(replace(SIXTEEN, width=12), batch, PATCHES)
    assert int(last.note.split(" of 16")[0]) <= 12
    assert mismatch(observed, last.candidate) > EXACTLY
    return last


@ends(PatchOutcome.PATCHES_NOISY)
def patches_noisy():
    observed = observe(SIXTEEN, smooth_batch(size=16))
    drawn = stream(0, "noise")
    noisy = changed(observed, lambda _, t: t + 1e-2 * t.square().mean().sqrt() * torch.randn(t.shape, generator=drawn))
    last = run(PATCHES, noisy)[-1]
    assert mismatch(noisy, last.candidate) > EXACTLY
    return last


@ends(PatchOutcome.NO_SYSTEM)
def no_system():
    batch = smooth_batch(size=16)
    observed = after(SIXTEEN, batch, lambda weights: torch.optim.Adam(weights, lr=1e-3), 4, 1e-3)
    last = run(PATCHES, observed)[-1]
    assert grey(last)
    return last


@ends(PatchOutcome.SEVERAL_PICTURES)
def several_pictures():
    last = told(SIXTEEN, smooth_batch(3, size=16), PATCHES)[1]
    assert "3 pictures" in last.note
    assert grey(last)
    return last


@ends(PatchOutcome.NO_PLACES)
def no_places():
    for network in (replace(SIXTEEN, positions=Positions.FIXED), SmallConvNet(width=4)):
        last = told(network, smooth_batch(size=16), PATCHES)[1]
        assert last.outcome is PatchOutcome.NO_PLACES
        assert grey(last)
    return last
