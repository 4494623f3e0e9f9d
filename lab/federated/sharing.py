"""Copies of a network that hold the same numbers: only what is called, and in which order, is their own."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def sharing_copy(network: Module) -> Module:
    """The network once more, with the same parameters and buffers in it."""
    return deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})
