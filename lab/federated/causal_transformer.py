"""A small causal language model (Radford et al. 2018), in plain matrix products, which can be differentiated twice."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from lab.federated.classifier import InputTransform
from lab.federated.tensors import Inputs
from lab.federated.transformer import EPSILON, CausalSelfAttention


class OneHotInputs(InputTransform):
    """One-hot rows are what the body takes."""

    def forward(self, inputs: Inputs) -> Inputs:
        """The same."""
        return inputs

    def inverse(self, values: Tensor) -> Inputs:
        """The same."""
        return values


class CausalBlock(nn.Module):
    """Attention and two fully connected layers, each added to what came in; the norm before each (pre) or behind the sum."""

    def __init__(self, width: int, heads: int, activation: nn.Module, *, pre_norm: bool) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.ln_1, self.ln_2 = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)
        self.in_proj, self.attention = nn.Linear(width, 3 * width), CausalSelfAttention(heads)
        self.out_proj = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width))

    def entering(self, hidden: Tensor) -> Tensor:
        """What the map to queries, keys and values is given: the vectors whose span its gradient tells."""
        return self.ln_1(hidden) if self.pre_norm else hidden

    def forward(self, hidden: Tensor) -> Tensor:
        """Of shape (sentences, places, width)."""
        mixed = self._mixed(hidden, self.attention(self.in_proj(self.entering(hidden))))
        return mixed + self.mlp(self.ln_2(mixed)) if self.pre_norm else self.ln_2(mixed + self.mlp(mixed))

    def continued(self, beginnings: Tensor, words: Tensor) -> Tensor:
        """What the first fully connected layer is given at the last place, where each word follows each beginning.

        Of beginnings, shape (beginnings, places, width), and words, (words, width); the result has (beginnings, words, width).
        """
        before, own = self.in_proj(self.entering(beginnings)), self.in_proj(self.entering(words))
        mixed = self._mixed(words, self.attention.continued(before, own))
        return self.ln_2(mixed) if self.pre_norm else mixed

    def _mixed(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """What attention adds, and to what, each place alone."""
        attended = hidden + self.out_proj(mixed)
        return attended if self.pre_norm else self.ln_1(attended)


class TokenEmbedding(nn.Module):
    """A vector for each word piece and one for each place; their sum stands for a word at its place."""

    def __init__(self, places: int, pieces: int, width: int) -> None:
        super().__init__()
        self.words = nn.Parameter(_scattered(pieces, width))
        self.places = nn.Parameter(_scattered(places, width))

    def forward(self, sentences: Tensor) -> Tensor:
        """Of one-hot rows from the first place on, shape (sentences, places, pieces)."""
        return sentences @ self.words + self.places[: sentences.shape[1]]

    def at(self, words: Tensor, place: int | slice) -> Tensor:
        """The same of numbers of pieces that stand at a place, or at these places."""
        return self.words[words.to(self.words.device)] + self.places[place]


class SentenceLikelihood(nn.Module):
    """How likely each sentence is, word after word, as the two logits of a classifier.

    The loss of a sentence is l, the mean over its places of -log p(next piece), an end behind the last. With logits -l and
    log(1 - e^-l), cross entropy with class 0 is l exactly, so every protocol and attack finds the usual form.
    """

    def forward(self, logits: Tensor, sentences: Tensor) -> Tensor:
        """Of what may follow each place, shape (sentences, places, pieces + 1), and one-hot rows; (sentences, 2)."""
        present = sentences.sum(2)
        follows = torch.cat([sentences[:, 1:], torch.zeros_like(sentences[:, :1])], 1)
        wanted = torch.cat([follows, 1 - follows.sum(2, keepdim=True)], 2)
        lost = -(wanted * logits.log_softmax(2)).sum(2)
        loss = (present * lost).sum(1) / present.sum(1).clamp_min(1e-6)
        return torch.stack([-loss, (-torch.expm1(-loss)).clamp_min(1e-30).log()], 1)


class WordMean(nn.Module):
    """The mean over the places that have a word."""

    def forward(self, hidden: Tensor, sentences: Tensor) -> Tensor:
        """Of shape (sentences, places, width), and one-hot rows; (sentences, width)."""
        present = sentences.sum(2, keepdim=True)
        return (present * hidden).sum(1) / present.sum(1).clamp_min(1e-6)


class CausalTransformer(nn.Module):
    """One-hot rows through blocks of causal attention."""

    def __init__(
        self, places: int, pieces: int, width: int, depth: int, heads: int, activation: nn.Module, *, pre_norm: bool
    ) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(places, pieces, width)
        self.blocks = nn.ModuleList(CausalBlock(width, heads, activation, pre_norm=pre_norm) for _ in range(depth))
        self.ln = nn.LayerNorm(width, EPSILON)

    @property
    def first_block(self) -> CausalBlock:
        """The one that words and places enter."""
        return cast("CausalBlock", self.blocks[0])

    def hidden(self, entering: Tensor) -> Tensor:
        """What is known of each word and all before it; both of shape (sentences, places, width)."""
        hidden = entering
        for block in self.blocks:
            hidden = block(hidden)
        return self.ln(hidden)


class LanguageModel(CausalTransformer):
    """From each word to the next: the likelihood of what is written."""

    def __init__(
        self, places: int, pieces: int, width: int, depth: int, heads: int, activation: nn.Module, *, pre_norm: bool
    ) -> None:
        super().__init__(places, pieces, width, depth, heads, activation, pre_norm=pre_norm)
        self.following = nn.Linear(width, pieces + 1)
        self.likelihood = SentenceLikelihood()

    def forward(self, sentences: Tensor) -> Tensor:
        """Of shape (sentences, 2)."""
        return self.likelihood(self.following(self.hidden(self.embedding(sentences))), sentences)


class SentenceEncoder(CausalTransformer):
    """One vector for a whole sentence."""

    def __init__(
        self, places: int, pieces: int, width: int, depth: int, heads: int, activation: nn.Module, *, pre_norm: bool
    ) -> None:
        super().__init__(places, pieces, width, depth, heads, activation, pre_norm=pre_norm)
        self.mean = WordMean()

    def forward(self, sentences: Tensor) -> Tensor:
        """Of shape (sentences, width)."""
        return self.mean(self.hidden(self.embedding(sentences)), sentences)


def _scattered(*shape: int) -> Tensor:
    tensor = torch.empty(*shape, dtype=torch.float32)
    return tensor if tensor.is_meta else tensor.normal_(std=0.02)
