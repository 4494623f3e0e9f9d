"""Real-valued features of a graph's nodes from one gradient: what no list holds is sought in the span, by descent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from lab.lazy import Tensor, torch

from lab.attacks.base import Attack, AttackState, Outcome, final_state, uninformed
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.graph.outcomes import GraphOutcome
from lab.federated.inputs import as_mapping, moved_to, tree_map
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.options.words import counted, percent

if TYPE_CHECKING:
    from lab.attacks.graph.continuous_span import ContinuousSpan
    from lab.federated.graph_layers import GraphBody


class FeatureOutcome(Outcome):
    """How the features of nodes were read."""

    READ = "Read off: features of every node, and bonds, that have the shared gradient."
    PARTLY = (
        "Features of nodes were read off, each by itself; not all, or not all bonds. Nodes that were not found are given the "
        "mean of the others."
    )
    MIXED = (
        "What each node's surroundings come to was read off. This network mixes a node with its neighbours before anything is "
        "sent, and which are whose neighbours is not told: the answer is the mean around each node."
    )
    NOTHING = "No features fit: it carries noise, or the nodes fill the whole width, or the structure loses their directions."
    ONE_LAYER = "A network of one layer sends no gradient in whose span a node's features could be sought; take two layers."


@dataclass(frozen=True)
class FeatureSpan(Attack):
    """Seek features of nodes whose first layer's output lies in the span of the second layer's gradient.

    GRAIN's check (Drencheva et al., ICLR 2025) without a list: nodes have numbers, not kinds alone, and each is a zero of as
    many equations as the layer is wide. GraphSAGE enters a node beside its neighbours' mean, so features are read as they are
    and bonds follow by least squares; of a GCN only the mixture around each node enters.
    """

    modality: ClassVar[str] = "graphs"

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Nothing known, then all that was found."""
        state = AttackState(0, 1, uninformed(observation), float("nan"), labels=observation.labels)
        yield state
        reading = _Reading.of(observation)
        if isinstance(reading, Outcome):
            yield final_state(observation, state, reading, f"{counted(observation.batch_size, 'private graph')}.")
            return
        yield reading.answered(replace(state, iteration=1), generator)


@dataclass(frozen=True, eq=False)
class _Reading:
    """What was shared of the first two layers, in double precision on the CPU."""

    observation: Observation
    body: GraphBody
    gradient: Tensor
    """Of the second layer's weights, shape (width, entering)."""
    span: ContinuousSpan
    nodes: int

    @classmethod
    def of(cls, observation: Observation) -> _Reading | Outcome:
        """The reading, or why there is none."""
        from lab.attacks.closed_form.row_span import RowSpan
        from lab.attacks.graph.continuous_span import ContinuousSpan
        from lab.attacks.graph.graph_observation import GraphObservation

        seen = GraphObservation.of(observation)
        if isinstance(seen, Outcome):
            return seen
        body, gradient = seen.body, seen.update.get("features.layers.1.weight")
        if len(body.layers) < 2:
            return FeatureOutcome.ONE_LAYER
        if gradient is None:
            return GraphOutcome.NO_BODY
        if not gradient.any():
            return ClosedFormOutcome.DEAD_UNITS
        alone = RowSpan.at_precision(gradient[:, : gradient.shape[1] // body.aggregation.parts], seen.nodes, seen.precision)
        layer = body.layers[0]
        assert isinstance(layer, torch.nn.Linear)
        return cls(seen.observation, body, gradient, ContinuousSpan(layer, body.activation, alone), seen.nodes)

    def answered(self, state: AttackState, generator: torch.Generator) -> AttackState:
        """The features that were found, and the verdict."""
        from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, mismatch

        entered = self.span.inputs(self.nodes, generator)
        note = f"{len(entered)} of {self.nodes} nodes found; rank {self.span.span.rank} of width {self._width}."
        if not len(entered):
            return final_state(self.observation, state, FeatureOutcome.NOTHING, note)
        like = next(iter(state.candidate.values()))
        found = self._candidate(entered, state.candidate)
        off = mismatch(self.observation, tree_map(lambda tensor: tensor.double(), found))
        state = replace(state, candidate=moved_to(found, like), objective=off)
        alone = self.body.aggregation.parts > 1
        outcome = FeatureOutcome.READ if off < EXACT_MISMATCH else FeatureOutcome.PARTLY if alone else FeatureOutcome.MIXED
        return final_state(self.observation, state, outcome, f"{note} Its own gradient is {percent(off)} off.")

    @property
    def _width(self) -> int:
        return self.gradient.shape[0]

    def _candidate(self, entered: Tensor, unknown: Inputs) -> dict[str, Tensor]:
        """Nodes that were found, as often as each is there, then the mean of those for nodes that were not."""
        features, bonds = self._features(entered), torch.zeros(0, dtype=entered.dtype)
        if self.body.aggregation.parts > 1:
            times, bonds = self._times_and_bonds(entered)
            where = torch.arange(len(entered)).repeat_interleave(times)
            features, bonds = features[where], bonds[where][:, where]
        missing = self.nodes - len(features)
        features = torch.cat([features, features.mean(0, keepdim=True).expand(missing, -1)])
        found = {name: tensor.double().clone() for name, tensor in as_mapping(unknown).items()}
        found["bonds"][0, : len(bonds), : len(bonds)] = bonds
        atoms, told = features.tensor_split((self.body.kinds,), -1)
        found["atoms"] = atoms.unsqueeze(0)
        return found | ({"attributes": told.unsqueeze(0)} if self.body.attributes else {})

    def _features(self, entered: Tensor) -> Tensor:
        """Kind and attributes of each node, shape (found, kinds + attributes): its own, or the mean around it.

        Kinds are one-hot, so what enters of them sums to the weights of all that is mixed.
        """
        kinds = self.body.kinds
        told = entered[:, : kinds + self.body.attributes]
        if self.body.aggregation.parts == 1:
            return told / told[:, :kinds].sum(1, keepdim=True).clamp_min(0.1)
        one = torch.nn.functional.one_hot(told[:, :kinds].argmax(1), kinds)
        return torch.cat([one.to(told), told[:, kinds:]], 1)

    def _times_and_bonds(self, entered: Tensor) -> tuple[Tensor, Tensor]:
        """How many nodes each find stands for, and which are bound, where a node enters beside its neighbours' mean.

        dW = D^T (H, A H) for the outputs H of the nodes that were found: both halves are known, so D and A follow.
        """
        width, noise = self.gradient.shape[1] // 2, 4 * self.span.span.noise
        own, around = self.gradient[:, :width], self.gradient[:, width:]
        outputs = self.span.outputs(entered)
        back = torch.linalg.pinv(outputs.T)
        mean_around = outputs @ torch.linalg.pinv(own, atol=noise) @ around
        share = mean_around @ back.T
        bonds = (share / share.amax(1, keepdim=True).clamp_min(1e-9)).clamp(0, 1)
        bonds = ((bonds + bonds.T) / 2).fill_diagonal_(0)
        return self._times(own @ back.T, torch.cat([outputs, mean_around], 1)), bonds

    def _times(self, came: Tensor, entering: Tensor) -> Tensor:
        """From what came back to each find, shape (width, found), beside what comes back to one such node."""
        if len(self.body.layers) > 2:
            return torch.ones(came.shape[1], dtype=torch.long)
        last = self.body.layers[1]
        bias = self.observation.mean_gradient("head.0.bias")["head.0.bias"]
        with torch.enable_grad():
            before = last(entering).detach().requires_grad_()
            (slopes,) = torch.autograd.grad(self.body.activation(before).sum(), before)
        one = slopes * (bias @ self.observation.network.get_parameter("head.0.weight").detach())
        one = one / (self.nodes if self.body.mean else 1)
        return _shared_out((came.T * one).sum(1) / one.square().sum(1).clamp_min(1e-300), self.nodes)


def _shared_out(wanted: Tensor, nodes: int) -> Tensor:
    """Whole numbers from 1 on that come to at most so many nodes, as near to those wanted: a second node before any third.

    What is nearest to a whole number is served first, as nodes that were not found add to what came back to those that were.
    """
    times, left = torch.ones(len(wanted), dtype=torch.long), nodes - len(wanted)
    whole = wanted.round().clamp(1, nodes)
    surest = (wanted - whole).abs().argsort().tolist()
    for level in range(2, int(whole.max()) + 1):
        more = [place for place in surest if whole[place] >= level][:left]
        times[more] = level
        left -= len(more)
    return times
