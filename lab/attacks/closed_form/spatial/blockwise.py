"""Down from the topmost convolution, unit by unit and block by block, as long as the weight gradients tell the whole input.

Where a unit has fewer equations than pixels, or a max-pooling follows, the way ends: what is known there is far more
than the picture has numbers, and the picture is searched that shows it (``from_features``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.chain import Link, describe
from lab.attacks.closed_form.layer_output import Progress
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.spatial.conv_bn import BlockUnits, Unit, block_units, last_unit
from lab.attacks.closed_form.spatial.feature_inversion import Measured, search
from lab.attacks.closed_form.spatial.robust_least_squares import Branch, Solution, unmix
from lab.attacks.closed_form.spatial.topmost_convolution import Top, unit_under_relu

LOST = 1e-2
"""Relative residual of a layer above which the places it was solved for cannot be right."""
BELOW_ZERO = 3.0
"""A ReLU's output counts as active above so many times the most negative one, which the error alone made."""


@dataclass(frozen=True, eq=False)
class Height:
    """What is known of the output of a ReLU, or of a block that ends in one."""

    index: int
    """So many links lie below."""
    slope: Tensor
    """dL/d(output)."""
    active: Tensor
    """Which units passed their value on; boolean."""


Way = Generator[Progress, None, Height | Measured]
"""A step down: progress on the way, then where it led."""


class WayDown:
    """One way down. ``gradients`` by parameter name, in double precision."""

    def __init__(self, links: Sequence[Link], gradients: Mapping[str, Tensor], top: Top) -> None:
        self.links, self.gradients, self.top = links, gradients, top
        self.layers: list[LayerRecovery] = []

    def run(self, grey: Tensor) -> Iterator[Progress]:
        """Yield after each layer, then along the search for the picture, which begins at ``grey`` (both normalised)."""
        here: Height | Measured = Height(self.top.index, self.top.slope, self.top.active())
        while isinstance(here, Height):
            here = yield from self._undo(here)
            if self.layers[-1].residual > LOST:
                yield Progress(tuple(self.layers), None, searched=f"The places found for {self.layers[-1].name} do not fit.")
                return
        searched = f"Of what entered {self.layers[-1].name}, {here.numbers:,} numbers were solved for, "
        searched += f"and the picture's {grey.numel():,} searched until they fitted."
        for picture in search(here, grey):
            yield Progress(tuple(self.layers), picture, searched=searched)

    def _undo(self, height: Height) -> Way:
        """One unit or block."""
        link = self.links[height.index - 1]
        block = block_units(link)
        if block is not None:
            return (yield from self._undo_block(height, block))
        found = last_unit(self.links[: height.index - 1])
        assert found is not None
        return (yield from self._undo_unit(height, *found))

    def _undo_unit(self, height: Height, unit: Unit, below: int) -> Way:
        slope = height.slope * unit.scale
        solution = self._solve([(unit, slope, height.active)])
        yield self._told()
        return self._below(below, solution, unit.operator.adjoint(slope * solution.active[0]))

    def _undo_block(self, height: Height, block: BlockUnits) -> Way:
        """Its second unit first: what leaves that one and the shortcut is one sum, with one slope."""
        slope = height.slope * block.second.scale
        second = self._solve([(block.second, slope, height.active)])
        yield self._told()
        settled = height.slope * second.active[0]
        inner = block.second.operator.adjoint(settled * block.second.scale) * block.first.scale
        if not second.determined or second.residual > LOST:
            return Measured([*self._modules(height.index - 1), block.to_second], second.values, second.directions)
        branches = [(block.first, inner, positive(second.values))]
        if block.shortcut is not None:
            branches.append((block.shortcut, settled * block.shortcut.scale, torch.ones_like(settled, dtype=torch.bool)))
        first = self._solve(branches)
        yield self._told()
        pulled = block.first.operator.adjoint(inner * first.active[0])
        past = settled if block.shortcut is None else block.shortcut.operator.adjoint(settled * block.shortcut.scale)
        return self._below(height.index - 1, first, pulled + past)

    def _below(self, index: int, solution: Solution, slope: Tensor) -> Height | Measured:
        """Under a solved unit: further down, or the end of the way."""
        if solution.determined and unit_under_relu(self.links[:index]) is not None:
            return Height(index, slope, positive(solution.values))
        return Measured(self._modules(index), solution.values, None if solution.determined else solution.directions)

    def _solve(self, branches: Sequence[tuple[Unit, Tensor, Tensor]]) -> Solution:
        """The input of these units, which becomes a layer of the report."""
        solution = unmix(
            [Branch(unit.operator, unit.weight_gradient(self.gradients), slope, active) for unit, slope, active in branches]
        )
        unit = branches[0][0]
        self.layers.append(
            LayerRecovery(
                name=unit.name,
                kind=describe(unit.layer),
                unknowns=solution.values.numel(),
                weight_equations=sum(each.weight_gradient(self.gradients).numel() for each, _, _ in branches),
                forward_equations=0,
                rank=len(solution.directions) * solution.values.shape[1],
                condition=solution.condition,
                residual=solution.residual,
                iterations=solution.iterations,
                joint=(),
                features=solution.values,
            )
        )
        return solution

    def _told(self) -> Progress:
        return Progress(tuple(self.layers), None)

    def _modules(self, count: int) -> list[nn.Module]:
        return [link.module for link in self.links[:count]]


def positive(values: Tensor) -> Tensor:
    """Which outputs of a ReLU are active, as far as the error tells."""
    return values > BELOW_ZERO * max(0.0, -float(values.min()))
