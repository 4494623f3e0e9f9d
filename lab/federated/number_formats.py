"""Number formats of half the digits, in which clients compute and send."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from lab.lazy import Tensor, torch

from lab.errors import LabError
from lab.federated.gradient_rules import PlainGradient
from lab.federated.gradients import gradient_wrt
from lab.federated.tensors import Gradients, Inputs
from lab.options.words import rounded

if TYPE_CHECKING:
    from torch import nn

    from lab.federated.losses.base import Loss

SCALES = tuple(2.0**power for power in range(16, -1, -1))
"""By which a loss is multiplied on its way back, and its gradients divided: the first that overflows nowhere, as
``torch.amp.GradScaler`` comes to it."""


class NumberFormat(Enum):
    """Single precision has 24 binary digits, float16 has 11 and ends at 65,504, bfloat16 has 8."""

    SINGLE = "float32"
    HALF = "float16"
    BRAIN = "bfloat16"

    @property
    def dtype(self) -> torch.dtype:
        """Torch's."""
        return getattr(torch, self.value)

    def rounded(self, update: Gradients) -> Gradients:
        """The update as whoever receives it in this format reads it. Raises ``LabError`` for what the format cannot hold."""
        if self is NumberFormat.SINGLE:
            return update
        found = {name: tensor.to(self.dtype).to(tensor.dtype) for name, tensor in update.items()}
        for name, tensor in found.items():
            if not tensor.isfinite().all() and update[name].isfinite().all():
                most = torch.finfo(self.dtype).max
                raise LabError(
                    f"{name} of the update has numbers up to {rounded(float(update[name].abs().max()), 3)}, and {self.value} "
                    f"holds none beyond {rounded(most, 6)}; send it in {NumberFormat.BRAIN.value}, or clip it."
                )
        return found


class MixedPrecision(PlainGradient):
    """The gradient of a loss whose layers compute in half precision, at weights in single precision (``torch.autocast``)."""

    def __init__(self, loss: Loss, kind: NumberFormat) -> None:
        super().__init__(loss)
        self.kind = kind

    def logits(self, model: nn.Module, weights: dict[str, Tensor], inputs: Inputs) -> Tensor:
        """In half precision up to here; the loss is computed in single precision, as autocast has it on accelerators."""
        device = next(iter(weights.values())).device.type
        with torch.autocast(device, self.kind.dtype, cache_enabled=False):
            logits = super().logits(model, weights, inputs)
        return logits.float() if logits.dtype is self.kind.dtype else logits

    def backward(self, value: Callable[[], Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a loss scaled up, lest small numbers vanish on their way."""
        found = dict[str, Tensor]()
        for scale in SCALES:
            found = {name: tensor / scale for name, tensor in gradient_wrt(scale * value(), weights).items()}
            if all(bool(tensor.isfinite().all()) for tensor in found.values()):
                break
        return found
