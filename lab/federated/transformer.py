"""What a vision transformer (Dosovitskiy et al. 2021) is made of, in plain matrix products, which can be differentiated twice.

Built and initialised as torchvision's, so that its weights compute here what they compute there; but for the last layer,
which torchvision begins with zeros: then a first gradient tells nothing of the picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lab.lazy import no_grad

EPSILON = 1e-6
"""Of layer norms, as torchvision has it."""


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v, head by head, of queries, keys and values that stand side by side."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, projected: Tensor) -> Tensor:
        """Of shape (pictures, tokens, 3 width); the result has (pictures, tokens, width)."""
        pictures, tokens, triple = projected.shape
        split = projected.view(pictures, tokens, 3, self.heads, triple // (3 * self.heads))
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)
        likeness = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
        return (self.allowed(likeness).softmax(-1) @ values).transpose(1, 2).flatten(2)

    def allowed(self, likeness: Tensor) -> Tensor:
        """Of queries (rows) and keys; minus infinity where a token may not look."""
        return likeness


class CausalSelfAttention(SelfAttention):
    """The same where a token sees itself and what stands before it."""

    def allowed(self, likeness: Tensor) -> Tensor:
        """Nothing right of the diagonal."""
        later = torch.ones(likeness.shape[-2:], dtype=torch.bool, device=likeness.device).triu(1)
        return likeness.masked_fill(later, -torch.inf)

    def continued(self, before: Tensor, own: Tensor) -> Tensor:
        """What each last token, shape (tokens, 3 width), sees behind each beginning, (beginnings, places, 3 width).

        Of shape (beginnings, tokens, width).
        """
        parted = (3, self.heads, own.shape[1] // (3 * self.heads))
        queries, keys, values = own.view(-1, *parted).unbind(1)
        _, keys_before, values_before = before.view(*before.shape[:2], *parted).unbind(2)
        seen = torch.einsum("whd,bphd->bwhp", queries, keys_before)
        itself = (queries * keys).sum(2, keepdim=True).expand(len(before), -1, -1, -1)
        weights = (torch.cat([seen, itself], 3) / math.sqrt(queries.shape[2])).softmax(3)
        mixed = torch.einsum("bwhp,bphd->bwhd", weights[..., :-1], values_before) + weights[..., -1:] * values
        return mixed.flatten(2)


class EncoderBlock(nn.Module):
    """z + attention(LN z), then z + MLP(LN z)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, EPSILON)
        self.in_proj, self.attention = nn.Linear(width, 3 * width), SelfAttention(heads)
        self.out_proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width, EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        for layer in (self.in_proj, self.mlp[0], self.mlp[2]):
            nn.init.xavier_uniform_(layer.weight)  # pyright: ignore[reportArgumentType]
        for layer in (self.in_proj, self.out_proj):
            nn.init.zeros_(layer.bias)
        for layer in (self.mlp[0], self.mlp[2]):
            _scatter(layer.bias, 1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """Of shape (pictures, tokens, width)."""
        tokens = tokens + self.out_proj(self.attention(self.in_proj(self.ln_1(tokens))))
        return tokens + self.mlp(self.ln_2(tokens))


class TokenMean(nn.Module):
    """The mean over all tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Of shape (pictures, tokens, width); the result has (pictures, width)."""
        return tokens.mean(1)


class FirstToken(nn.Module):
    """The first token, which is the class's."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Of shape (pictures, tokens, width); the result has (pictures, width)."""
        return tokens[:, 0]


class Encoder(nn.Module):
    """Patches -> tokens with their places, blocks, a layer norm, one vector for each picture."""

    class_token: nn.Parameter | None
    pos_embedding: Tensor

    def __init__(
        self, channels: int, places: int, patch: int, width: int, depth: int, heads: int, *, class_token: bool, learned: bool
    ) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(channels, width, patch, patch)
        _scatter(self.conv_proj.weight, math.sqrt(1 / (channels * patch**2)))
        if self.conv_proj.bias is not None:
            nn.init.zeros_(self.conv_proj.bias)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width, dtype=torch.float32)) if class_token else None
        tokens = places + class_token
        if learned:
            self.pos_embedding = nn.Parameter(torch.zeros(1, tokens, width, dtype=torch.float32))
            _scatter(self.pos_embedding, 0.02)
        else:
            self.register_buffer("pos_embedding", sinusoidal_positions(tokens, width), persistent=False)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.ln = nn.LayerNorm(width, EPSILON)
        self.pool = FirstToken() if class_token else TokenMean()

    def forward(self, images: Tensor) -> Tensor:
        """Of shape (pictures, width)."""
        tokens = self.conv_proj(images).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(len(images), -1, -1), tokens], 1)
        return self.pool(self.ln(self.blocks(tokens + self.pos_embedding)))


@no_grad
def _scatter(tensor: object, deviation: float) -> None:
    """Normal numbers; none where a sketch asks for shapes alone, for which torch would import seconds of other code."""
    assert isinstance(tensor, Tensor)
    if not tensor.is_meta:
        tensor.normal_(std=deviation)


def sinusoidal_positions(tokens: int, width: int) -> Tensor:
    """Sines and cosines of each place (Vaswani et al. 2017), shape (1, tokens, width)."""
    places = torch.arange(tokens, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([(places * rates).sin(), (places * rates).cos()], 2).flatten(1)[None, :, :width]
