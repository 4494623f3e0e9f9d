"""Grids are torch's bilinear enlargements, all drawn at once; closed-form slopes are what autograd finds."""

import pytest
import torch
from tiny import draw
from torch.nn import functional

from lab.attacks.matching.priors.base import Prior
from lab.modalities.images.coarse_to_fine import REACH, Grids
from lab.options.catalogue import entries


@pytest.mark.parametrize("size", [(32, 32), (17, 40), (8, 9)])
def test_they_are_bilinear_enlargements_weighed_by_their_reach(size):
    like = draw(2, 3, *size)
    grids = Grids(like)
    shapes, expected, row, column = grids.zeros(like), torch.zeros_like(like), 0, 0
    height, width, level = *size, 0
    while min(height, width) >= 8:
        height, width, level = height // 2, width // 2, level + 1
        grid = draw(2, 3, height, width)
        shapes[..., row : row + height, column : column + width] = grid
        row, column = row + height, column + width
        expected += REACH**level * functional.interpolate(grid, size, mode="bilinear")
    assert (row, column) == shapes.shape[-2:]
    torch.testing.assert_close(grids.up(shapes), expected)


def test_down_is_the_adjoint_of_up_and_leaves_the_gaps_between_the_grids_alone():
    like = draw(1, 3, 20, 33)
    grids = Grids(like)
    slope, shapes = draw(*like.shape), draw(*grids.zeros(like).shape) * grids.inside
    torch.testing.assert_close((grids.up(shapes) * slope).sum(), (shapes * grids.down(slope)).sum())
    assert not (grids.down(slope) * (1 - grids.inside)).any()
    assert int(grids.inside.sum()) == 10 * 16 + 5 * 8


def test_a_small_picture_has_none():
    assert not Grids.fit(draw(1, 3, 7, 7))
    assert Grids.fit(draw(1, 3, 8, 8))


def test_spread_is_what_a_step_of_pixels_and_shapes_along_their_own_slopes_comes_to():
    pixels = draw(2, 3, 9, 16).requires_grad_()
    grids, target = Grids(pixels), draw(2, 3, 9, 16)
    shapes = grids.zeros(pixels).requires_grad_()
    price = ((pixels + grids.up(shapes) - target) ** 2).sum()
    along_pixels, along_shapes = torch.autograd.grad(price, [pixels, shapes])
    moved = along_pixels + grids.up(along_shapes * grids.inside)
    torch.testing.assert_close(grids.spread(along_pixels), moved)


@pytest.mark.parametrize("prior", [pytest.param(entry(), id=name) for name, entry in entries("prior").items()])
@pytest.mark.parametrize("size", [(6, 9), (1, 4), (5, 1)])
def test_a_priors_own_gradient_is_autograds(prior, size):
    images = draw(2, 3, *size)
    penalty, gradient = prior.value_and_gradient(images)
    expected_penalty, expected = Prior.value_and_gradient(prior, images)
    torch.testing.assert_close(gradient, expected.nan_to_num())
    if min(size) > 1:
        torch.testing.assert_close(penalty, expected_penalty)
