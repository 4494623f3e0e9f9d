"""Below skips and pooling: what convolutions' own gradients tell, against made-up truths, autograd and the private picture."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds import as_round, observe, smooth_batch
from tiny import convolution, draw
from torch import nn

from lab.attacks.closed_form.inversion import Inversion
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.closed_form.spatial.feature_inversion import ANNEALING, CHUNK, Box, KnownFeatures, invert_features
from lab.attacks.closed_form.spatial.position_factorisation import ConsistentPatches, factorise_positions, positions_determined
from lab.attacks.closed_form.spatial.robust_least_squares import Branch, robust_least_squares
from lab.attacks.recursive import Recursive
from lab.evaluation.layers import layer_scores
from lab.federated.networks.base import Activation, BatchNorm, Padding
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.resnet import ResNet
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream

SMALL = ResNet(depth=8, widen=4)


def slopes_of_relu(operator, seed):
    """Slopes behind a ReLU: about half of them 0."""
    shape = (1, operator.layer.out_channels, *operator.output_size)
    return draw(*shape, seed=seed) * (draw(*shape, seed=seed + 1) > 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 5), st.integers(0, 8), st.integers(0, 1000), st.booleans())
def test_the_slopes_are_told_place_by_place_up_to_one_factor(size, spare, seed, whole):
    """As under a ResNet's average (``whole``), or a max-pooling that leaves the last row and column out."""
    operator = convolution(size * size + spare, size * size + spare, size=size)
    reached = torch.ones(size, size, dtype=torch.bool)
    if not whole:
        reached[-1], reached[:, -1] = False, False
    slopes = slopes_of_relu(operator, seed) * reached
    values = draw(*operator.input_shape, seed=seed + 2)
    gradient = operator.correlate(values, slopes)
    if positions_determined(gradient) < int(reached.sum()):
        return
    found = factorise_positions(operator, gradient, reached)
    factor = (found * slopes[0]).sum() / found.square().sum()
    torch.testing.assert_close(factor * found, slopes[0], atol=1e-5 * float(slopes.abs().max()), rtol=0)


def test_what_patches_cannot_be_is_left_by_a_projection():
    operator = convolution(3, 4, size=5)
    reached = torch.ones(25, dtype=torch.bool)
    reached[7:11] = False
    consistent = ConsistentPatches(operator, reached)
    one, other = draw(27, 21), draw(27, 21, seed=1)
    left = consistent.violation(one)
    torch.testing.assert_close(consistent.violation(left), left)
    torch.testing.assert_close((consistent.violation(other) * one).sum(), (other * left).sum())
    seen = operator.patches(draw(1, 3, 5, 5))[:, reached]
    torch.testing.assert_close(consistent.violation(seen), torch.zeros_like(seen))


def branch(operator, values, seed, wrong=0):
    """A branch on ``values`` with so many units taken for what they are not."""
    slope = draw(1, operator.layer.out_channels, *operator.output_size, seed=seed)
    active = draw(*slope.shape, seed=seed + 1) > 0
    gradient = operator.correlate(values, slope * active)
    taken = active.clone()
    taken.view(-1)[:: active.numel() // max(wrong, 1)][:wrong] ^= True
    return Branch(operator, gradient, slope, taken), active


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_an_input_is_told_by_the_weight_gradient_and_wrong_units_are_put_right(wrong):
    values = draw(1, 5, 6, 6)
    made, active = branch(convolution(5, 24, size=6), values, 3, wrong)
    solution = robust_least_squares([made])
    assert solution.determined
    torch.testing.assert_close(solution.values, values, atol=1e-8, rtol=0)
    assert torch.equal(solution.active[0], active)


@pytest.mark.parametrize("wrong", [1, 2])
@pytest.mark.parametrize("seed", [3, 20, 40])
def test_a_shortcut_that_can_fit_anything_does_not_hide_which_channels_are_wrong(wrong, seed):
    """It has fewer equations than places, so it always fits; what the rest tells is right all the same."""
    values = draw(1, 4, 8, 8, seed=seed + 9)
    residual, _ = branch(convolution(4, 11, stride=2, size=8), values, seed, wrong)
    shortcut, _ = branch(convolution(4, 12, kernel=1, stride=2, padding=0, size=8), values, seed + 4)
    solution = robust_least_squares([residual, shortcut])
    assert len(solution.directions) > 60
    torch.testing.assert_close(
        solution.directions @ solution.values[0].flatten(1).T, solution.directions @ values[0].flatten(1).T, atol=1e-6, rtol=0
    )


def test_a_stride_needs_the_shortcut_to_tell_each_pixel():
    values = draw(1, 4, 8, 8)
    first, _ = branch(convolution(4, 14, stride=2, size=8), values, 5)
    shortcut, _ = branch(convolution(4, 14, kernel=1, stride=2, padding=0, size=8), values, 9)
    alone, both = robust_least_squares([first]), robust_least_squares([first, shortcut])
    assert not alone.determined
    assert both.determined
    torch.testing.assert_close(both.values, values, atol=1e-6, rtol=0)


def test_of_too_few_equations_the_mixtures_that_they_tell_are_right():
    values = draw(1, 3, 8, 8)
    made, _ = branch(convolution(3, 5, size=8), values, 5)
    solution = robust_least_squares([made])
    assert len(solution.directions) == 5 * 9
    torch.testing.assert_close(
        solution.directions @ solution.values[0].flatten(1).T, solution.directions @ values[0].flatten(1).T, atol=1e-8, rtol=0
    )


@pytest.mark.parametrize("network", [SMALL, ConvNet()], ids=["average", "max-pooling"])
def test_the_top_tells_where_the_head_was_reached(network):
    """Truth: autograd's slopes at the private picture."""
    batch = smooth_batch(dtype=torch.float64)
    observed = observe(network, batch)
    topmost = Inversion(observed).topmost
    assert topmost.shortcoming == ""
    body, kept = observed.network.features, []
    body[topmost.index - 1].register_forward_hook(lambda module, given, output: kept.append(output))
    loss = nn.functional.cross_entropy(observed.network(batch.images), batch.labels)
    true = torch.autograd.grad(loss, kept[0])[0] * (kept[0] > 0)
    torch.testing.assert_close(topmost.output_gradient * topmost.active(), true, atol=1e-9, rtol=1e-6)


def run(observation):
    return list(Recursive(hand_over=False).reconstruct(observation, stream(0, "candidate")))


def test_a_residual_network_is_undone_down_to_the_picture():
    batch = smooth_batch()
    observed = observe(SMALL, batch)
    last = run(observed)[-1]
    assert last.outcome is ClosedFormOutcome.PEELED
    assert float(psnr_db(last.candidate.clamp(0, 1), batch.images)) > 80
    assert [layer.name for layer in last.layers] == [
        "features.5.residual.3", "features.5.residual.0", "features.4.residual.3", "features.4.residual.0",
    ]  # fmt: skip
    assert all(score.error < 1e-4 for score in layer_scores(as_round(batch, observed), last)[:-1])
    assert "the picture's 3,072 searched" in last.note


@pytest.mark.slow
def test_max_pooling_is_undone_down_to_the_picture():
    batch = smooth_batch()
    last = run(observe(ConvNet(), batch))[-1]
    assert last.outcome is ClosedFormOutcome.PEELED
    assert float(psnr_db(last.candidate.clamp(0, 1), batch.images)) > 60


def test_the_private_pictures_are_not_looked_at():
    batch = smooth_batch()
    observed = observe(SMALL, batch)
    before = run(observed)[-1].candidate
    batch.images.fill_(0.123)
    assert torch.equal(before, run(observed)[-1].candidate)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (ResNet(depth=8, widen=1), "cannot tell 64 places apart"),
        (replace(SMALL, padding=Padding.CIRCULAR), "looks the same from each of 64 places"),
    ],
)
def test_what_keeps_the_places_hidden_is_named(network, words):
    last = run(observe(network, smooth_batch()))[-1]
    assert last.outcome is ClosedFormOutcome.PEEL_SKIP
    assert words in last.note


@pytest.mark.parametrize("network", [replace(SMALL, activation=Activation.SILU), replace(SMALL, batch_norm=BatchNorm.TRAIN)])
def test_smooth_blocks_and_statistics_of_the_batch_stay_closed(network):
    assert Inversion(observe(network, smooth_batch())).topmost is None


def test_several_pictures_local_steps_and_noise_stay_closed():
    assert Inversion(observe(SMALL, smooth_batch(2))).topmost is None
    assert Inversion(observe(SMALL, smooth_batch(), FedAvg(local_steps=2, learning_rate=1e-3))).topmost is None
    observed = observe(SMALL, smooth_batch())
    noisy = {
        name: tensor + 1e-3 * tensor.std() * torch.randn(tensor.shape, generator=stream(0, name))
        if tensor.numel() > 1
        else tensor
        for name, tensor in observed.update.items()
    }
    assert Inversion(replace(observed, update=noisy)).topmost is None


def test_the_search_ends_at_the_picture_that_shows_the_features():
    layer = convolution(3, 12, size=8).layer
    values = draw(1, 3, 8, 8)
    directions = torch.linalg.qr(draw(64, 40)).Q.T
    features = layer(values).detach()
    measured = KnownFeatures([layer], features, directions)
    assert measured.numbers == 40 * 12
    assert float(measured.residual(values.float())) < 1e-12
    torch.testing.assert_close(
        float(measured.residual(values.float() * 0)), told_share(features, layer, directions), rtol=1e-4, atol=0
    )
    *_, found = invert_features(measured, wide(values))
    torch.testing.assert_close(found, values, atol=1e-3, rtol=0)


def test_a_search_that_gets_stuck_is_annealed_once_more():
    """Features that no picture shows exactly keep L-BFGS from its end."""
    layer = convolution(3, 12, size=8).layer
    values = draw(1, 3, 8, 8)
    features = layer(values).detach()
    pictures = list(
        invert_features(KnownFeatures([layer], features + 0.01 * draw(*features.shape, seed=1), None), wide(values))
    )
    assert len(pictures) > ANNEALING / CHUNK
    torch.testing.assert_close(pictures[-1], values, atol=0.2, rtol=0)


@pytest.mark.parametrize("dull", [1.0, 0.1, 0.01])
def test_the_search_is_short_however_unequally_the_first_layer_looks(dull):
    """A trained one looks at grey a hundred times harder than at colours; pixel by pixel that took 31 looks and more."""
    first, second = (convolution(*sizes, kernel=3, padding=1, size=16).layer for sizes in ((3, 24), (24, 24)))
    with torch.no_grad():
        grey = first.weight.mean(dim=1, keepdim=True)
        first.weight.copy_(grey + dull * (first.weight - grey))
    values, modules = draw(1, 3, 16, 16), [first, nn.ReLU(), second]
    features = nn.Sequential(*modules)(values).detach()
    pictures = list(invert_features(KnownFeatures(modules, features, None), wide(values)))
    torch.testing.assert_close(pictures[-1], values, atol=1e-3, rtol=0)
    assert len(pictures) <= 10


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_search_that_ends_outside_the_box_goes_on_from_its_border(sign):
    """The one unit is dead far outside, where the first step leads, and nothing tells the way back."""
    layer, middle, aim = convolution(1, 1, kernel=1, padding=0, size=1).layer, 0.5, 0.5 - 0.45 * sign
    with torch.no_grad():
        layer.weight.fill_(sign)
        layer.bias.fill_(0.7 - sign * middle)
    values = torch.full((1, 1, 1, 1), aim, dtype=torch.float64)
    modules = [layer, nn.ReLU()]
    features = nn.Sequential(*modules)(values).detach()
    pictures = list(invert_features(KnownFeatures(modules, features, None), Box(0 * values, 0 * values + 1)))
    assert not all(0 <= float(picture) <= 1 for picture in pictures)
    torch.testing.assert_close(pictures[-1], values, atol=1e-5, rtol=0)
    assert len(pictures) < ANNEALING / CHUNK


def wide(values):
    """So many pictures that a search stays among them, with zeros in the middle."""
    return Box(torch.full_like(values, -99.0), torch.full_like(values, 99.0))


def told_share(features, layer, directions):
    """||M (bias - features)||^2 / ||M features||^2, by hand: what a black picture shows is the bias."""
    told = [directions @ each[0].flatten(1).T for each in (layer.bias.detach().view(1, -1, 1, 1) - features, features)]
    return float(told[0].square().sum() / told[1].square().sum())
