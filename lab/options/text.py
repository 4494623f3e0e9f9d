"""Catalogue entries as people type them: ``resnet:depth=20,widen=4``.

    ENTRY  = NAME[:OPTION=VALUE,...]
    VALUE  = number | true | false | none | text | NAME | NAME(OPTION=VALUE,...)
    a list = VALUE+VALUE+...

so that ``gradient_matching:priors=total_variation(weight=0.1)+l2,optimiser=adam`` is one argument.
"""

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin

from lab.errors import LabError, quoted
from lab.options import catalogue
from lab.options.catalogue import Entry
from lab.options.data import is_list
from lab.options.fields import Option, fields_of, may_be_none, without_none
from lab.options.plain import from_plain

E = TypeVar("E", bound=Entry)

_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def parse_entry(base: type[E], text: str) -> E:
    """The entry of ``base``'s kind that the text names, with its options.

    Raises ``LabError`` for unknown names and options, wrong types, values out of bounds and bad syntax.
    """
    name, _, options = text.partition(":")
    return from_plain(base, _plain(base.kind, name.strip(), options))


def to_text(value: Any, *, nested: bool = False) -> str:
    """The inverse of ``parse_entry`` and of ``parse_value``: options at their defaults are not written."""
    if isinstance(value, Entry):
        changed = [field.name for field in fields_of(type(value)) if getattr(value, field.name) != field.default]
        options = ",".join(f"{name}={to_text(getattr(value, name), nested=True)}" for name in changed)
        return value.name + ((f"({options})" if nested else f":{options}") if options else "")
    if is_list(value):
        return "+".join(to_text(item, nested=True) for item in value) or "none"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _plain(kind: str, name: str, options: str) -> dict[str, Any]:
    fields = {field.name: field.type for field in fields_of(catalogue.find(kind, name))}
    plain: dict[str, Any] = {"name": name}
    for key, value in _assignments(options, f"{kind} {name}"):
        plain[key] = parse_value(fields.get(key, str), value, f"{name}: {key}")
    return plain


def _assignments(options: str, where: str) -> list[tuple[str, str]]:
    """``option=value`` pairs; a piece without ``=`` belongs to the value before it (a comma in a path)."""
    found: list[tuple[str, str]] = []
    for piece in _split(options, ","):
        key, equals, value = piece.partition("=")
        if equals:
            found.append((key.strip(), value.strip()))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]},{piece}")
        else:
            raise LabError(f"{where}: {quoted(piece)} is not of the form option=value; write NAME:option=value,option=value.")
    return found


def _split(text: str, separator: str) -> list[str]:
    """The pieces between separators that stand outside all parentheses; none for an empty text."""
    pieces, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == separator and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces if text else []


def parse_value(wanted: Any, text: str, where: str = "The value") -> Any:
    """Text as the plain data that a field of type ``wanted`` takes; left as it is where it does not fit.

    Raises ``LabError`` for an empty text where nothing may be chosen: that is said by the word none, not forgotten.
    """
    is_list = get_origin(wanted) is tuple
    if not text and (is_list or may_be_none(wanted)):
        raise LabError(f"{where} is empty; write {'values joined by +' if is_list else 'a value'}, or none.")
    if may_be_none(wanted):
        return None if text.lower() == "none" else parse_value(without_none(wanted), text)
    if is_list:
        parts = [] if text.lower() == "none" else _split(text, "+")
        return [parse_value(get_args(wanted)[0], part) for part in parts]
    if inspect.isclass(wanted) and issubclass(wanted, Option):
        return _nested(wanted, text)
    return _TRUTHS.get(text.lower(), text) if wanted is bool else _number(wanted, text)


def _nested(wanted: type[Option], text: str) -> Any:
    """``NAME`` or ``NAME(option=value,...)`` inside another entry."""
    name, bracket, options = text.partition("(")
    if bracket and not options.endswith(")"):
        raise LabError(f"{quoted(text)} has a bracket that does not close; write NAME(option=value,...).")
    return _plain(wanted.kind, name.strip(), options[:-1]) if issubclass(wanted, Entry) else text


def _number(wanted: Any, text: str) -> Any:
    if wanted not in (int, float):
        return text
    try:
        return wanted(text)
    except ValueError:
        return text
