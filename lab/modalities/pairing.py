"""Which reconstruction belongs to which private input: nobody tells in which order a batch is found."""

from __future__ import annotations

from typing import cast

from lab.lazy import Float, Int, Tensor, torch

FARTHEST = 1e9
"""Stands in for the distance to what is not a number."""


def best_matching(wanted: Float[Tensor, "wanted ..."], offered: Float[Tensor, "offered ..."]) -> Int[Tensor, " wanted"]:
    """For each of the wanted inputs the number of the one offered for it, by least total square error.

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
