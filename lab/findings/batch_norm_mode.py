"""Batch norm in another mode than the client's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from lab.lazy import Tensor, nn, torch

from lab.federated.typed_torch import layers_of
from lab.findings.base import Finding, Found
from lab.findings.case import Case
from lab.options.words import rounded

TRAIN_MODE_COSINE, EVAL_MODE_COSINE = 0.01, 0.03
"""Cosines of filters and their gradients, root mean square: below the one in train mode, above the other not."""


@dataclass(frozen=True)
class BatchNormMode(Finding):
    """The client's batch norm used its batch's own statistics, and the server takes the stored ones, or the other way round."""

    place: ClassVar[int] = 50

    def look(self, case: Case) -> Found | None:
        """In train mode the loss does not see how long a filter is, so its gradient is at right angles to it."""
        filters = _before_norms(case.network)
        angles = [_angles(case, name) for name in filters if f"{name}.weight" in case.sent]
        if not angles:
            return None
        angle = float(torch.cat(angles).square().mean().sqrt())
        trained = angle < TRAIN_MODE_COSINE
        if trained and all(stored for stored in filters.values()):
            return self.found(
                "Batch norm was in train mode at the client: filters and their gradients are at right angles (cosine "
                f"{rounded(angle, 2)}), as only a batch's own statistics make them. Give the model in train mode.",
                angle,
            )
        if angle > EVAL_MODE_COSINE and not any(stored for stored in filters.values()):
            return self.found(
                "Batch norm used its stored statistics at the client: filters and their gradients are not at right angles "
                f"(cosine {rounded(angle, 2)}). Give the model in eval mode.",
                angle,
            )
        return None


def _before_norms(network: nn.Module) -> dict[str, bool]:
    """The convolutions that a batch norm follows, and whether that has stored statistics."""
    layers = layers_of(network, nn.Conv2d, nn.BatchNorm2d)
    return {
        one: second.running_var is not None
        for (one, first), (_, second) in pairwise(layers.items())
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d) and second.num_features == len(first.weight)
    }


def _angles(case: Case, name: str) -> Tensor:
    """The cosine of each filter with its gradient."""
    weight, slope = (numbers[f"{name}.weight"].flatten(1) for numbers in (case.weights, case.sent))
    moved = slope.norm(dim=1) > 0
    return torch.cosine_similarity(weight[moved], slope[moved], dim=1, eps=1e-300)
