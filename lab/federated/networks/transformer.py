"""A small causal transformer that learns which word follows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.late import nn

from lab.errors import LabError
from lab.federated.networks.base import Activation, Network
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.federated.causal_transformer import AsTheyAre


class Norm(Enum):
    """Where a block's layer norms stand: before attention, as in GPT-2, or behind each sum, as in the first transformer."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True)
class Transformer(Network):
    """Words with learned places through blocks of causal attention; the loss is that of the next word, over all places."""

    modality: ClassVar[str] = "text"
    in_sight: ClassVar[tuple[str, ...]] = ("width",)
    width: Annotated[int, Bounds(8, 512), Help("numbers of a word; the heads share them evenly")] = 128
    depth: Annotated[int, Bounds(2, 12), Help("blocks of attention and two fully connected layers")] = 2
    heads: Annotated[int, Bounds(1, 16), Help("attentions side by side in each block")] = 4
    norm: Annotated[Norm, Help("layer norms before attention and layers, or behind their sums")] = Norm.PRE
    activation: Annotated[Activation, Help("between the two fully connected layers of a block")] = Activation.GELU

    def entrance(self, shape: tuple[int, int]) -> AsTheyAre:
        """Nothing to undo."""
        from lab.federated.causal_transformer import AsTheyAre

        return AsTheyAre()

    def modules(self, shape: tuple[int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """The whole language model, and no head. Raises ``LabError`` where heads cannot share the width."""
        from lab.federated.causal_transformer import CausalTransformer

        if self.width % self.heads:
            raise LabError(
                f"transformer: width = {self.width} cannot be shared by heads = {self.heads}; choose a multiple of "
                f"{self.heads} for the width, such as {self.heads * max(1, round(self.width / self.heads))}."
            )
        body = CausalTransformer(
            *shape, self.width, self.depth, self.heads, self.activation.layer(), pre_norm=self.norm is Norm.PRE
        )
        return body, nn.Sequential()
