"""A molecule from one gradient: which neighbourhoods it has, how many of each, and how they hang together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, RecoveredPart, final_state, uninformed
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.graph.outcomes import GraphOutcome
from lab.federated.inputs import is_equal, moved_to, tree_map
from lab.federated.observation import Observation
from lab.modalities.graphs.building import Graph, batch_of, graphs_of
from lab.modalities.graphs.comparison import mapping
from lab.options.fields import Bounds, Help
from lab.options.words import counted, percent

if TYPE_CHECKING:
    from lab.attacks.graph.budget import Budget
    from lab.attacks.graph.neighbourhood_search import NeighbourhoodSearch
    from lab.attacks.graph.neighbourhood_types import Types
    from lab.attacks.graph.observed_sums import ObservedSums
    from lab.attacks.graph.one_hop_neighbourhoods import OneHopNeighbourhoods

MIN_DEGREE = 3
Attempt = tuple[float, bool]
"""How many times what noise explains a neighbourhood may miss, and whether a direction may have been lost."""
STRICT_ATTEMPTS: tuple[Attempt, ...] = ((3.0, False), (3.0, True))
LOOSE_ATTEMPTS: tuple[Attempt, ...] = ((30.0, False), (30.0, True), (300.0, False), (3_000.0, False))
"""Smooth layers blur what came back, and then more is lost."""
MAX_TYPES = 4_000
"""Neighbourhoods, each of which is counted against all others."""
PRECISION_FACTOR, NOISE_FACTOR = 300.0, 3.0
"""Times the last digit that was sent, and times the noise that its layers show, that a graph may leave unexplained of it.

Where noise is longer than ``EXACT_MISMATCH`` more would pass than what was sent.
"""


@dataclass(frozen=True)
class Neighbourhoods(Attack):
    """List neighbourhoods, keep those that a gradient allows, count and assemble them (GRAIN: Drencheva et al., ICLR 2025).

    Granted are the weights and the number of atoms. Nothing is guessed; of graphs with one gradient that comes first which
    hangs together, with rings of six.
    """

    modality: ClassVar[str] = "graphs"
    degree: Annotated[int, Bounds(1, 8), Help("the most bonds of an atom that are tried")] = 8

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Nothing known; once the graph is found its atoms by their neighbourhoods, then its bonds as they were assembled."""
        state = AttackState(0, 1, uninformed(observation), float("nan"), labels=observation.labels)
        yield state
        reconstruction = _Reconstruction.of(observation)
        if isinstance(reconstruction, Outcome):
            yield final_state(observation, state, reconstruction, f"{counted(observation.batch_size, 'private graph')}.")
            return
        found = reconstruction.found(self.degree)
        if isinstance(found, Outcome):
            note = f"{counted(reconstruction.told.nodes, 'atom')}, of at most {counted(self.degree, 'bond')} each."
            yield final_state(observation, state, found, note)
        else:
            yield from reconstruction.states(state, found)


@dataclass(frozen=True, eq=False)
class _Reconstruction:
    """What was shared, in double precision on the CPU."""

    observation: Observation
    listing: NeighbourhoodSearch
    told: ObservedSums
    unexplained: float
    """What a graph may leave of what was shared, as a share."""
    counted: Budget
    integer_programmes: Budget
    assembled: Budget

    @classmethod
    def of(cls, observation: Observation) -> _Reconstruction | Outcome:
        """Ready to begin, or why there is none."""
        from lab.attacks.closed_form.mismatch import EXACT_MISMATCH
        from lab.attacks.graph.bounds import MAX_ASSEMBLED, MAX_COUNTED_TYPES, MAX_INTEGER_PROGRAMMES
        from lab.attacks.graph.budget import Budget
        from lab.attacks.graph.graph_observation import GraphObservation
        from lab.attacks.graph.neighbourhood_search import NeighbourhoodSearch
        from lab.attacks.graph.observed_sums import ObservedSums

        seen = GraphObservation.of(observation)
        if isinstance(seen, Outcome):
            return seen
        body, update, nodes = seen.body, seen.update, seen.nodes
        if body.attributes:
            return GraphOutcome.ATTRIBUTES
        layers = [f"features.layers.{hop}" for hop in range(len(body.layers))]
        if not all(name in update for name in (*(f"{layer}.weight" for layer in layers), "head.0.weight", "head.0.bias")):
            return GraphOutcome.NO_BODY
        if not all(bool(update[f"{layer}.weight"].any()) for layer in layers):
            return ClosedFormOutcome.DEAD_UNITS
        weight, bias = update["head.0.weight"], update["head.0.bias"]
        pooled = bias @ weight / (bias @ bias).clamp_min(1e-300)
        back = bias @ seen.observation.network.get_parameter("head.0.weight").detach()
        gradients = [update[f"{layer}.weight"] for layer in layers]
        listing = NeighbourhoodSearch.of(body, gradients, nodes, seen.precision)
        told = ObservedSums(body, pooled, back, gradients[-1], update.get(f"{layers[-1]}.bias"), listing.entered[-1], nodes)
        unexplained = max(PRECISION_FACTOR * seen.precision, NOISE_FACTOR * listing.entered[-1].noise_share)
        allowed = (Budget(most) for most in (MAX_COUNTED_TYPES, MAX_INTEGER_PROGRAMMES, MAX_ASSEMBLED))
        return cls(seen.observation, listing, told, min(unexplained, EXACT_MISMATCH), *allowed)

    def found(self, most: int) -> _RecoveredGraphs | GraphOutcome:
        """One graph or two with the shared gradient, or why there is none: the likeliest way first, and all graphs if few."""
        outcome = GraphOutcome.NO_COUNTS
        for attempt in (*STRICT_ATTEMPTS, None, *LOOSE_ATTEMPTS):
            found = self._small() if attempt is None else self._read(most, *attempt)
            if isinstance(found, _RecoveredGraphs):
                return found
            outcome = found if outcome is GraphOutcome.NO_COUNTS else outcome
        return outcome

    def _read(self, most: int, near: float, lost: bool) -> _RecoveredGraphs | GraphOutcome:
        """Few bonds of an atom first."""
        from lab.attacks.graph.budget import TooManyError

        outcome = GraphOutcome.NO_COUNTS
        try:
            for degree in range(min(MIN_DEGREE, most), most + 1):
                for types, listed in self.listing.types(degree, near, lost=lost):
                    for counts in self._counts(types):
                        outcome = GraphOutcome.NO_GLUE
                        found = self._assembled(types, listed, counts)
                        if found is not None:
                            return found
        except TooManyError:
            return GraphOutcome.TOO_MANY
        return outcome

    def _counts(self, types: Types) -> Iterator[list[int]]:
        from lab.attacks.graph.budget import TooManyError
        from lab.attacks.graph.integer_counts import integer_counts

        if len(types) > MAX_TYPES:
            raise TooManyError
        self.counted.spend(len(types))
        if len(types):
            equations = self.told.equations(types)
            yield from integer_counts(*equations, types, self.told.nodes, self.unexplained, self.integer_programmes)

    def _assembled(self, types: Types, listed: OneHopNeighbourhoods, counts: list[int]) -> _RecoveredGraphs | None:
        """Graphs with so many neighbourhoods of each type. Raises ``TooManyError``."""
        from lab.attacks.graph.assembly import assemble, is_realisable

        there = Counter({number: count for number, count in enumerate(counts) if count})
        places = sorted(there.elements(), key=lambda number: types.root[number])
        roots = Counter(types.root[number] for number in places)
        centres, around = [types.centre[place] for place in places], [types.around[place] for place in places]
        if not is_realisable(centres, around):
            return None
        self.assembled.spend(1)
        kinds = [listed.kind(types.root[place]) for place in places]
        graphs = self._distinct((kinds, bonds) for bonds in assemble(centres, around))
        parts = tuple(listed.recovered_part(root, count, self.told.body.kinds) for root, count in roots.items())
        return _RecoveredGraphs(graphs, list(roots.values()), parts) if graphs else None

    def _small(self) -> _RecoveredGraphs | GraphOutcome:
        """Of all graphs, where there are few."""
        from lab.attacks.graph.small_graphs import small_graphs

        told = self.told
        graphs = self._distinct(small_graphs(told.body, self.listing.present(), told.nodes, told.pooled, self.unexplained))
        return _RecoveredGraphs(graphs, [told.nodes], ()) if graphs else GraphOutcome.NO_COUNTS

    def _distinct(self, graphs: Iterable[Graph]) -> list[Graph]:
        """The first two that have the shared gradient and are not one."""
        found: list[tuple[Graph, dict[str, Tensor]]] = []
        for graph in graphs:
            batch = batch_of([graph], self.told.body.kinds)
            if self._explains(batch) and not any(_are_one(batch, other) for _, other in found):
                found.append((graph, batch))
                if len(found) > 1:
                    break
        return [graph for graph, _ in found]

    def _explains(self, graph: dict[str, Tensor]) -> bool:
        from lab.attacks.closed_form.mismatch import mismatch

        return mismatch(self.observation, {name: tensor.double() for name, tensor in graph.items()}) < self.unexplained

    def states(self, state: AttackState, found: _RecoveredGraphs) -> Iterator[AttackState]:
        """The answer bit by bit, at the end with the other graph that has the same gradient, if there is one."""
        from lab.attacks.closed_form.mismatch import mismatch

        like = next(iter(state.candidate.values()))
        whole, *others = [moved_to(batch_of([graph], self.told.body.kinds, self.told.nodes), like) for graph in found.graphs]
        steps = list(found.steps())
        for step, (parts, graph) in enumerate(steps, 1):
            candidate = moved_to(batch_of([graph], self.told.body.kinds, self.told.nodes), like)
            off = parts[-1].distance if parts else float("nan")
            state = replace(
                state,
                iteration=step,
                iterations=len(steps),
                candidate=candidate,
                objective=off,
                recovered_parts=parts,
                whole=whole,
            )
            if step < len(steps):
                yield state
        off = mismatch(self.observation, tree_map(lambda tensor: tensor.double(), state.candidate))
        state = replace(state, objective=off, other=others[0] if others else None)
        outcome = GraphOutcome.TWINS if others else GraphOutcome.GRAPH
        yield final_state(self.observation, state, outcome, f"Its own gradient is {percent(off)} off.")


@dataclass(frozen=True, eq=False)
class _RecoveredGraphs:
    """What was read: graphs of the same neighbourhoods, their nodes in one order, and their bonds as they were made."""

    graphs: list[Graph]
    counts: list[int]
    """How many nodes, one after another, each neighbourhood has."""
    parts: tuple[RecoveredPart, ...]

    def steps(self) -> Iterator[tuple[tuple[RecoveredPart, ...], Graph]]:
        """The first graph as it is told: its nodes neighbourhood by neighbourhood, then bond by bond."""
        kinds, bonds = self.graphs[0]
        for number, nodes in enumerate(accumulate(self.counts), 1):
            yield self.parts[:number], (kinds[:nodes], [])
        for number in range(1, len(bonds) + 1):
            yield self.parts, (kinds, bonds[:number])


def _are_one(graph: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return is_equal(graph, other) or mapping(graphs_of(graph)[0], graphs_of(other)[0]) is not None
