"""A molecule from one gradient: which neighbourhoods it has, how many of each, and how they hang together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.late import Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, Reading, unknown
from lab.attacks.labels.llg import ended
from lab.federated.inputs import each, is_same, moved
from lab.federated.observation import Observation
from lab.modalities.graphs.building import Graph, batch_of, graphs_of
from lab.modalities.graphs.comparison import mapping
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.graph.neighbourhood_types import Types
    from lab.attacks.graph.telling import Listed
    from lab.federated.graph_layers import GraphBody

SAME = 1e-3
"""A graph whose gradient is so near to the shared one, relatively, has the same: what is left is rounding."""
LEAST_DEGREE = 3


@dataclass(frozen=True)
class Rounding:
    """What is taken for rounding in numbers of one precision."""

    tolerances: tuple[float, ...]
    """Shares of a gradient's largest singular value up to which the others are rounding, the likeliest first."""
    near: tuple[float, ...]
    """What share of a neighbourhood's vector may lie outside what a layer was given; the first that serves is taken."""
    counted: float
    """What counts may leave unexplained of the pooled vector: beyond rounding, other counts would fit as well."""


SINGLE = Rounding((1e-6, 1e-7, 1e-5), (1e-3, 1e-2), 3e-5)
DOUBLE = Rounding((1e-12, 1e-10), (1e-6, 1e-4), 1e-9)


class GraphOutcome(Outcome):
    """How a graph was read."""

    GRAPH = (
        "Read off: this graph has the shared gradient. No other that was tried has it, which is no proof that there is none."
    )
    TWINS = "Read off as far as can be: another graph has the same gradient, and nobody can tell them apart."
    NO_COUNTS = "No neighbourhoods explain the gradient: it carries noise, or atoms have more bonds than were tried."
    TOO_MANY = "More neighbourhoods fit than can be weighed against each other."
    NO_GLUE = "The neighbourhoods are known, but no graph was found that has them all."
    SEVERAL = "Several graphs share one gradient, which mixes their neighbourhoods."
    NO_BODY = "This network is no graph network of the catalogue with its layers and head sent."


@dataclass(frozen=True)
class Neighbourhoods(Attack):
    """List neighbourhoods, keep those that a gradient allows, count and glue them (after GRAIN: Drencheva et al., ICLR 2025).

    Granted are the weights and the number of atoms. Nothing is guessed; of graphs with one gradient that comes first which
    hangs together, with rings of six.
    """

    modality: ClassVar[str] = "graphs"
    degree: Annotated[int, Bounds(1, 8), Help("the most bonds of an atom that are tried")] = 4

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Nothing known; once the graph is found its atoms by their neighbourhoods, then its bonds as they were glued."""
        from lab.attacks.graph.neighbourhood_types import TooManyError

        state = AttackState(0, 1, unknown(observation), float("nan"), labels=observation.labels)
        yield state
        reading = _Reading.of(observation)
        if isinstance(reading, Outcome):
            yield ended(observation, state, reading, f"{observation.batch_size} private graphs.")
            return
        outcome, note = GraphOutcome.NO_COUNTS, f"Up to {self.degree} bonds of an atom were tried."
        for degree, attempt in reading.attempts(self.degree):
            try:
                found = reading.found(degree, *attempt)
            except TooManyError:
                outcome, note = GraphOutcome.TOO_MANY, f"With {degree} bonds of an atom."
                continue
            if found is not None and found.graphs:
                yield from reading.told(state, found)
                return
            if found is not None:
                outcome, note = GraphOutcome.NO_GLUE, f"{reading.nodes} atoms."
        yield ended(observation, state, outcome, note)


@dataclass(frozen=True, eq=False)
class _Reading:
    """What was shared, in double precision on the CPU."""

    observation: Observation
    body: GraphBody
    gradients: list[Tensor]
    """Of each layer's weights."""
    pooled: Tensor
    nodes: int
    rounding: Rounding
    """Of the precision in which it was sent."""

    @classmethod
    def of(cls, observation: Observation) -> _Reading | Outcome:
        """The reading, or why there is none."""
        from lab.attacks.closed_form.mismatch import in_double
        from lab.federated.graph_layers import GraphBody

        if observation.batch_size > 1:
            return GraphOutcome.SEVERAL
        told = next(iter(observation.update.values())).dtype
        rounding = DOUBLE if told == torch.float64 else SINGLE
        seen = in_double(observation)
        body = seen.network.features
        update = seen.mean_gradient()
        if not isinstance(body, GraphBody) or isinstance(seen.input_shape, tuple):
            return GraphOutcome.NO_BODY
        wanted = [f"features.layers.{hop}.weight" for hop in range(len(body.layers))]
        if not all(name in update for name in (*wanted, "head.0.weight", "head.0.bias")):
            return GraphOutcome.NO_BODY
        weight, bias = update["head.0.weight"], update["head.0.bias"]
        pooled = bias @ weight / (bias @ bias).clamp_min(1e-300)
        gradients = [update[name] for name in wanted]
        return cls(seen, body, gradients, pooled, seen.input_shape["atoms"][0], rounding)

    def attempts(self, most: int) -> Iterator[tuple[int, tuple[float, float]]]:
        """Few bonds of an atom first, and at each the tolerances."""
        for degree in range(min(LEAST_DEGREE, most), most + 1):
            for tolerance in self.rounding.tolerances:
                for near in self.rounding.near:
                    yield degree, (tolerance, near)

    def found(self, degree: int, tolerance: float, near: float) -> _Found | None:
        """Graphs with the shared gradient, all different; none where gluing failed, None where no counts fit."""
        from lab.attacks.graph.gluing import glued

        counted = self._counted(degree, tolerance, near)
        if counted is None:
            return None
        types, listed, counts = counted
        there = Counter({number: count for number, count in enumerate(counts) if count})
        places = sorted(there.elements(), key=lambda number: types.root[number])
        roots = Counter(types.root[number] for number in places)
        centres, around = [types.centre[place] for place in places], [types.around[place] for place in places]
        kinds = [listed.kind(types.root[place]) for place in places]
        distinct: list[tuple[Graph, dict[str, Tensor]]] = []
        for bonds in glued(centres, around):
            graph = batch_of([(kinds, bonds)], self.body.kinds)
            if self._explains(graph) and not any(_one(graph, other) for _, other in distinct):
                distinct.append(((kinds, bonds), graph))
                if len(distinct) > 1:
                    break
        readings = tuple(listed.reading(root, count, self.body.kinds) for root, count in roots.items())
        return _Found([graph for graph, _ in distinct], list(roots.values()), readings)

    def _counted(self, degree: int, tolerance: float, near: float) -> tuple[Types, Listed, list[int]] | None:
        """Neighbourhoods as deep as there are layers, all of one hop that were listed, and how many there are of each."""
        from lab.attacks.graph.counting import whole_counts
        from lab.attacks.graph.neighbourhood_types import ENOUGH, TooManyError, bare, consistent, deeper, outside, rows_of
        from lab.attacks.graph.telling import Listed

        last = len(self.gradients) - 1
        types = bare(self.body, self._present(), range(degree + 1), self.pooled)
        alone, listed = types, None
        for hop, gradient in enumerate(self.gradients):
            types = deeper(self.body, hop, types)
            if hop or not last:
                off = outside(types.gathered, rows_of(gradient, tolerance))
                fits = off < near if hop else torch.ones_like(off, dtype=torch.bool)
                listed = listed or Listed(types, alone, off, fits)
                types = types.kept(fits.nonzero().flatten().tolist())
            if hop < last:
                off = self._stopped(types.values, rows_of(self.gradients[hop + 1], tolerance))
                listed = listed or Listed(types, alone, off, off < near)
                types = consistent(types.kept((off < near).nonzero().flatten().tolist()))
            if not len(types):
                return None
        if len(types) > ENOUGH:
            raise TooManyError
        pooled = self.pooled * (self.nodes if self.body.mean else 1)
        counts = whole_counts(types.values.T.numpy(), pooled.numpy(), types, self.nodes, self.rounding.counted)
        return None if counts is None or listed is None else (types, listed, counts)

    def _present(self) -> list[int]:
        """Kinds that entered the first layer at all."""
        first = self.gradients[0][:, : self.body.kinds].abs().amax(0)
        return (first > 1e-7 * first.max()).nonzero().flatten().tolist()

    def _stopped(self, values: Tensor, span: Tensor) -> Tensor:
        """What share of nodes' values did not enter the next layer, a first half of it beside their neighbours'."""
        from lab.attacks.graph.neighbourhood_types import outside

        width = values.shape[1]
        if span.shape[1] > width:
            span = torch.linalg.svd(span[:, :width], full_matrices=False)[2]
        return outside(values, span)

    def _explains(self, graph: dict[str, Tensor]) -> bool:
        from lab.attacks.closed_form.mismatch import mismatch

        return mismatch(self.observation, {name: tensor.double() for name, tensor in graph.items()}) < SAME

    def told(self, state: AttackState, found: _Found) -> Iterator[AttackState]:
        """The answer bit by bit, at the end with the other graph that has the same gradient, if there is one."""
        from lab.attacks.closed_form.mismatch import mismatch

        like = next(iter(state.candidate.values()))
        whole, *others = [moved(batch_of([graph], self.body.kinds, self.nodes), like) for graph in found.graphs]
        parts = list(found.parts())
        for step, (readings, graph) in enumerate(parts, 1):
            candidate = moved(batch_of([graph], self.body.kinds, self.nodes), like)
            off = readings[-1].off if readings else float("nan")
            state = replace(
                state, iteration=step, iterations=len(parts), candidate=candidate, objective=off, readings=readings, whole=whole
            )
            if step < len(parts):
                yield state
        off = mismatch(self.observation, each(lambda tensor: tensor.double(), state.candidate))
        state = replace(state, objective=off, other=others[0] if others else None)
        outcome = GraphOutcome.TWINS if others else GraphOutcome.GRAPH
        yield ended(self.observation, state, outcome, f"Its own gradient is {percent(off)} off.")


@dataclass(frozen=True, eq=False)
class _Found:
    """What was read: graphs of the same neighbourhoods, their nodes in one order, and their bonds as they were made."""

    graphs: list[Graph]
    counts: list[int]
    """How many nodes, one after another, each neighbourhood has."""
    readings: tuple[Reading, ...]

    def parts(self) -> Iterator[tuple[tuple[Reading, ...], Graph]]:
        """The first graph as it is told: its nodes neighbourhood by neighbourhood, then bond by bond."""
        kinds, bonds = self.graphs[0]
        for number, nodes in enumerate(accumulate(self.counts), 1):
            yield self.readings[:number], (kinds[:nodes], [])
        for number in range(1, len(bonds) + 1):
            yield self.readings, (kinds, bonds[:number])


def _one(graph: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return is_same(graph, other) or mapping(graphs_of(graph)[0], graphs_of(other)[0]) is not None
