"""Options: frozen objects whose fields say what they mean and what they may be.

A field is declared as ``Annotated[float, Bounds(1e-3, 1.0), Help("step size")]``.
From that one line come the check at construction, the JSON form, the command line
and the form on the page.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from lab.errors import LabError, quoted, spoken, unknown_name
from lab.options.data import is_list

MAX_ITEMS = 100
MAX_LETTERS = 4000


@dataclass(frozen=True)
class Bounds:
    """The closed interval a number must lie in; ``log`` asks for a logarithmic slider."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """The only values a field may take."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class AtMost:
    """How long a list may be, in items, and a text (or each text of a list), in characters."""

    items: int = MAX_ITEMS
    letters: int = MAX_LETTERS


@dataclass(frozen=True)
class Name:
    """Says of a text that it means the same to everybody, as a name does: no path, no file of one's own."""


@dataclass(frozen=True)
class Help:
    """What a field means, in one plain sentence, and its unit."""

    text: str
    unit: str = ""


@dataclass(frozen=True)
class Field:
    """One field of an option class, as a form or a parser needs it."""

    name: str
    type: Any
    default: Any
    bounds: Bounds | None
    choices: tuple[Any, ...] | None
    help: Help
    at_most: AtMost = AtMost()
    is_name: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Option:
    """Base of every frozen options object; checks its own fields once constructed."""

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            value = check_value(field, getattr(self, field.name), type(self))
            object.__setattr__(self, field.name, value)
        self.check()

    def check(self) -> None:
        """Raise ``LabError`` where fields contradict one another."""


@cache
def fields_of(option: type[Option]) -> tuple[Field, ...]:
    """The fields of an option class in the order of their declaration."""
    hints = get_type_hints(option, include_extras=True)
    return tuple(_describe(field, hints[field.name]) for field in dataclasses.fields(option))


def _describe(field: dataclasses.Field[Any], hint: Any) -> Field:
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    bare = get_args(hint)[0] if notes else hint
    choices = _first(notes, Choices)
    return Field(
        name=field.name,
        type=bare,
        default=_default(field),
        bounds=_first(notes, Bounds),
        choices=choices.values if choices else None,
        help=_first(notes, Help) or Help(""),
        at_most=_first(notes, AtMost) or AtMost(),
        is_name=_first(notes, Name) is not None,
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _first(notes: tuple[Any, ...], wanted: type) -> Any:
    return next((note for note in notes if isinstance(note, wanted)), None)


def label(option: type) -> str:
    """How an option class is called in a sentence."""
    return str(getattr(option, "name", None) or option.__name__)


def check_value(field: Field, value: Any, owner: type) -> Any:
    """The value as the field wants it (an int becomes a float, a list a tuple), or a ``LabError``."""
    where = f"{label(owner)}: {field.name}"
    check_length(field, value, where)
    value = _as_type(value, field.type, where)
    if field.choices is not None and value not in field.choices:
        allowed = ", ".join(str(choice) for choice in field.choices)
        raise LabError(f"{where} = {quoted(value)} is not possible; choose one of: {allowed}.")
    if field.bounds is not None and value is not None:
        _check_bounds(value, field.bounds, where, field.help.unit)
    return value


def check_length(field: Field, value: Any, where: str) -> None:
    """Raise ``LabError`` for a list, or a text in it, that is longer than the field bears; before anything is made of it."""
    if is_list(value):
        if len(value) > field.at_most.items:
            raise LabError(f"{where} has {len(value)} items; give at most {field.at_most.items}.")
        for item in value:
            check_length(field, item, where)
    if isinstance(value, str) and len(value) > field.at_most.letters:
        raise LabError(f"{where} = {quoted(value)} has {len(value)} characters; give at most {field.at_most.letters}.")


def _check_bounds(value: float, bounds: Bounds, where: str, unit: str) -> None:
    if not bounds.low <= value <= bounds.high:  # not a number is in no range
        suffix = f" {unit}" if unit else ""
        allowed = f"give a value from {bounds.low:g} to {bounds.high:g}{suffix}"
        raise LabError(f"{where} = {spoken(value)} is out of range; {allowed}.")


def _as_type(value: Any, wanted: Any, where: str) -> Any:
    if may_be_none(wanted):
        return None if value is None else _as_type(value, without_none(wanted), where)
    if get_origin(wanted) is tuple:
        if not is_list(value):
            raise LabError(f"{where} = {quoted(value)} must be a list.")
        return tuple(_as_type(item, get_args(wanted)[0], where) for item in value)
    if inspect.isclass(wanted) and issubclass(wanted, Enum):
        return _as_enum(value, wanted, where)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise LabError(f"{where} = {quoted(value)} must be {_plain(wanted)}.")
    return value


def _as_float(value: int) -> float:
    """The number as a float; one beyond all floats is infinite, which is in no range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def may_be_none(hint: Any) -> bool:
    """Whether a field's type leaves its value open: ``int | None``."""
    return get_origin(hint) in (types.UnionType, typing.Union)


def without_none(optional: Any) -> Any:
    """The type of a value that is there: ``int`` of ``int | None``."""
    return next(part for part in get_args(optional) if part is not type(None))


def _as_enum(value: Any, wanted: type[Enum], where: str) -> Enum:
    try:
        return wanted(value)
    except ValueError:
        raise unknown_name(f"value of {where}", value, [str(member.value) for member in wanted]) from None


def _plain(wanted: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    article = "an" if label(wanted)[0].lower() in "aeiou" else "a"
    return names.get(wanted, f"{article} {label(wanted)}")
