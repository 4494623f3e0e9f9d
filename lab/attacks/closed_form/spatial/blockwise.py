"""Down from the topmost one, convolution by convolution, block by block, as long as the weight gradients tell the whole input.

Where a convolution has fewer equations than pixels, or a max-pooling follows, the way ends: what is known there is far more
than the picture has numbers, and the picture is searched that shows it (``feature_inversion``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lab.attacks.closed_form.chain import Link, describe
from lab.attacks.closed_form.layer_output import Progress
from lab.attacks.closed_form.report import LayerRecovery
from lab.attacks.closed_form.shapes import FeatureMaps, UnitMask
from lab.attacks.closed_form.spatial.conv_bn import BlockConvolutions, ConvBN, block_convolutions, last_conv_bn
from lab.attacks.closed_form.spatial.feature_inversion import Box, KnownFeatures, invert_features
from lab.attacks.closed_form.spatial.robust_least_squares import Branch, Solution, robust_least_squares
from lab.attacks.closed_form.spatial.topmost_convolution import TopmostConvolution, conv_bn_under_relu
from lab.federated.tensors import Gradients

MAX_LAYER_RESIDUAL = 1e-2
"""Relative residual of a layer above which the places it was solved for cannot be right."""
BELOW_ZERO = 3.0
"""A ReLU's output counts as active above so many times the most negative one, which the error alone made."""


@dataclass(frozen=True, eq=False)
class ActiveOutput:
    """What is known of the output of a ReLU, or of a block that ends in one."""

    index: int
    """So many links lie below."""
    output_gradient: FeatureMaps
    """dL/d(output)."""
    active: UnitMask
    """Which units passed their value on; boolean."""


BlockStep = Generator[Progress, None, ActiveOutput | KnownFeatures]
"""A step down: progress on the way, then where it led."""


class BlockwiseInversion:
    """One way down. ``gradients`` by parameter name, in double precision."""

    def __init__(self, links: Sequence[Link], gradients: Gradients, top: TopmostConvolution) -> None:
        self.links, self.gradients, self.top = links, gradients, top
        self.layers: list[LayerRecovery] = []

    def run(self, box: Box) -> Iterator[Progress]:
        """Yield after each layer, then along the search for the picture, of all there are."""
        here: ActiveOutput | KnownFeatures = ActiveOutput(self.top.index, self.top.output_gradient, self.top.active())
        while isinstance(here, ActiveOutput):
            here = yield from self._invert(here)
            if self.layers[-1].residual > MAX_LAYER_RESIDUAL:
                yield Progress(tuple(self.layers), None, note=f"The places found for {self.layers[-1].name} do not fit.")
                return
        note = f"Of what entered {self.layers[-1].name}, {here.numbers:,} numbers were solved for, "
        note += f"and the picture's {box.grey.numel():,} searched until they fitted."
        for picture in invert_features(here, box):
            yield Progress(tuple(self.layers), picture, note=note)

    def _invert(self, above: ActiveOutput) -> BlockStep:
        """One convolution or block."""
        link = self.links[above.index - 1]
        block = block_convolutions(link)
        if block is not None:
            return (yield from self._invert_block(above, block))
        found = last_conv_bn(self.links[: above.index - 1])
        assert found is not None
        return (yield from self._invert_conv_bn(above, *found))

    def _invert_conv_bn(self, above: ActiveOutput, conv_bn: ConvBN, below: int) -> BlockStep:
        output_gradient = above.output_gradient * conv_bn.scale
        solution = self._solve([(conv_bn, output_gradient, above.active)])
        yield self._progress()
        return self._below(below, solution, conv_bn.operator.adjoint(output_gradient * solution.active[0]))

    def _invert_block(self, above: ActiveOutput, block: BlockConvolutions) -> BlockStep:
        """Its second convolution first: what leaves that one and the shortcut is one sum, with one gradient."""
        output_gradient = above.output_gradient * block.second.scale
        second = self._solve([(block.second, output_gradient, above.active)])
        yield self._progress()
        sum_gradient = above.output_gradient * second.active[0]
        inner_gradient = block.second.operator.adjoint(sum_gradient * block.second.scale) * block.first.scale
        if not second.determined or second.residual > MAX_LAYER_RESIDUAL:
            return KnownFeatures([*self._modules(above.index - 1), block.to_second], second.values, second.directions)
        branches = [(block.first, inner_gradient, active_units(second.values))]
        if block.shortcut is not None:
            branches.append(
                (block.shortcut, sum_gradient * block.shortcut.scale, torch.ones_like(sum_gradient, dtype=torch.bool))
            )
        first = self._solve(branches)
        yield self._progress()
        through = block.first.operator.adjoint(inner_gradient * first.active[0])
        past = sum_gradient if block.shortcut is None else block.shortcut.operator.adjoint(sum_gradient * block.shortcut.scale)
        return self._below(above.index - 1, first, through + past)

    def _below(self, index: int, solution: Solution, output_gradient: Tensor) -> ActiveOutput | KnownFeatures:
        """Under a solved convolution: further down, or the end of the way."""
        if solution.determined and conv_bn_under_relu(self.links[:index]) is not None:
            return ActiveOutput(index, output_gradient, active_units(solution.values))
        return KnownFeatures(self._modules(index), solution.values, None if solution.determined else solution.directions)

    def _solve(self, branches: Sequence[tuple[ConvBN, Tensor, Tensor]]) -> Solution:
        """The input of these convolutions, which becomes a layer of the report."""
        solution = robust_least_squares(
            [
                Branch(conv_bn.operator, conv_bn.weight_gradient(self.gradients), output_gradient, active)
                for conv_bn, output_gradient, active in branches
            ]
        )
        conv_bn = branches[0][0]
        self.layers.append(
            LayerRecovery(
                name=conv_bn.name,
                kind=describe(conv_bn.layer),
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

    def _progress(self) -> Progress:
        return Progress(tuple(self.layers), None)

    def _modules(self, count: int) -> list[nn.Module]:
        return [link.module for link in self.links[:count]]


def active_units(values: FeatureMaps) -> UnitMask:
    """Which outputs of a ReLU are active, as far as the error tells."""
    return values > BELOW_ZERO * max(0.0, -float(values.min()))
