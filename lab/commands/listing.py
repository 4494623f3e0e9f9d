"""``gradlab list``: everything that can be chosen by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args, get_origin

from lab.errors import unknown_name
from lab.experiments.failures import FAILURES, Failure
from lab.experiments.presets import PRESETS, Preset
from lab.options import catalogue
from lab.options.catalogue import Entry
from lab.options.fields import Field, fields_of
from lab.options.plain import to_plain

Listing = dict[str, list[dict[str, Any]]]
KINDS = (*catalogue.FOLDERS, "preset", "failure")


def listing(kind: str | None) -> Listing:
    """Kind -> its entries as JSON-ready data. Raises ``LabError`` for an unknown kind."""
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    return {each: _of_kind(each) for each in KINDS if kind in (None, each)}


def as_json(found: Listing) -> str:
    """The listing for a program."""
    return json.dumps(found, indent=2)


def as_text(found: Listing) -> str:
    """The listing for a person; the options are told where only one kind was asked for."""
    lines = []
    for kind, entries in found.items():
        lines.append(f"{kind}:")
        for entry in entries:
            lines.append(f"  {entry['name']:<18} {entry['summary']}")
            lines += _details(entry) if len(found) == 1 else []
    return "\n".join(lines)


def _of_kind(kind: str) -> list[dict[str, Any]]:
    if kind == "preset":
        return [_preset(preset) for preset in PRESETS.values()]
    if kind == "failure":
        return [_failure(failure) for failure in FAILURES.values()]
    return [_entry(entry) for entry in catalogue.entries(kind).values()]


def _entry(entry: type[Entry]) -> dict[str, Any]:
    options = [_option(field) for field in fields_of(entry)]
    return {"name": entry.name, "summary": catalogue.summary(entry), "options": options}


def _preset(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "summary": preset.explanation,
        "title": preset.title,
        "paper_item": preset.paper_item,
        "scaled_down": preset.scaled_down,
        "expected_verdict": preset.expected.value,
        "changes": preset.experiment.changes(),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.name,
        "summary": failure.cause,
        "title": failure.title,
        "expected_verdict": failure.expected.value,
        "mended_by": failure.change,
        "edits": [list(change) for change in failure.edits],
        "changes": failure.experiment.changes(),
    }


def _option(field: Field) -> dict[str, Any]:
    bounds = field.bounds
    return {
        "name": field.name,
        "type": type_words(field.type),
        "default": to_plain(field.default),
        "low": bounds.low if bounds else None,
        "high": bounds.high if bounds else None,
        "log": bool(bounds and bounds.log),
        "choices": _choices(field),
        "help": field.help.text,
        "unit": field.help.unit,
    }


def _choices(field: Field) -> list[Any] | None:
    if isinstance(field.type, type) and issubclass(field.type, Enum):
        return [member.value for member in field.type]
    return list(field.choices) if field.choices else None


def type_words(wanted: Any) -> str:
    """A field's type in words: "whole number", "distance", "list of prior"."""
    if get_origin(wanted) is tuple:
        return f"list of {type_words(get_args(wanted)[0])}"
    if get_args(wanted):
        return f"{type_words(get_args(wanted)[0])} or none"
    if issubclass(wanted, Entry):
        return wanted.kind
    words = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return words.get(wanted, "choice")


def _details(entry: dict[str, Any]) -> Iterator[str]:
    for key in ("paper_item", "scaled_down", "expected_verdict", "mended_by"):
        if key in entry:
            yield f"      {key.replace('_', ' ')}: {entry[key]}"
    for option in entry.get("options", ()):
        yield f"      {option['name']}={_short(option['default'])}: {option['help']} ({_allowed(option)})"


def _allowed(option: dict[str, Any]) -> str:
    if option["choices"]:
        return ", ".join(str(choice) for choice in option["choices"])
    if option["low"] is None:
        return option["type"]
    return f"{option['type']} from {option['low']:g} to {option['high']:g} {option['unit']}".rstrip()


def _short(default: Any) -> str:
    if isinstance(default, dict):
        return str(default["name"])
    if isinstance(default, list):
        return "+".join(_short(item) for item in default) or "none"
    if default is None or isinstance(default, bool):
        return str(default).lower()
    return str(default)
