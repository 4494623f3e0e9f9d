"""How alike two pictures are: MSE, PSNR, SSIM, and the best pairing of a batch."""

from __future__ import annotations

from typing import cast

from lab.late import Float, Tensor, torch

from lab.federated.tensors import Images

FARTHEST = 1e9
"""Stands in for the distance to what is not a number."""


def mse(candidate: Images, truth: Images) -> Float[Tensor, " batch"]:
    """Mean square error of each picture, shape (batch,)."""
    return (candidate - truth).square().flatten(1).mean(1)


def psnr_db(candidate: Images, truth: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of each picture in dB, shape (batch,); at most 150."""
    return -10 * mse(candidate, truth).clamp_min(1e-15).log10()


def best_matching(wanted: Tensor, offered: Tensor) -> Tensor:
    """For each of the wanted pictures (or inputs) the number of the one offered for it, by least total square error.

    As many may be offered or more; none is taken twice.
    """
    if len(wanted) == len(offered) == 1:
        return torch.zeros(1, dtype=torch.long, device=wanted.device)
    # imported here: only a batch needs it, and scipy is slow to load; and it says nothing of its types
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    costs = torch.cdist(wanted.flatten(1), offered.flatten(1)).square().detach().cpu().double()
    costs = costs.nan_to_num(FARTHEST).clamp_max(FARTHEST)
    _, columns = cast("tuple[object, object]", linear_sum_assignment(costs.numpy()))
    return torch.as_tensor(columns, device=wanted.device)
