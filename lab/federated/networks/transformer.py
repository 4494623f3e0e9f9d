"""A small causal transformer that learns which word follows, or what kind of sentence it reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, ClassVar

from lab.lazy import nn

from lab.errors import LabError
from lab.federated.networks.base import Activation, Network
from lab.options.fields import Bounds, Help

if TYPE_CHECKING:
    from lab.federated.causal_transformer import OneHotInputs


class Norm(Enum):
    """Where a block's layer norms stand: before attention, as in GPT-2, or behind each sum, as in the first transformer."""

    PRE = "pre"
    POST = "post"


class Task(Enum):
    """What is learned of a sentence: each next word, or the label of the whole, from the mean over its words."""

    NEXT_WORD = "next_word"
    SENTENCE = "sentence"


@dataclass(frozen=True)
class Transformer(Network):
    """Words with learned places through blocks of causal attention; the loss is that of the next word, or of a label."""

    modality: ClassVar[str] = "text"
    in_sight: ClassVar[tuple[str, ...]] = ("width",)
    width: Annotated[int, Bounds(8, 512), Help("numbers of a word; the heads share them evenly")] = 128
    depth: Annotated[int, Bounds(2, 12), Help("blocks of attention and two fully connected layers")] = 2
    heads: Annotated[int, Bounds(1, 16), Help("attentions side by side in each block")] = 4
    norm: Annotated[Norm, Help("layer norms before attention and layers, or behind their sums")] = Norm.PRE
    activation: Annotated[Activation, Help("between the two fully connected layers of a block")] = Activation.GELU
    task: Annotated[Task, Help("learn which word follows, or what kind of sentence it is")] = Task.NEXT_WORD

    @property
    def own_classes(self) -> tuple[str, ...]:
        """How the loss of next words is told to a classifier: the likelihood of what is written, and that of all else."""
        return ("as it is written", "otherwise") if self.task is Task.NEXT_WORD else ()

    def input_transform(self, shape: tuple[int, int]) -> OneHotInputs:
        """Nothing to undo."""
        from lab.federated.causal_transformer import OneHotInputs

        return OneHotInputs()

    def modules(self, shape: tuple[int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """The whole language model and no head, or the words' mean and one linear layer.

        Raises ``LabError`` where heads cannot share the width.
        """
        from lab.federated.causal_transformer import LanguageModel, SentenceEncoder

        if self.width % self.heads:
            raise LabError(
                f"transformer: width = {self.width} cannot be shared by heads = {self.heads}; choose a multiple of "
                f"{self.heads} for the width, such as {self.heads * max(1, round(self.width / self.heads))}."
            )
        body = LanguageModel if self.task is Task.NEXT_WORD else SentenceEncoder
        head = nn.Sequential() if self.task is Task.NEXT_WORD else nn.Sequential(nn.Linear(self.width, classes))
        return (
            body(*shape, self.width, self.depth, self.heads, self.activation.layer(), pre_norm=self.norm is Norm.PRE),
            head,
        )
