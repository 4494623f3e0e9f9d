"""What was shared of a graph's last layer and of what it makes: linear equations for how many nodes have each neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.attacks.closed_form.row_span import RowSpan
from lab.attacks.graph.neighbourhood_types import Types
from lab.federated.graph_layers import GraphBody

Numbers = np.ndarray[Any, np.dtype[np.float64]]
MAX_DIRECTIONS = 24
"""Of what came back and of what entered, by which the last layer's gradient is compared: each with each."""


@dataclass(frozen=True, eq=False)
class ObservedSums:
    """What was shared of a graph's last layer and of what it makes: sums over the nodes, linear in the counts."""

    body: GraphBody
    pooled: Tensor
    """What enters the head, shape (width,)."""
    back: Tensor
    """dL/d pooled, shape (width,)."""
    weight: Tensor
    bias: Tensor | None
    """dL/d of the last layer's."""
    entered: RowSpan
    nodes: int

    def equations(self, types: Types) -> tuple[Numbers, Numbers]:
        """``left`` c = ``right`` for counts c of types of the deepest hop; each kind of equation at one length."""
        slopes = self._slopes(types.gathered) * self.back
        rows = self.entered.basis[:MAX_DIRECTIONS]
        came = torch.linalg.svd(self.weight @ rows.T, full_matrices=False)[0]
        products = (slopes @ came).unsqueeze(2) * (types.gathered @ rows.T).unsqueeze(1)
        sums = [(types.values, self.pooled), (products.flatten(1), (came.T @ self.weight @ rows.T).flatten())]
        if self.bias is not None:
            sums.append((slopes, self.bias))
        lengths = [float(right.norm()) or 1.0 for _, right in sums]
        left = torch.cat([left / length for (left, _), length in zip(sums, lengths, strict=True)], 1).T
        right = torch.cat([right / length for (_, right), length in zip(sums, lengths, strict=True)])
        return left.numpy(), (right * (self.nodes if self.body.mean else 1)).numpy()

    def _slopes(self, gathered: Tensor) -> Tensor:
        with torch.enable_grad():
            entering = self.body.layers[-1](gathered).detach().requires_grad_()
            (slopes,) = torch.autograd.grad(self.body.activation(entering).sum(), entering)
        return slopes
