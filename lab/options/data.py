"""What came from outside, told apart: ``isinstance`` says that it is a list, and these also of what, which is anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_object(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether it is what JSON calls an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is what JSON calls an array, or the tuple that options make of one."""
    return isinstance(value, list | tuple)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it holds values by keys, as a dictionary or in a way of its own."""
    return isinstance(value, Mapping)
