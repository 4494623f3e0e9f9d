"""Options to plain data and back: the JSON form, and the short form that fits a link.

Plain data is ``{"name": "cosine", "weight": 1.0}``: the entry's name beside its fields.
"""

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any, TypeVar, cast, get_args, get_origin

from lab.errors import LabError, quoted, unknown_name
from lab.options import catalogue
from lab.options.data import is_list, is_object
from lab.options.fields import Field, Option, check_length, fields_of, label, may_be_none, without_none

AnyOption = TypeVar("AnyOption", bound=Option)


def to_plain(value: Any) -> Any:
    """An option (or a value inside one) as JSON-ready data."""
    if isinstance(value, Option):
        named = {"name": value.name} if isinstance(value, catalogue.Entry) else {}
        return named | {field.name: to_plain(getattr(value, field.name)) for field in fields_of(type(value))}
    if isinstance(value, Enum):
        return value.value
    return [to_plain(item) for item in value] if is_list(value) else value


def from_plain(wanted: type[AnyOption], data: Any, where: str = "experiment") -> AnyOption:
    """Build a ``wanted`` option from plain data. Missing fields keep their defaults.

    Raises ``LabError`` for unknown keys, unknown names, wrong types and values out of bounds.
    """
    if not is_object(data):
        raise LabError(f"{where} = {quoted(data)} must be an object in braces, such as {_example(wanted)}.")
    concrete = _concrete(wanted, data, where)
    fields = {field.name: field for field in fields_of(concrete)}
    given = {key: value for key, value in data.items() if key != "name" or not issubclass(wanted, catalogue.Entry)}
    for key in given:
        if key not in fields:
            raise unknown_name(f"option of {label(concrete)}", key, fields)
    return concrete(**{key: _value(fields[key], value, f"{where}.{key}") for key, value in given.items()})


def _concrete(wanted: type[AnyOption], data: dict[Any, Any], where: str) -> type[AnyOption]:
    if not issubclass(wanted, catalogue.Entry):
        return wanted
    if "name" not in data:
        raise LabError(f'{where} has no name; say which {wanted.kind} by "name", such as {_example(wanted)}.')
    return cast("type[AnyOption]", catalogue.find(wanted.kind, data["name"]))  # a kind's entries derive from its base


def _example(wanted: type[Option]) -> str:
    if issubclass(wanted, catalogue.Entry):
        return f'{{"name": "{next(iter(catalogue.entries(wanted.kind)))}"}}'
    return "{...}"


def _value(field: Field, data: Any, where: str) -> Any:
    check_length(field, data, where)
    return _typed(field.type, data, where)


def _typed(wanted: Any, data: Any, where: str) -> Any:
    if may_be_none(wanted):
        return None if data is None else _typed(without_none(wanted), data, where)
    if get_origin(wanted) is tuple and is_list(data):
        return tuple(_typed(get_args(wanted)[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    if inspect.isclass(wanted) and issubclass(wanted, Option):
        return data if isinstance(data, Option) else from_plain(wanted, data, where)
    return data


def differences(value: Any, default: Any) -> Any:
    """The part of ``to_plain(value)`` that differs from ``to_plain(default)``; the rest is left out."""
    if not (is_object(value) and is_object(default) and value.get("name") == default.get("name")):
        return value
    changed = {key: differences(value[key], default.get(key)) for key in value if value[key] != default.get(key)}
    return ({"name": value["name"]} if "name" in value else {}) | changed
