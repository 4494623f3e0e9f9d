"""Neighbourhoods as deep as a network sees, of which every layer's gradient allows every hop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.graph.bounds import MAX_TYPES_IN_ALL
from lab.attacks.graph.budget import Budget
from lab.attacks.graph.neighbourhood_types import Types, consistent, next_hop_types, zero_hop_types
from lab.attacks.graph.one_hop_neighbourhoods import OneHopNeighbourhoods
from lab.attacks.graph.span_membership import inside_with_one_more, lies_inside
from lab.federated.graph_layers import GraphBody

PRESENT_SHARE = 1e-7
"""What share of the fullest kind's gradient one has at least that occurs."""


@dataclass(frozen=True, eq=False)
class NeighbourhoodSearch:
    """What a graph network's layers were given, layer by layer."""

    body: GraphBody
    gradients: list[Tensor]
    """Of each layer's weights, in double precision."""
    entered: list[RowSpan]
    """What each layer was given: a node with its neighbours."""
    passed: list[RowSpan]
    """The same of nodes alone, as far as it tells of them."""

    budget: Budget

    @classmethod
    def of(cls, body: GraphBody, gradients: list[Tensor], nodes: int, precision: float) -> NeighbourhoodSearch:
        """``precision``: the last digit of the numbers that were sent."""
        entered = [RowSpan.at_precision(gradient, nodes, precision) for gradient in gradients]
        widths = [gradient.shape[1] // body.aggregation.parts for gradient in gradients]
        alone = [RowSpan.at_precision(g[:, :width], nodes, precision) for g, width in zip(gradients, widths, strict=True)]
        return cls(body, gradients, entered, alone, Budget(MAX_TYPES_IN_ALL))

    def types(self, degree: int, near: float, *, lost: bool) -> Iterator[tuple[Types, OneHopNeighbourhoods]]:
        """Types of the deepest hop, and all of one hop that were looked at; several where something is ``lost``.

        ``near``: how many times what noise explains a type may miss. ``lost``: of what nodes passed on one direction did not
        enter the next layer. Raises ``TooManyError``.
        """
        alone = zero_hop_types(self.body, self.present(), range(degree + 1), self.gradients[0])
        seen: list[tuple[list[int], list[tuple[int, ...]], list[float]]] = []

        def fits(types: Types) -> Tensor:
            span, vectors = (self.passed[1], types.values) if len(self.gradients) > 1 else (self.entered[0], types.gathered)
            seen.append((types.centre, types.around, span.relative_residual(vectors).tolist()))
            return self._fits(0, types, near, lost=lost)

        found = next_hop_types(self.body, 0, alone, fits, self.budget)
        for kept in self._kept(0, found, near, lost=lost):
            listed = OneHopNeighbourhoods(
                [centre for centres, _, _ in seen for centre in centres],
                [around for _, arounds, _ in seen for around in arounds],
                alone,
                [share for _, _, off in seen for share in off],
                frozenset(kept.root),
            )
            for types in self._from(1, consistent(kept) if len(self.gradients) > 1 else kept, near, lost=lost):
                yield types, listed

    def _from(self, hop: int, types: Types, near: float, *, lost: bool) -> Iterator[Types]:
        """From those that are left after so many hops."""
        if hop == len(self.gradients) or not len(types):
            yield types
            return
        found = next_hop_types(self.body, hop, types, lambda listed: self._fits(hop, listed, near, lost=lost), self.budget)
        last = hop == len(self.gradients) - 1
        for kept in (found,) if last else map(consistent, self._kept(hop, found, near, lost=lost)):
            yield from self._from(hop + 1, kept, near, lost=lost)

    def _fits(self, hop: int, types: Types, near: float, *, lost: bool) -> Tensor:
        held = lies_inside(self.entered[hop], types.gathered, near)
        last = hop == len(self.gradients) - 1
        return held if last or lost else held & lies_inside(self.passed[hop + 1], types.values, near)

    def _kept(self, hop: int, found: Types, near: float, *, lost: bool) -> Iterator[Types]:
        """Of those that fit, those that passed on what entered the next layer, in each way in which a direction got lost."""
        if not lost or hop == len(self.gradients) - 1:
            yield found
            return
        for which in inside_with_one_more(self.passed[hop + 1], found.values, near):
            yield found.kept(which)

    def present(self) -> list[int]:
        """Kinds that entered the first layer at all."""
        first = self.gradients[0][:, : self.body.kinds].abs().amax(0)
        return (first > PRESENT_SHARE * first.max()).nonzero().flatten().tolist()
