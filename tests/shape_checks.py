"""The run-time type checker that the tests put around the lab's functions."""

from beartype import BeartypeConf, beartype

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function):
    """Beartype, an int passing for a float; options check themselves, with sentences made for users."""
    builds_option = function.__qualname__.endswith("__init__") and function.__module__ != "lab.federated.observation"
    return function if builds_option else _checked(function)
