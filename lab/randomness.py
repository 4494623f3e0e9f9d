"""One seed, many independent streams: changing a defence never changes the first candidate."""

from __future__ import annotations

import zlib

from lab.lazy import Tensor, torch


def stream(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one purpose ("data", "weights", "client", "candidate", ...) of one seed."""
    return torch.Generator().manual_seed(mixed_seed(seed, purpose))


def mixed_seed(seed: int, purpose: str) -> int:
    """A 32-bit seed that depends on both the seed and the purpose."""
    return zlib.crc32(f"{seed}/{purpose}".encode())


def normal_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers of a tensor's shape and precision, drawn on the CPU and put where it is."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)


def uniform_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in [0, 1) likewise."""
    return torch.rand(like.shape, generator=generator, dtype=like.dtype).to(like.device)
