"""Where the second pass stands is theta + h v, however few trips through memory it took to get there."""

import pytest
import torch

from lab.attacks.derivative.weight_shift import BlendShift, PlainShift
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.cosine import Cosine
from lab.federated.updates import length
from lab.randomness import stream

SHAPES = {"weight": (5, 3), "bias": (5,), "loud": (2,)}


def update(seed, scale=1.0):
    generator = stream(seed, "update")
    made = {name: scale * torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}
    return made | {"loud": 50 * made["loud"]}


@pytest.mark.parametrize("distance", [Cosine(), BalancedCosine()], ids=lambda each: each.name)
def test_the_weights_are_theta_plus_h_v_each_time_and_the_second_time_costs_the_update_again(distance):
    start, shared, renewed = update(0), update(1), []
    _, direction = distance.value_and_gradient(update(2), shared)
    _, blend = distance.blender(shared)(update(2))

    def renew():
        renewed.append(True)
        return update(2)

    shift = BlendShift(start, shared, update(2), blend, renew)
    for turn, h in enumerate([1e-3, 0.5]):
        weights = shift.by(h)
        assert len(renewed) == turn
        for name, tensor in start.items():
            torch.testing.assert_close(weights[name], tensor + h * direction[name], rtol=1e-12, atol=1e-12)


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
    weights = shift.by(0.25)
    assert shift.length == pytest.approx(float(length(direction)))
    for name, tensor in start.items():
        assert torch.equal(weights[name], tensor + 0.25 * direction[name])


def test_nothing_to_go_along_is_no_fault():
    start, shared = update(7), update(8)
    zero = {name: torch.zeros_like(tensor) for name, tensor in shared.items()}
    _, blend = Cosine().blender(shared)(zero)
    weights = BlendShift(start, shared, zero, blend, lambda: zero).by(1e-3)
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
