"""Edits: one named change of an experiment, as a click or a flag asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.attacks.matching.settings import Matching
from lab.errors import LabError, unknown_name
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import followed
from lab.options.data import is_list, is_object

Plain = dict[str, Any]
NO_DEFENCE = "none"


def edit(experiment: Experiment, path: str, value: Any) -> Experiment:
    """The experiment with one change: a short name of ``SHORT_NAMES``, or a dotted path such as "network.width".

    A recommended attack that nobody touched follows the network and its weights (``lab.experiments.recommended``).
    Raises ``LabError`` for a path or a value that is not allowed; the experiment given is not touched.
    """
    plain = experiment.to_plain()
    if path in SHORT_NAMES:
        SHORT_NAMES[path](experiment, plain, value)
    else:
        _set(plain, path.split("."), value)
    return followed(experiment, Experiment.from_plain(plain))


def _set(plain: Any, keys: list[str], value: Any) -> None:
    *parents, last = keys
    for key in parents:
        plain = plain[_present(plain, key)]
    last = _present(plain, last)
    entry = isinstance(plain[last], dict) and isinstance(value, str)
    plain[last] = {"name": value} if entry else value


def _present(plain: Any, key: str) -> Any:
    """The key as the data holds it: a position in a list, or a name in an object."""
    places = [str(place) for place in range(len(plain))] if is_list(plain) else []
    if key in places:
        return places.index(key)
    names = plain if is_object(plain) else {}
    if key not in names:
        raise unknown_name("option", key, names)
    return key


def _matching(experiment: Experiment, plain: Plain, what: str) -> Plain:
    """The plain gradient-matching attack; the closed forms have none of its options."""
    if not isinstance(experiment.attack, Matching):
        raise LabError(
            f"The attack {experiment.attack.name!r} has no {what}: it solves equations instead of guessing. "
            "Choose gradient_matching first."
        )
    return plain["attack"]


def _distance(experiment: Experiment, plain: Plain, value: Any) -> None:
    _matching(experiment, plain, "distance")["distance"] = {"name": value}


def _iterations(experiment: Experiment, plain: Plain, value: Any) -> None:
    attack = plain["attack"] if "iterations" in plain["attack"] else _matching(experiment, plain, "iterations")
    attack["iterations"] = value


def _restarts(experiment: Experiment, plain: Plain, value: Any) -> None:
    _matching(experiment, plain, "restarts")["restarts"] = value


def _tv(experiment: Experiment, plain: Plain, value: Any) -> None:
    """The weight of total variation; 0 removes it, and where there is none it is added."""
    attack = _matching(experiment, plain, "total variation")
    others = [prior for prior in attack["priors"] if prior["name"] != "total_variation"]
    present = [prior for prior in attack["priors"] if prior["name"] == "total_variation"]
    wanted = (present[0] if present else {"name": "total_variation"}) | {"weight": value}
    attack["priors"] = others if _is_none(value) else [*others, wanted]


def _is_none(value: Any) -> bool:
    """The number 0, which is not the word false."""
    return not isinstance(value, bool) and value == 0


def _local_steps(experiment: Experiment, plain: Plain, value: Any) -> None:
    """0 sends the gradient (FedSGD); from 1 on the weight change after that many steps (FedAvg)."""
    if _is_none(value):
        plain["protocol"] = {"name": "fedsgd"}
    else:
        plain["protocol"] = _averaging(plain) | {"local_steps": value}


def _local_batch_size(experiment: Experiment, plain: Plain, value: Any) -> None:
    plain["protocol"] = _averaging(plain) | {"batch_size": value}


def _local_lr(experiment: Experiment, plain: Plain, value: Any) -> None:
    plain["protocol"] = _averaging(plain) | {"learning_rate": value}


def _averaging(plain: Plain) -> Plain:
    protocol = plain["protocol"]
    return protocol if protocol["name"] == "fedavg" else {"name": "fedavg"}


def _picture(experiment: Experiment, plain: Plain, value: Any) -> None:
    """A picture of the gallery by name."""
    plain["dataset"] = {"name": "gallery", "first": value}


def _defence(experiment: Experiment, plain: Plain, value: Any) -> None:
    """One defence by name in the place of all there are; "none" takes them away."""
    plain["defences"] = [] if value == NO_DEFENCE else [{"name": value}]


def _attack(experiment: Experiment, plain: Plain, value: Any) -> None:
    plain["attack"] = {"name": value}


SHORT_NAMES: dict[str, Callable[[Experiment, Plain, Any], None]] = {
    "attack": _attack,
    "defence": _defence,
    "distance": _distance,
    "iterations": _iterations,
    "local_batch_size": _local_batch_size,
    "local_lr": _local_lr,
    "local_steps": _local_steps,
    "picture": _picture,
    "restarts": _restarts,
    "tv": _tv,
}
"""What people say for a deeper path, on the page and on the command line."""
