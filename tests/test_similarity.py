"""Structural similarity, held against another implementation and against what is known of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.metrics import ssim as kornias

from lab.modalities.images.similarity import ssim


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(4, 40), st.integers(4, 40)),
    noise=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_it_is_that_of_kornia(shape, noise, seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(shape, generator=generator)
    candidate = (truth + noise * torch.randn(shape, generator=generator)).clamp(0, 1)
    expected = kornias(candidate, truth, window_size=7).flatten(1).mean(1)
    torch.testing.assert_close(ssim(candidate, truth), expected, atol=1e-5, rtol=0)


def test_alike_is_one_and_nothing_but_grey_is_next_to_nothing():
    truth = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert ssim(truth, truth).tolist() == pytest.approx([1, 1])
    assert ssim(torch.full_like(truth, 0.5), truth).max() < 0.05
    assert torch.equal(ssim(truth, truth.flip(-1)), ssim(truth.flip(-1), truth))


def test_flat_pictures_are_compared_by_their_brightness():
    dark, bright = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(ssim(dark, dark)) == pytest.approx(1)
    assert float(ssim(dark, bright)) == pytest.approx(1e-4, rel=1e-3)
