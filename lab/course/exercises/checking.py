"""Trying a student's function: every way in which it can go wrong becomes one sentence."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
import traceback
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import torch

from lab.course.exercises.base import Case, Exercise
from lab.course.exercises.compare import difference, told
from lab.course.exercises.deadline import OutOfTime, Watch
from lab.course.exercises.feedback import Feedback, NotYet
from lab.errors import LabError, unknown_name
from lab.randomness import stream

LIMIT_S = 10.0
"""Of processor time, for all cases of an exercise together: what is right takes moments."""
MARGIN = 16
"""Where what is right takes long on this machine, at this time, a student's function may take so many times as long."""
RUNS_S = 60.0
"""Of processor time, for the experiments that an answer asks the lab to run."""


@cache
def exercises() -> dict[str, Exercise]:
    """Every exercise by the name of its function: the modules of this folder that hold an ``EXERCISE``."""
    package = importlib.import_module("lab.course.exercises")
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    return {m.__name__.rpartition(".")[2]: m.EXERCISE for m in modules if hasattr(m, "EXERCISE")}


def check(name: str, function: Any, seed: int = 0) -> Feedback:
    """Try ``function`` on the hidden cases of the exercise ``name``; never raises for anything a student can do."""
    try:
        with torch.random.fork_rng(devices=[]):
            return _tried(name, function, seed)
    except OutOfTime as late:
        return Feedback(False, str(late))
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
    allowance = Allowance()
    for case in exercise.cases(stream(seed, f"exercise {name}")):
        fault = _fault(function, case, allowance)
        if fault:
            return Feedback(False, fault)
    return Feedback(True, exercise.praise)


class Allowance:
    """What a student's function may compute over all its cases: much, and more where the machine is slow at the time."""

    def __init__(self) -> None:
        self.usual_s = self.used_s = 0.0

    @property
    def limit_s(self) -> float:
        """In all."""
        return max(LIMIT_S, MARGIN * self.usual_s)

    def watch(self, function: Any, case: Case) -> Watch:
        """The watch over one call: what is left, after what is right in this case was timed."""
        if case.pace is not None:
            begun = time.thread_time()
            self.usual_s += case.pace() * (time.thread_time() - begun)
        return Watch(function, self.limit_s - self.used_s, self.usual_s)


def _fault(function: Callable[..., Any], case: Case, allowance: Allowance) -> str:
    """Empty where the answer is right, else the sentence to show."""
    wrong_call = _wrong_call(function, case)
    if wrong_call:
        return wrong_call
    given = tuple(_copy(argument) for argument in case.arguments)
    watch = allowance.watch(function, case)
    try:
        with watch:
            answer = function(*given)
    except NotImplementedError:
        return "There is no answer yet: write the function's body in place of `raise NotImplementedError`."
    except (KeyboardInterrupt, OutOfTime):
        raise
    except SystemExit:
        return f"Tried {case.where}, your function ended the program; give the answer back with `return` instead."
    except BaseException as error:
        return _stopped(function, case, error)
    allowance.used_s += watch.used_s
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
    try:
        with Watch(case.judge, RUNS_S):
            fault = case.judge(answer)
    except LabError:
        raise
    except OutOfTime:
        return f"Tried {case.where}: what this asks the lab to run takes over {RUNS_S:.0f} s; choose something smaller."
    except Exception:
        return f"Tried {case.where}: the answer is {told(answer)} that cannot be looked into; give what the task names."
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


def _stopped(function: Callable[..., Any], case: Case, error: BaseException) -> str:
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
