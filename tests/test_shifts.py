"""Where the second pass stands is theta + h v, however few trips through memory it took to get there."""

import pytest
import torch

from lab.distances.balanced_cosine import BalancedCosine
from lab.distances.base import length
from lab.distances.cosine import Cosine
from lab.randomness import stream
from lab.shifts import SLACK, Anchor, BlendShift, PlainShift

SHAPES = {"weight": (5, 3), "bias": (5,), "loud": (2,)}


def update(seed, scale=1.0):
    generator = stream(seed, "update")
    made = {name: scale * torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}
    return made | {"loud": 50 * made["loud"]}


@pytest.mark.parametrize("distance", [Cosine(), BalancedCosine()], ids=lambda each: each.name)
def test_the_anchored_weights_are_theta_plus_h_v(distance):
    start, shared = update(0), update(1)
    anchor, blender, moves = Anchor(start, shared), distance.blender(shared), 0
    for turn, (scale, wanted) in enumerate([(1, 1e-3), (1.1, 1e-3), (0.9, 1.2e-3), (1, 1e-1), (1, 0.9e-1)]):
        noise, before = update(3 + turn, 0.1), anchor.shares
        candidate = {name: scale * tensor + noise[name] for name, tensor in update(2).items()}
        _, blend = blender(candidate)
        _, direction = distance.slope(candidate, shared)
        weights, h = BlendShift(anchor, candidate, blend).by(wanted)
        assert wanted / SLACK <= h <= wanted * SLACK
        moves += anchor.shares is not before
        for name, tensor in start.items():
            torch.testing.assert_close(weights[name], tensor + h * direction[name], rtol=1e-12, atol=1e-12)
    assert moves == 2, "it moves at first and where another h is wanted, and serves on elsewhere"


@pytest.mark.parametrize("distance", [Cosine(), BalancedCosine()], ids=lambda each: each.name)
def test_a_blend_knows_its_length_and_what_it_is_a_blend_of(distance):
    candidate, shared = update(3), update(4)
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in candidate.items()}
    value = distance(leaves, shared)
    exact = dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))
    found, blend = distance.blender(shared)(candidate)
    assert float(found) == pytest.approx(value.item())
    assert blend.length == pytest.approx(float(length(exact)))
    for name, tensor in blend.of(candidate, shared).items():
        torch.testing.assert_close(tensor, exact[name])


def test_a_plain_shift_goes_where_it_is_told():
    start, direction = update(5), update(6)
    shift = PlainShift(start, direction, {name: torch.empty_like(tensor) for name, tensor in start.items()})
    weights, h = shift.by(0.25)
    assert (h, shift.length) == (0.25, pytest.approx(float(length(direction))))
    for name, tensor in start.items():
        assert torch.equal(weights[name], tensor + 0.25 * direction[name])


def test_nothing_to_go_along_is_no_fault():
    start, shared = update(7), update(8)
    zero = {name: torch.zeros_like(tensor) for name, tensor in shared.items()}
    _, blend = Cosine().blender(shared)(zero)
    weights, _ = BlendShift(Anchor(start, shared), zero, blend).by(1e-3)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
