"""L-BFGS against the dense recursion that it stands for, known minima, and places without a way down."""

import math

import pytest
import torch

from lab.attacks.matching.optimisers.curvature import Curvature
from lab.attacks.matching.optimisers.quasi_newton import QuasiNewtonStepper

SIZE = 12


def _pairs(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Steps on a random convex quadratic, and how its gradient changes along them."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    hessian = root @ root.T + torch.eye(SIZE, dtype=torch.float64)
    steps = [torch.randn(SIZE, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [(step, hessian @ step) for step in steps]


METRICS = {
    "identity": torch.eye(SIZE, dtype=torch.float64),
    "uneven": torch.diag(torch.linspace(0.5, 3, SIZE, dtype=torch.float64)),
}


def _radius(pair, metric: torch.Tensor) -> float:
    step, change = pair
    return float(step @ change / (change @ metric @ change))


def _kept(pairs, history: int, metric: torch.Tensor) -> list:
    """The pairs that stay where, one coming after another, the flattest makes room."""
    kept = []
    for pair in pairs:
        if len(kept) == history:
            kept.pop(max(range(history), key=lambda place: _radius(kept[place], metric)))
        kept.append(pair)
    return kept


def _dense(pairs, metric: torch.Tensor) -> torch.Tensor:
    """H by the recursion of BFGS (Nocedal and Wright 2006, equation 6.17), from the metric times the largest radius."""
    identity = torch.eye(SIZE, dtype=torch.float64)
    inverse = metric * max(_radius(pair, metric) for pair in pairs)
    for step, change in pairs:
        left = identity - torch.outer(step, change) / (step @ change)
        inverse = left @ inverse @ left.T + torch.outer(step, step) / (step @ change)
    return inverse


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("history", [1, 5])
@pytest.mark.parametrize("count", [1, 4, 5, 9, 10, 11, 23, 200])
def test_the_compact_form_is_the_recursion_over_the_pairs_that_stay(count, history, metric):
    pairs, spread = _pairs(count), METRICS[metric]
    curvature = Curvature(pairs[0][0], history, lambda gradient: spread @ gradient)
    place = torch.ones(SIZE, dtype=torch.float64)
    for step, change in pairs:
        curvature.remember(step, place, place + change)
        place = place + change
    gradient = torch.linspace(-1, 1, SIZE, dtype=torch.float64)
    assert len(curvature) == min(count, history)
    wanted = _dense(_kept(pairs, history, spread), spread) @ gradient
    torch.testing.assert_close(curvature.inverse_hessian_vector(gradient), wanted, rtol=1e-8, atol=1e-10)


def test_what_is_forgotten_leaves_nothing_behind():
    (step, change), (other, bent), *_ = _pairs(2)
    used, fresh = (Curvature(step, 5) for _ in range(2))
    used.remember(step, torch.zeros_like(change), change)
    used.forget()
    assert torch.equal(used.inverse_hessian_vector(step), step)
    for curvature in (used, fresh):
        curvature.remember(other, torch.zeros_like(bent), bent)
    assert torch.equal(used.inverse_hessian_vector(step), fresh.inverse_hessian_vector(step))


def test_without_pairs_it_is_the_identity_and_bends_downwards_are_not_kept():
    curvature = Curvature(torch.zeros(SIZE), 5)
    step, start = torch.ones(SIZE), torch.zeros(SIZE)
    for end in (-step, start, torch.full((SIZE,), math.nan)):
        curvature.remember(step, start, end)
    assert len(curvature) == 0
    assert torch.equal(curvature.inverse_hessian_vector(step), step)


def test_what_is_in_double_precision_stays_on_the_cpu():
    """Some accelerators have none; "meta" stands for any of them."""
    curvature = Curvature(torch.zeros(SIZE, device="meta"), 5)
    exact = [tensor for tensor in vars(curvature).values() if getattr(tensor, "dtype", None) == torch.float64]
    assert exact
    assert all(tensor.device.type == "cpu" for tensor in exact)


def _minimise(objective, leaves: list[torch.Tensor], steps: int, metric=None) -> int:
    """The steps taken, and how often the objective was asked for."""
    asked = 0

    def closure() -> float:
        nonlocal asked
        asked += 1
        value = objective(*leaves)
        for leaf, slope in zip(leaves, torch.autograd.grad(value, leaves), strict=True):
            leaf.grad = slope
        return float(value.detach())

    stepper = QuasiNewtonStepper(leaves, 1.0, 10, metric)
    for _ in range(steps):
        stepper.step(closure)
    return asked


def test_it_finds_the_minimum_of_rosenbrocks_valley():
    x, y = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (-1.2, 1.0))
    asked = _minimise(lambda x, y: ((1 - x) ** 2 + 100 * (y - x**2) ** 2).sum(), [x, y], 40)
    assert (x.item(), y.item()) == pytest.approx((1, 1), abs=1e-6)
    assert asked < 150


def test_a_quadratic_takes_as_many_steps_as_it_has_directions():
    scales = torch.tensor([1.0, 4.0, 30.0], dtype=torch.float64)
    place = torch.full((3,), 2.0, dtype=torch.float64, requires_grad=True)
    _minimise(lambda place: (scales * (place - 1) ** 2).sum(), [place], 20)
    assert place.detach().tolist() == pytest.approx([1, 1, 1], abs=1e-8)


def test_a_metric_stands_for_leaves_of_its_own():
    """With M = 1 + U U^T it goes where leaves p and s lead x = p + U s, step by step; another leaf is left as it is.

    The slopes are so small that neither shortens its first step, which they would by different shares.
    """
    spread = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(6, 2)

    def objective(x, z):
        return 0.005 * ((torch.arange(1, 7) * (x - 1) ** 2).sum() + (x**4).sum() + (z - x[0]) ** 2)

    def start(*sizes):
        return [torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in sizes]

    for steps in (1, 2, 5, 14):
        leaves, (x, z) = start(6, (), 2), start(6, ())
        _minimise(lambda p, z, s: objective(p + spread @ s, z), leaves, steps)
        _minimise(objective, [x, z], steps, metric=lambda slope: slope + spread @ (spread.T @ slope))
        torch.testing.assert_close(x, leaves[0] + spread @ leaves[2], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(z, leaves[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beyond", [math.nan, math.inf, 5.0])
def test_where_nothing_leads_downhill_it_stays(beyond):
    leaf = torch.zeros(3, requires_grad=True)
    before = leaf.detach().clone()

    def closure() -> float:
        leaf.grad = torch.ones(3)
        return 1.0 if torch.equal(leaf, before) else beyond

    QuasiNewtonStepper([leaf], 1.0, 10).step(closure)
    assert torch.equal(leaf, before)


def test_rounding_in_the_value_does_not_stop_it():
    """A value known to 1e-4 of itself only, as a cosine distance near its end: the slopes lead on."""
    leaf = torch.full((4,), 0.02, dtype=torch.float64, requires_grad=True)
    noise = torch.Generator().manual_seed(0)

    def closure() -> float:
        leaf.grad = 2 * leaf.detach()
        return 1 + float((leaf.detach() ** 2).sum()) + 2e-4 * float(torch.rand((), generator=noise))

    stepper = QuasiNewtonStepper([leaf], 1.0, 10)
    for _ in range(10):
        stepper.step(closure)
    assert float(leaf.detach().abs().max()) < 1e-6
