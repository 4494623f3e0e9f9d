"""What a network makes of its inputs before its last layer decides: the place that some defences change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.lazy import Tensor, nn

from lab.errors import LabError


def last_layer(model: nn.Module) -> tuple[str, nn.Linear]:
    """The last fully connected layer and its name. Raises ``LabError`` where there is none."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise LabError(
            "This network has no fully connected layer, before which soteria and dropout work; take another defence."
        )
    return layers[-1]


@contextmanager
def before_last_layer(model: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, the last layer is given what ``change`` makes of its input, shape (batch, ..., features)."""
    handle = last_layer(model)[1].register_forward_pre_hook(lambda _, given: (change(given[0]), *given[1:]))
    try:
        yield
    finally:
        handle.remove()
