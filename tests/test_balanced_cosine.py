"""The balanced cosine: no tensor is heard above its share of the parameters."""

import pytest
import torch

from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.cosine import Cosine
from lab.randomness import stream


def updates(*sizes, seed=0):
    generator = stream(seed, "x")
    return {str(index): torch.randn(size, generator=generator, dtype=torch.float64) for index, size in enumerate(sizes)}


def test_where_all_tensors_are_equally_loud_it_is_the_cosine():
    shared = {name: tensor.sign() for name, tensor in updates(3, 50, 200).items()}
    candidate = updates(3, 50, 200, seed=1)
    assert float(BalancedCosine()(candidate, shared)) == pytest.approx(float(Cosine()(candidate, shared)), abs=1e-12)


def test_a_loud_small_tensor_counts_as_its_share_of_the_parameters():
    """Lengths 30 and 10 squared are 0.9 and 0.1 of 1000; 0.1 of the parameters may hold 0.1: 100 and 100 remain."""
    shared = {"loud": torch.zeros(10).double(), "quiet": torch.zeros(90).double()}
    shared["loud"][0], shared["quiet"][0] = 30.0, 10.0
    candidate = {"loud": torch.zeros(10).double(), "quiet": shared["quiet"].clone()}
    assert float(Cosine()(candidate, shared)) == pytest.approx(1 - 0.1**0.5)
    assert float(BalancedCosine()(candidate, shared)) == pytest.approx(1 - 0.5**0.5)


def test_the_closed_form_is_the_derivative():
    shared, candidate = updates(4, 60, 300), updates(4, 60, 300, seed=1)
    shared["0"] *= 40
    leaves = {name: tensor.requires_grad_() for name, tensor in candidate.items()}
    value = BalancedCosine()(leaves, shared)
    expected = torch.autograd.grad(value, list(leaves.values()))
    found, slopes = BalancedCosine().value_and_gradient(candidate, shared)
    torch.testing.assert_close(found, value.detach())
    torch.testing.assert_close(list(slopes.values()), list(expected))


@pytest.mark.parametrize("silent", ["0", "1", "all"])
def test_tensors_without_a_gradient_do_no_harm(silent):
    shared = {name: tensor * (silent not in (name, "all")) for name, tensor in updates(4, 60).items()}
    value, slopes = BalancedCosine().value_and_gradient(updates(4, 60, seed=1), shared)
    assert torch.isfinite(value)
    assert all(torch.isfinite(tensor).all() for tensor in slopes.values())
