"""Trying a student's function: every way in which it can go wrong becomes one sentence."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import torch

from lab.errors import LabError, unknown_name
from lab.exercises.base import Case, Exercise
from lab.exercises.compare import difference
from lab.exercises.deadline import TooSlow, deadline
from lab.exercises.feedback import Feedback, NotYet
from lab.randomness import stream

LIMIT_S = 10.0
"""Of processor time: a check never takes longer."""


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise by the name of its function: the modules of this folder that hold an ``EXERCISE``."""
    package = importlib.import_module("lab.exercises")
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return {m.__name__.rpartition(".")[2]: m.EXERCISE for m in modules if hasattr(m, "EXERCISE")}


def check(name: str, function: Any, seed: int = 0) -> Feedback:
    """Try ``function`` on the hidden cases of the exercise ``name``; never raises for anything a student can do."""
    try:
        with deadline(LIMIT_S), torch.random.fork_rng(devices=[]):
            return _tried(name, function, seed)
    except TooSlow:
        return Feedback(
            False, f"After {LIMIT_S:.0f} s of computing it was still busy; look for a loop that never ends, or do less work."
        )
    except LabError as error:
        return Feedback(False, str(error))


def grade(name: str, function: Any, seed: int = 0) -> None:
    """``check`` for graded notebooks. Raises ``NotYet`` with the sentence where the answer is not right."""
    found = check(name, function, seed)
    if not found.passed:
        raise NotYet(found.sentence)


def _tried(name: str, function: Any, seed: int) -> Feedback:
    if name not in exercises():
        raise unknown_name("exercise", name, exercises())
    exercise = exercises()[name]
    if not callable(function):
        return Feedback(False, f'Give the function itself, check("{name}", {name}), not what it returns.')
    for case in exercise.cases(stream(seed, f"exercise {name}")):
        fault = _fault(function, case)
        if fault:
            return Feedback(False, fault)
    return Feedback(True, exercise.praise)


def _fault(function: Callable[..., Any], case: Case) -> str:
    """Empty where the answer is right, else the sentence to show."""
    wrong_call = _wrong_call(function, case)
    if wrong_call:
        return wrong_call
    given = tuple(_copy(argument) for argument in case.arguments)
    try:
        answer = function(*given)
    except NotImplementedError:
        return "There is no answer yet: write the function's body in place of `raise NotImplementedError`."
    except Exception as error:
        return _stopped(function, case, error)
    if answer is Ellipsis:
        return "There is no answer yet: write the function's body in place of the dots."
    return _changed(given, case) or _judged(answer, case)


def _copy(argument: Any) -> Any:
    """A copy to work on; that of a network keeps what an earlier backward pass left in ``.grad``."""
    copied = deepcopy(argument)
    if isinstance(copied, torch.nn.Module):
        for parameter, original in zip(copied.parameters(), argument.parameters(), strict=True):
            parameter.grad = None if original.grad is None else original.grad.clone()
    return copied


def _judged(answer: Any, case: Case) -> str:
    fault = case.judge(answer)
    if fault and answer is None:
        return f"The function returned nothing {case.where}; end it with `return`."
    return f"Tried {case.where}: {fault}" if fault else ""


def _wrong_call(function: Callable[..., Any], case: Case) -> str:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""  # a built-in without a signature
    try:
        signature.bind(*case.arguments)
    except TypeError:
        return f"The function is called with {len(case.arguments)} arguments; yours takes {len(signature.parameters)}."
    return ""


def _stopped(function: Callable[..., Any], case: Case, error: Exception) -> str:
    """The student's own exception, with the line of their function where it came up."""
    code = getattr(function, "__code__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename]
    place = f" at `{frames[-1].line}`" if frames and frames[-1].line else ""
    text = (str(error).splitlines() or [""])[0]
    return f"Tried {case.where}, your function stopped{place} with {type(error).__name__}: {text}"


def _changed(given: tuple[Any, ...], case: Case) -> str:
    """A pure function leaves its arguments as they were."""
    data = [(a, b) for a, b in zip(given, case.arguments, strict=True) if isinstance(b, torch.Tensor | list | tuple | dict)]
    if any(difference(after, before, 0.0, 0.0) for after, before in data if _is_numbers(before)):
        return f"Tried {case.where}: your function changed what it was given; work on a copy (`x.clone()`) instead."
    return ""


def _is_numbers(value: Any) -> bool:
    """Whether the comparison knows how to look inside."""
    parts = list(value.values()) if isinstance(value, dict) else value
    return isinstance(value, torch.Tensor) or all(isinstance(part, torch.Tensor | int | float | dict) for part in parts)
