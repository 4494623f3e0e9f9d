"""The balanced Euclidean distance: the balanced cosine's weights, and the length that it leaves out."""

import pytest
import torch
from test_balanced_cosine import updates

from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.balanced_euclidean import BalancedEuclidean
from lab.attacks.matching.distances.euclidean import Euclidean

LOUD = {"loud": torch.tensor([30.0] + [0.0] * 9).double(), "quiet": torch.tensor([10.0] + [0.0] * 89).double()}
"""Lengths 30 and 10 squared are 0.9 and 0.1 of 1000; 0.1 of the parameters may hold 0.1 of it: a weight of 1 / 9."""


def test_where_all_tensors_are_equally_loud_it_is_the_euclidean_distance():
    shared = {name: tensor.sign() for name, tensor in updates(3, 50, 200).items()}
    candidate = updates(3, 50, 200, seed=1)
    torch.testing.assert_close(BalancedEuclidean()(candidate, shared), Euclidean()(candidate, shared))


def test_a_loud_small_tensor_counts_as_its_share_of_the_parameters():
    nothing = {name: torch.zeros_like(tensor) for name, tensor in LOUD.items()}
    assert float(Euclidean()(nothing, LOUD)) == pytest.approx(1000)
    assert float(BalancedEuclidean()(nothing, LOUD)) == pytest.approx(100 + 100)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_it_differs_from_the_balanced_cosine_by_the_length_alone(factor):
    longer = {name: factor * tensor for name, tensor in LOUD.items()}
    assert float(BalancedEuclidean()(longer, LOUD)) == pytest.approx((factor - 1) ** 2 * 200)
    assert float(BalancedCosine()(longer, LOUD)) == pytest.approx(0.0 if factor else 1.0, abs=1e-12)


@pytest.mark.parametrize("silent", ["none", "0", "1", "all"])
def test_the_closed_form_is_the_derivative(silent):
    shared = {name: tensor * (silent not in (name, "all")) for name, tensor in updates(4, 60).items()}
    candidate = {name: tensor.requires_grad_() for name, tensor in updates(4, 60, seed=1).items()}
    value = BalancedEuclidean()(candidate, shared)
    expected = torch.autograd.grad(value, list(candidate.values()))
    found, slopes = BalancedEuclidean().value_and_gradient(candidate, shared)
    torch.testing.assert_close(found, value.detach())
    torch.testing.assert_close(list(slopes.values()), list(expected))
