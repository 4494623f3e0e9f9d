"""What every attack on a graph's gradient begins with: one graph, a body that is known, all in double precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lab.attacks.base import Outcome
from lab.attacks.closed_form.mismatch import in_double
from lab.attacks.graph.outcomes import GraphOutcome
from lab.federated.graph_layers import GraphBody
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients


@dataclass(frozen=True, eq=False)
class GraphObservation:
    """One graph's mean gradient on the CPU, and the network that made it."""

    observation: Observation
    """In double precision."""
    body: GraphBody
    update: Gradients
    """The mean gradient, by parameter."""
    precision: float
    """Relative, of the numbers that were sent."""
    nodes: int

    @classmethod
    def of(cls, observation: Observation) -> GraphObservation | Outcome:
        """What was shared, or why it is not that of one graph through layers that are known."""
        if observation.batch_size > 1:
            return GraphOutcome.SEVERAL
        precision = torch.finfo(next(iter(observation.update.values())).dtype).eps
        seen = in_double(observation)
        body = seen.network.features
        if not isinstance(body, GraphBody) or isinstance(seen.input_shape, tuple):
            return GraphOutcome.NO_BODY
        return cls(seen, body, seen.mean_gradient(), precision, seen.input_shape["atoms"][0])
