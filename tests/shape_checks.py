"""The run-time type checker that the tests put around the lab's functions."""

from collections import Counter
from functools import wraps
from inspect import isclass

import jaxtyping
from beartype import BeartypeConf, beartype

FIRST, EVERY = 8, 512
"""Of each function a test checks so many first calls, then one of so many: an attack calls its small ones a million times."""

CALLS: Counter = Counter()
"""Calls of each function within the present test."""

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def install() -> None:
    """Puts the checks around every function of the lab that is imported from now on."""
    jaxtyping.jaxtyped = _sparing(jaxtyping.jaxtyped)
    jaxtyping.install_import_hook("lab", "shape_checks.checked")


def checked(function):
    """Beartype, an int passing for a float; options check themselves, with sentences made for users."""
    builds_option = function.__qualname__.endswith("__init__") and function.__module__ != "lab.federated.observation"
    return function if builds_option else _checked(function)


def _sparing(jaxtyped):
    """The library's decorator, without its cost (16 microseconds a call) where a function's calls have been checked enough."""

    def decorator(*, typechecker):
        check = jaxtyped(typechecker=typechecker)

        def of(function):
            if isclass(function):
                return check(function)
            with_checks = None

            @wraps(function)
            def called(*args, **kwargs):
                nonlocal with_checks
                code = function.__code__  # a function within a function is another object each time, of the same code
                CALLS[code] += 1
                if CALLS[code] > FIRST and CALLS[code] % EVERY:
                    return function(*args, **kwargs)
                with_checks = with_checks or check(function)
                return with_checks(*args, **kwargs)

            return called

        return of

    return decorator
