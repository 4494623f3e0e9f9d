"""A molecule from one gradient: which neighbourhoods it has, how many of each, and how they hang together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, Reading, ended, unknown
from lab.federated.inputs import each, is_same, moved
from lab.federated.observation import Observation
from lab.modalities.graphs.building import Graph, batch_of, graphs_of
from lab.modalities.graphs.comparison import mapping
from lab.options.fields import Bounds, Help
from lab.options.words import percent

if TYPE_CHECKING:
    from lab.attacks.graph.counting import ObservedSums
    from lab.attacks.graph.listing import Listing
    from lab.attacks.graph.neighbourhood_types import Allowance, Types
    from lab.attacks.graph.telling import Listed

LEAST_DEGREE = 3
Attempt = tuple[float, bool]
"""How many times what noise explains a neighbourhood may miss, and whether a direction may have been lost."""
LIKELY: tuple[Attempt, ...] = ((3.0, False), (3.0, True))
BLURRED: tuple[Attempt, ...] = ((30.0, False), (30.0, True), (300.0, False), (3_000.0, False))
"""Smooth layers blur what came back, and then more is lost."""
ENOUGH = 4_000
"""Neighbourhoods, each of which is weighed against all others."""
UNEXPLAINED, NOISY = 300.0, 3.0
"""Times the last digit that was sent, and times the noise that its layers show, that a graph may leave unexplained of it.

Where noise is longer than ``EXACT_MISMATCH`` more would pass than what was sent.
"""


class GraphOutcome(Outcome):
    """How a graph was read."""

    GRAPH = (
        "Read off: this graph has the shared gradient. No other that was tried has it, which is no proof that there is none."
    )
    TWINS = "Read off as far as can be: another graph has the same gradient, and nobody can tell them apart."
    NO_COUNTS = "No neighbourhoods explain the gradient: it carries noise, or atoms have more bonds than were tried."
    TOO_MANY = "More neighbourhoods fit, or more numbers of them, than can be tried."
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
    degree: Annotated[int, Bounds(1, 8), Help("the most bonds of an atom that are tried")] = 8

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Nothing known; once the graph is found its atoms by their neighbourhoods, then its bonds as they were glued."""
        state = AttackState(0, 1, unknown(observation), float("nan"), labels=observation.labels)
        yield state
        reading = _Reading.of(observation)
        if isinstance(reading, Outcome):
            yield ended(observation, state, reading, f"{observation.batch_size} private graphs.")
            return
        found = reading.found(self.degree)
        if isinstance(found, Outcome):
            note = f"{reading.told.nodes} atoms, of at most {self.degree} bonds each."
            yield ended(observation, state, found, note)
        else:
            yield from reading.bit_by_bit(state, found)


@dataclass(frozen=True, eq=False)
class _Reading:
    """What was shared, in double precision on the CPU."""

    observation: Observation
    listing: Listing
    told: ObservedSums
    unexplained: float
    """What a graph may leave of what was shared, as a share."""
    weighed: Allowance
    programmes: Allowance
    glued: Allowance

    @classmethod
    def of(cls, observation: Observation) -> _Reading | Outcome:
        """The reading, or why there is none."""
        from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, in_double
        from lab.attacks.graph.bounds import MOST_GLUED, MOST_PROGRAMMES, MOST_WEIGHED
        from lab.attacks.graph.counting import ObservedSums
        from lab.attacks.graph.listing import Listing
        from lab.attacks.graph.neighbourhood_types import Allowance
        from lab.federated.graph_layers import GraphBody

        if observation.batch_size > 1:
            return GraphOutcome.SEVERAL
        precision = torch.finfo(next(iter(observation.update.values())).dtype).eps
        seen = in_double(observation)
        body, update = seen.network.features, seen.mean_gradient()
        if not isinstance(body, GraphBody) or isinstance(seen.input_shape, tuple):
            return GraphOutcome.NO_BODY
        layers = [f"features.layers.{hop}" for hop in range(len(body.layers))]
        if not all(name in update for name in (*(f"{layer}.weight" for layer in layers), "head.0.weight", "head.0.bias")):
            return GraphOutcome.NO_BODY
        weight, bias = update["head.0.weight"], update["head.0.bias"]
        pooled = bias @ weight / (bias @ bias).clamp_min(1e-300)
        back = bias @ seen.network.get_parameter("head.0.weight").detach()
        nodes = seen.input_shape["atoms"][0]
        gradients = [update[f"{layer}.weight"] for layer in layers]
        listing = Listing.of(body, gradients, nodes, precision)
        told = ObservedSums(body, pooled, back, gradients[-1], update.get(f"{layers[-1]}.bias"), listing.entered[-1], nodes)
        unexplained = max(UNEXPLAINED * precision, NOISY * listing.entered[-1].noise_share)
        allowed = (Allowance(most) for most in (MOST_WEIGHED, MOST_PROGRAMMES, MOST_GLUED))
        return cls(seen, listing, told, min(unexplained, EXACT_MISMATCH), *allowed)

    def found(self, most: int) -> _Found | GraphOutcome:
        """One graph or two with the shared gradient, or why there is none: the likeliest way first, and all graphs if few."""
        outcome = GraphOutcome.NO_COUNTS
        for attempt in (*LIKELY, None, *BLURRED):
            found = self._small() if attempt is None else self._read(most, *attempt)
            if isinstance(found, _Found):
                return found
            outcome = found if outcome is GraphOutcome.NO_COUNTS else outcome
        return outcome

    def _read(self, most: int, near: float, lost: bool) -> _Found | GraphOutcome:
        """Few bonds of an atom first."""
        from lab.attacks.graph.neighbourhood_types import TooManyError

        outcome = GraphOutcome.NO_COUNTS
        try:
            for degree in range(min(LEAST_DEGREE, most), most + 1):
                for types, listed in self.listing.types(degree, near, lost=lost):
                    for counts in self._counts(types):
                        outcome = GraphOutcome.NO_GLUE
                        found = self._glued(types, listed, counts)
                        if found is not None:
                            return found
        except TooManyError:
            return GraphOutcome.TOO_MANY
        return outcome

    def _counts(self, types: Types) -> Iterator[list[int]]:
        from lab.attacks.graph.counting import whole_counts
        from lab.attacks.graph.neighbourhood_types import TooManyError

        if len(types) > ENOUGH:
            raise TooManyError
        self.weighed.spend(len(types))
        if len(types):
            equations = self.told.equations(types)
            yield from whole_counts(*equations, types, self.told.nodes, self.unexplained, self.programmes)

    def _glued(self, types: Types, listed: Listed, counts: list[int]) -> _Found | None:
        """Graphs with so many neighbourhoods of each type. Raises ``TooManyError``."""
        from lab.attacks.graph.gluing import can_be_glued, glued

        there = Counter({number: count for number, count in enumerate(counts) if count})
        places = sorted(there.elements(), key=lambda number: types.root[number])
        roots = Counter(types.root[number] for number in places)
        centres, around = [types.centre[place] for place in places], [types.around[place] for place in places]
        if not can_be_glued(centres, around):
            return None
        self.glued.spend(1)
        kinds = [listed.kind(types.root[place]) for place in places]
        graphs = self._distinct((kinds, bonds) for bonds in glued(centres, around))
        readings = tuple(listed.reading(root, count, self.told.body.kinds) for root, count in roots.items())
        return _Found(graphs, list(roots.values()), readings) if graphs else None

    def _small(self) -> _Found | GraphOutcome:
        """Of all graphs, where there are few."""
        from lab.attacks.graph.small_graphs import small_graphs

        told = self.told
        graphs = self._distinct(small_graphs(told.body, self.listing.present(), told.nodes, told.pooled, self.unexplained))
        return _Found(graphs, [told.nodes], ()) if graphs else GraphOutcome.NO_COUNTS

    def _distinct(self, graphs: Iterable[Graph]) -> list[Graph]:
        """The first two that have the shared gradient and are not one."""
        found: list[tuple[Graph, dict[str, Tensor]]] = []
        for graph in graphs:
            batch = batch_of([graph], self.told.body.kinds)
            if self._explains(batch) and not any(_one(batch, other) for _, other in found):
                found.append((graph, batch))
                if len(found) > 1:
                    break
        return [graph for graph, _ in found]

    def _explains(self, graph: dict[str, Tensor]) -> bool:
        from lab.attacks.closed_form.mismatch import mismatch

        return mismatch(self.observation, {name: tensor.double() for name, tensor in graph.items()}) < self.unexplained

    def bit_by_bit(self, state: AttackState, found: _Found) -> Iterator[AttackState]:
        """The answer bit by bit, at the end with the other graph that has the same gradient, if there is one."""
        from lab.attacks.closed_form.mismatch import mismatch

        like = next(iter(state.candidate.values()))
        whole, *others = [moved(batch_of([graph], self.told.body.kinds, self.told.nodes), like) for graph in found.graphs]
        parts = list(found.parts())
        for step, (readings, graph) in enumerate(parts, 1):
            candidate = moved(batch_of([graph], self.told.body.kinds, self.told.nodes), like)
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
