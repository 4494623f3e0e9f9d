"""A vision transformer's picture as one linear system: exact where it says so, however the client trained, and its limits."""

import math
from dataclasses import replace
from statistics import median

import pytest
import torch
from rounds import observe, random_batch, smooth_batch
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionsViT

import lab
from lab import Experiment, simulate_round
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.patch_equations import find_embedding, read_equations
from lab.attacks.closed_form.patch_solve import solve
from lab.attacks.patch_embedding import FRAMES, PatchEmbedding, PatchOutcome
from lab.client.datasets.gallery import NAMES, Gallery
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.vision_transformer import Pool, Positions, VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream

SLIM = VisionTransformer(width=72, depth=1)
ALONE = PatchEmbedding(hand_over=False)


def attacked(observation, attack=ALONE):
    return list(attack.reconstruct(observation, stream(0, "candidate")))


def decibels(state, images):
    return float(psnr_db(state.candidate.clamp(0, 1), images).min())


def trained_by(network, batch, make, steps, rate):
    """What a client of its own sends after so many steps of an optimiser that the server takes for plain SGD."""
    observation = observe(network, batch, FedAvg(steps, 0, rate))
    model = network.build(batch.image_shape, 10, stream(0, "test weights")).to(batch.images.dtype)
    before = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    optimiser = make(model.parameters())
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.images), batch.labels).backward()
        optimiser.step()
    change = {name: weights.detach() - before[name] for name, weights in model.named_parameters()}
    return replace(observation, update=change)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (SLIM, (3, 32, 32)),
        (replace(SLIM, pool=Pool.MEAN), (3, 32, 32)),
        (replace(SLIM, patch=8, depth=2), (1, 32, 32)),
        (replace(SLIM, patch=4), (4, 16, 48)),
        (replace(SLIM, patch=7), (1, 28, 28)),
        (VisionTransformer(patch=1, width=72, depth=1), (3, 8, 8)),
    ],
    ids=["class token", "mean", "grey", "wide, four channels", "28 pixels", "a pixel a patch"],
)
def test_the_picture_is_read_whatever_its_shape(network, shape, dtype):
    batch = random_batch(1, shape, dtype=dtype)
    *_, last = attacked(observe(network, batch))
    assert last.outcome is PatchOutcome.PATCHES
    assert decibels(last, batch.images) > (60 if dtype is torch.float32 else 70)  # processors round differently


def test_every_state_shows_some_rows_of_patches_of_the_last_and_grey_below():
    for network, shape, count in ((SLIM, (3, 32, 32), 8), (replace(SLIM, patch=1, width=128), (1, 40, 2), 14)):
        first, *states, last = attacked(observe(network, random_batch(1, shape)))
        assert (len(states), states[-1].iterations) == (count, count)
        assert count <= FRAMES
        for state in (first, *states):
            rows = math.ceil(state.iteration * shape[1] / (count * network.patch)) * network.patch if state is not first else 0
            shown = round(float((state.candidate != 0.5).any(3).any(1).sum()))
            assert shown >= min(rows, shape[1]) - network.patch
            assert torch.equal(state.candidate[:, :, :shown], last.candidate[:, :, :shown])
            assert bool((state.candidate[:, :, shown:] == 0.5).all())
        assert torch.equal(states[-1].candidate, last.candidate)


SGD = torch.optim.SGD
OPTIMISERS = {
    "plain": lambda weights: SGD(weights, 0.01),
    "momentum": lambda weights: SGD(weights, 0.01, momentum=0.9),
    "Nesterov": lambda weights: SGD(weights, 0.01, momentum=0.9, nesterov=True),
    "decay": lambda weights: SGD(weights, 0.01, weight_decay=5e-4),
    "decay and momentum": lambda weights: SGD(weights, 0.01, momentum=0.9, weight_decay=5e-4),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_of_sgd_hide_nothing_whoever_is_told_of_them(name):
    """In double precision: exactly, with a decay and a momentum that nobody told."""
    batch = smooth_batch(dtype=torch.float64)
    observation = trained_by(SLIM, batch, OPTIMISERS[name], 5, 0.01)
    *_, last = attacked(observation)
    assert decibels(last, batch.images) > 100
    assert last.outcome is (PatchOutcome.PATCHES_UNMOVED if name == "plain" else PatchOutcome.PATCHES_UNCONFIRMED)
    assert ("decayed" in last.note) is ("decay" in name)


def test_the_decay_that_is_found_is_the_clients():
    observation = trained_by(SLIM, smooth_batch(dtype=torch.float64), OPTIMISERS["decay"], 5, 0.01)
    equations = read_equations(observation, find_embedding(observation.network, (3, 32, 32)))
    assert equations.decayed == pytest.approx((1 - 0.01 * 5e-4) ** 5 - 1, rel=1e-6)


TINY = VisionTransformer(patch=4, width=48, depth=2)
"""Tells all sixteen patches of a picture of 16 x 16 pixels, but for rounding."""


@pytest.mark.parametrize("optimiser", [LocalSGD(), LocalSGD(momentum=0.9), LocalSGD(weight_decay=5e-4)], ids=str)
def test_what_rounding_took_is_found_in_all_else_that_was_sent(optimiser):
    """Truth: the equations alone, whose picture lacks the digits that stored weights lost."""
    batch = smooth_batch(size=16)
    observation = observe(TINY, batch, FedAvg(3, 0, 1e-5, optimiser))
    *_, alone = attacked(observation)
    *_, last = attacked(observation, PatchEmbedding(iterations=40))
    assert last.outcome is PatchOutcome.PATCHES_ROUNDED
    assert "off, and was" in last.note
    assert last.iteration == last.iterations == alone.iterations + 40
    assert decibels(last, batch.images) > 3 + decibels(alone, batch.images)


@pytest.mark.parametrize("name", ["decay", "momentum"])
def test_where_the_clients_steps_are_not_those_told_the_equations_stand_alone(name):
    observation = trained_by(TINY, smooth_batch(size=16), OPTIMISERS[name], 5, 0.01)
    (*_, alone), (*_, last) = attacked(observation), attacked(observation, PatchEmbedding(iterations=4))
    assert torch.equal(last.candidate, alone.candidate)
    assert last.outcome is alone.outcome


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_steps_that_are_no_sums_of_gradients_are_refused(kind):
    observation = trained_by(SLIM, smooth_batch(), lambda weights: kind(weights, 1e-3), 5, 1e-3)
    *_, last = attacked(observation)
    assert last.outcome is PatchOutcome.NO_SYSTEM
    assert bool((last.candidate == 0.5).all())


def test_fewer_numbers_than_patches_leave_what_a_smooth_picture_fills():
    """Truth: plain least squares finds nothing there, by the same numbers."""
    batch = smooth_batch()
    observation = observe(replace(SLIM, width=60, heads=4), batch)
    *_, last = attacked(observation)
    assert "of 64 mixtures" in last.note
    told = int(last.note.split(" of 64")[0])
    assert 50 <= told <= 60
    equations = read_equations(observation, find_embedding(observation.network, (3, 32, 32)))
    plain = torch.linalg.lstsq(equations.token_gradients.T, equations.weight_gradient, driver="gelsd").solution
    least = observation.network.normalise.double().inverse(equations.grid.joined(plain))
    assert decibels(last, batch.images) > 15 + float(psnr_db(least.clamp(0, 1), batch.images.double()))


def test_noise_is_seen_and_the_picture_stays_better_than_plain_least_squares_makes_it():
    batch = smooth_batch()
    observation = observe(VisionTransformer(depth=1), batch)
    noisy = replace(observation, update=GaussianNoise(1e-3).apply(observation.update, stream(0, "noise")))
    *_, last = attacked(noisy)
    equations = read_equations(noisy, find_embedding(noisy.network, (3, 32, 32)))
    plain = torch.linalg.lstsq(equations.token_gradients.T, equations.weight_gradient).solution
    least = noisy.network.normalise.double().inverse(equations.grid.joined(plain)).clamp(0, 1)
    assert last.outcome is PatchOutcome.PATCHES_NOISY
    assert decibels(last, batch.images) > 5 + float(psnr_db(least, batch.images.double()))


def test_the_equations_noise_is_told_from_the_numbers_themselves():
    """Truth: noise of a known deviation on both tensors, and on the bias."""
    batch = random_batch(1, dtype=torch.float64)
    observation = observe(VisionTransformer(depth=1), batch)
    drawn, names = stream(0, "noise"), ("features.conv_proj.weight", "features.conv_proj.bias", "features.pos_embedding")
    clean = solve(read_equations(observation, find_embedding(observation.network, (3, 32, 32))), observation.network.normalise)
    assert clean.noise < 1e-10
    weight = observation.update[names[0]]
    deviation = 1e-3 * float(weight.square().mean().sqrt())
    noisy = {
        name: tensor + deviation * torch.randn(tensor.shape, generator=drawn, dtype=tensor.dtype) if name in names else tensor
        for name, tensor in observation.update.items()
    }
    equations = read_equations(replace(observation, update=noisy), find_embedding(observation.network, (3, 32, 32)))
    assert equations.deviation == pytest.approx(deviation, rel=0.3)


def test_a_model_of_torchvisions_is_read_by_the_recommended_attack():
    """With a last layer that is not zero, as torchvision begins it: then nothing below it has a gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TorchvisionsViT(
            image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=5
        )
        silent = lab.observe(model, *_gradient(model), input_shape=(3, 32, 32), labels=[3])
        torch.nn.init.normal_(model.heads.head.weight)
        seen = lab.observe(model, *_gradient(model), input_shape=(3, 32, 32), labels=[3])
    *_, last = lab.attack(seen)
    assert last.outcome is PatchOutcome.PATCHES
    assert decibels(last, PICTURE) > 70
    assert attacked(silent)[-1].outcome is ClosedFormOutcome.DEAD_UNITS


PICTURE = random_batch(1, seed=5).images


def _gradient(model):
    loss = torch.nn.functional.cross_entropy(model.eval()(PICTURE), torch.tensor([3]))
    return (dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True)),)


@pytest.mark.parametrize("source", [LabelSource.INFERRED, LabelSource.JOINT])
def test_the_system_needs_no_labels(source):
    batch = random_batch(1)
    *_, last = attacked(observe(SLIM, batch, source=source))
    assert last.outcome is PatchOutcome.PATCHES
    assert decibels(last, batch.images) > 70


@pytest.mark.parametrize(
    ("network", "count", "outcome"),
    [
        (SLIM, 2, PatchOutcome.SEVERAL_PICTURES),
        (replace(SLIM, positions=Positions.FIXED), 1, PatchOutcome.NO_PLACES),
    ],
)
def test_without_a_system_matching_takes_over_and_says_why(network, count, outcome):
    batch = smooth_batch(count)
    first, *_, last = attacked(observe(network, batch), PatchEmbedding(iterations=30))
    assert last.outcome is outcome
    assert "took over from grey" in last.note
    assert last.iteration == last.iterations == 30
    assert not torch.equal(last.candidate, first.candidate)


def test_what_was_not_sent_is_named():
    observation = observe(SLIM, random_batch(1))
    rest = {name: tensor for name, tensor in observation.update.items() if "pos_embedding" not in name}
    *_, last = attacked(replace(observation, update=rest))
    assert last.outcome is ClosedFormOutcome.NOT_SENT
    assert "features.pos_embedding" in last.note


GALLERY = NAMES[:20]


def of_gallery(network, count=20, **options):
    """Decibels of each of the first photographs."""
    for first in GALLERY[:count]:
        attacked_round = simulate_round(Experiment(network=network, dataset=Gallery(first=first), attack=ALONE, **options))
        *_, last = attacked(attacked_round.observation)
        yield decibels(last, attacked_round.batch.images)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "count"), [(384, 20), (768, 5)])
def test_photographs_of_224_pixels_are_exact(width, count):
    """The claim of docs/vision-transformers.md: untrained, ViT-S/16 on 20 photographs and ViT-B/16 on 5."""
    assert min(of_gallery(ImageNetViT(width=width), count)) >= 70


@pytest.mark.slow
def test_noise_of_a_thousandth_leaves_a_likeness():
    """The claim of docs/vision-transformers.md: 32 pixels, 20 photographs."""
    assert median(of_gallery(VisionTransformer(), defences=(GaussianNoise(1e-3),))) >= 25


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "rate", "name", "least"), [(5, 0.01, "plain", 35), (5, 0.01, "momentum", 45)])
def test_local_steps_of_photographs(steps, rate, name, least):
    """The claims of docs/vision-transformers.md: in single precision, 20 photographs; processors round differently."""
    for first in GALLERY:
        batch = Gallery(first=first).load(1, 32, stream(0, "data"))
        *_, last = attacked(trained_by(VisionTransformer(), batch, OPTIMISERS[name], steps, rate))
        assert decibels(last, batch.images) > least
