"""A molecule from one gradient: which neighbourhoods it has, how many of each, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.late import Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, unknown
from lab.attacks.labels.llg import ended
from lab.federated.inputs import is_same, moved
from lab.federated.observation import Observation
from lab.modalities.graphs.building import batch_of, graphs_of
from lab.modalities.graphs.comparison import mapping
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.graph.neighbourhood_types import Types
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
        """Nothing known, then the graph; before it, where there is one, the other graph with the same gradient."""
        from lab.attacks.graph.neighbourhood_types import TooManyError

        state = AttackState(0, 2, unknown(observation), float("nan"), labels=observation.labels)
        yield state
        reading = _Reading.of(observation)
        if isinstance(reading, Outcome):
            yield ended(observation, state, reading, f"{observation.batch_size} private graphs.")
            return
        outcome, note = GraphOutcome.NO_COUNTS, f"Up to {self.degree} bonds of an atom were tried."
        for degree, attempt in reading.attempts(self.degree):
            try:
                graphs = reading.graphs(degree, *attempt)
            except TooManyError:
                outcome, note = GraphOutcome.TOO_MANY, f"With {degree} bonds of an atom."
                continue
            if graphs:
                yield from reading.told(state, graphs)
                return
            if graphs is not None:
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

    def graphs(self, degree: int, tolerance: float, near: float) -> list[dict[str, Tensor]] | None:
        """Graphs with the shared gradient, all different; none where gluing failed, None where no counts fit."""
        from lab.attacks.graph.gluing import glued

        found = self._counted(degree, tolerance, near)
        if found is None:
            return None
        types, labels, counts = found
        places = [number for number, count in enumerate(counts) for _ in range(count)]
        centres, around = [types.centre[place] for place in places], [types.around[place] for place in places]
        kinds = [labels[centre] for centre in centres]
        alphabet = self.body.kinds
        distinct: list[dict[str, Tensor]] = []
        for bonds in glued(centres, around):
            graph = batch_of([(kinds, bonds)], alphabet)
            if self._explains(graph) and not any(_one(graph, other) for other in distinct):
                distinct.append(graph)
                if len(distinct) > 1:
                    break
        return distinct

    def _counted(self, degree: int, tolerance: float, near: float) -> tuple[Types, list[int], list[int]] | None:
        """Neighbourhoods as deep as there are layers, the kinds of their centres, and how many there are of each."""
        from lab.attacks.graph.counting import whole_counts
        from lab.attacks.graph.neighbourhood_types import ENOUGH, TooManyError, bare, consistent, deeper, outside, rows_of

        last = len(self.gradients) - 1
        types = bare(self.body, self._present(), range(degree + 1), self.pooled)
        labels = list(types.centre)
        for hop, gradient in enumerate(self.gradients):
            centres = labels
            types = deeper(self.body, hop, types)
            if hop:
                fits = outside(types.gathered, rows_of(gradient, tolerance)) < near
                types = types.kept(fits.nonzero().flatten().tolist())
            if hop < last:
                fits = self._passes_on(types.values, rows_of(self.gradients[hop + 1], tolerance), near)
                types = consistent(types.kept(fits.nonzero().flatten().tolist()))
                labels = [centres[centre] for centre in types.centre]
            if not len(types):
                return None
        if len(types) > ENOUGH:
            raise TooManyError
        pooled = self.pooled * (self.nodes if self.body.mean else 1)
        counts = whole_counts(types.values.T.numpy(), pooled.numpy(), types, self.nodes, self.rounding.counted)
        return None if counts is None else (types, labels, counts)

    def _present(self) -> list[int]:
        """Kinds that entered the first layer at all."""
        first = self.gradients[0][:, : self.body.kinds].abs().amax(0)
        return (first > 1e-7 * first.max()).nonzero().flatten().tolist()

    def _passes_on(self, values: Tensor, span: Tensor, near: float) -> Tensor:
        """Which nodes' values entered the next layer; where a node stands beside its neighbours, as their first half."""
        from lab.attacks.graph.neighbourhood_types import outside

        width = values.shape[1]
        if span.shape[1] > width:
            span = torch.linalg.svd(span[:, :width], full_matrices=False)[2]
        return outside(values, span) < near

    def _explains(self, graph: dict[str, Tensor]) -> bool:
        from lab.attacks.closed_form.mismatch import mismatch

        return mismatch(self.observation, {name: tensor.double() for name, tensor in graph.items()}) < SAME

    def told(self, state: AttackState, graphs: list[dict[str, Tensor]]) -> Iterator[AttackState]:
        """The other graph, if there is one, then the one that is answered."""
        from lab.attacks.closed_form.mismatch import mismatch

        off = mismatch(self.observation, {name: tensor.double() for name, tensor in graphs[0].items()})
        note = f"Its own gradient is {percent(off)} off."
        shown = [
            replace(state, iteration=2 - place, objective=off, candidate=moved(g, next(iter(state.candidate.values()))))
            for place, g in enumerate(graphs)
        ]
        if len(shown) > 1:
            yield shown[1]
            note += " The other graph is the step before."
        outcome = GraphOutcome.TWINS if len(shown) > 1 else GraphOutcome.GRAPH
        yield ended(self.observation, shown[0], outcome, note)


def _one(graph: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return is_same(graph, other) or mapping(graphs_of(graph)[0], graphs_of(other)[0]) is not None
