"""Attention that can be differentiated twice."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from threading import Lock
from typing import ClassVar, cast


class PlainAttention:
    """While somebody is inside, attention is computed by matrix products and a softmax.

    Torch's fused kernels are faster, but have no second derivative, which matching gradients needs. Its switch is the
    process's: the first to come turns it, the last to go turns it back, whatever threads they are in.
    """

    _lock, _inside = Lock(), 0
    _switch: ClassVar = ExitStack()

    def __enter__(self) -> None:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        cls = PlainAttention
        with cls._lock:
            if cls._inside == 0:
                cls._switch.enter_context(cast("AbstractContextManager[object]", sdpa_kernel(SDPBackend.MATH)))
            cls._inside += 1

    def __exit__(self, *raised: object) -> None:
        cls = PlainAttention
        with cls._lock:
            cls._inside -= 1
            if cls._inside == 0:
                cls._switch.close()
