"""Patches: changes of an experiment by name, as flags, links, forms and lessons ask for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

from lab.attacks.matching.settings import Matching
from lab.errors import LabError, unknown_name
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import with_one_modality, with_recommended_attack
from lab.federated.losses.base import Loss
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import Entry
from lab.options.data import is_list, is_object
from lab.options.fields import fields_of
from lab.options.plain import to_plain
from lab.options.text import parse_entry, parse_value

Patch = tuple[str, Any]
"""(path, value): a dotted path such as "network.width" or a short name of ``SHORT_NAMES``, and plain data or an option."""
NO_DEFENCE = "none"
FIELDS = {field.name: field.type for field in fields_of(Experiment)}


def patched(experiment: Experiment, patches: Iterable[Patch]) -> Experiment:
    """The experiment with all these changes, in whatever order they are given; of two for one path the later counts.

    A data set follows a network that takes other inputs, and a network such a data set, where only one of both is changed.
    A recommended attack that nobody touched follows what is attacked (``lab.experiments.recommended``), once; what is
    said of the attack is then said of that one. Raises ``LabError`` for a path or a value that is not allowed.
    """
    ordered = sorted(patches, key=lambda patch: patch_order(patch[0]))
    attacked = reduce(_with, [patch for patch in ordered if not _is_of_the_attack(patch[0])], experiment)
    if not {"dataset", "network"} <= {_spelt_out(path) for path, _ in ordered}:
        attacked = with_one_modality(experiment, attacked)
    return reduce(
        _with, [patch for patch in ordered if _is_of_the_attack(patch[0])], with_recommended_attack(experiment, attacked)
    )


def edit(experiment: Experiment, path: str, value: Any) -> Experiment:
    """The experiment with one change, as by ``patched``."""
    return patched(experiment, [(path, value)])


def parse_patch(path: str, text: str) -> Patch:
    """The patch that somebody wrote in words: an entry as on the command line (``lab.options.text``), else a value.

    Raises ``LabError`` for an entry that there is not, or that is written wrongly.
    """
    wanted = FIELDS.get(path)
    if wanted is None:
        return path, _by_its_look(text)
    if inspect.isclass(wanted) and issubclass(wanted, Entry):
        return path, parse_entry(wanted, text)
    return path, parse_value(wanted, text, path)


def patch_order(path: str) -> tuple[bool, bool, bool]:
    """What is attacked comes before how, and an entry before what lies in it."""
    return _is_of_the_attack(path), path not in FIELDS, "." in path


def _is_of_the_attack(path: str) -> bool:
    return _spelt_out(path).partition(".")[0] == "attack"


def _spelt_out(path: str) -> str:
    return SHORT_NAMES[path][0] if path in SHORT_NAMES else path


def _with(experiment: Experiment, patch: Patch) -> Experiment:
    path, value = patch
    if path in SHORT_NAMES:
        value = SHORT_NAMES[path][1](experiment, value)
    plain = experiment.to_plain()
    _set(plain, _spelt_out(path).split("."), value)
    return Experiment.from_plain(plain)


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


def _by_its_look(text: str) -> Any:
    """A number, a truth or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def _matching(experiment: Experiment, what: str) -> Matching:
    """The gradient-matching attack; the closed forms have none of its options."""
    if not isinstance(experiment.attack, Matching):
        raise LabError(
            f"The attack {experiment.attack.name!r} has no {what}: it solves equations instead of guessing. "
            "Choose gradient_matching first."
        )
    return experiment.attack


def _distance(experiment: Experiment, value: Any) -> Any:
    _matching(experiment, "distance")
    return {"name": value}


def _iterations(experiment: Experiment, value: Any) -> Any:
    """A closed form may have them, too: for its search afterwards."""
    if not hasattr(experiment.attack, "iterations"):
        _matching(experiment, "iterations")
    return value


def _restarts(experiment: Experiment, value: Any) -> Any:
    _matching(experiment, "restarts")
    return value


def _tv(experiment: Experiment, value: Any) -> Any:
    """The weight of total variation; 0 removes it, and where there is none it is added."""
    priors = to_plain(_matching(experiment, "total variation").priors)
    others = [prior for prior in priors if prior["name"] != "total_variation"]
    present = [prior for prior in priors if prior["name"] == "total_variation"]
    wanted = (present[0] if present else {"name": "total_variation"}) | {"weight": value}
    return others if _is_none(value) else [*others, wanted]


def _is_none(value: Any) -> bool:
    """The number 0, which is not the word false."""
    return not isinstance(value, bool) and value == 0


def _local_steps(experiment: Experiment, value: Any) -> Any:
    """0 sends the gradient (FedSGD); from 1 on the weight change after that many steps (FedAvg)."""
    if _is_none(value):
        return to_plain(_of_the_same_client(FedSGD, experiment.protocol))
    return _averaging(experiment) | {"local_steps": value}


def _local_batch_size(experiment: Experiment, value: Any) -> Any:
    return _averaging(experiment) | {"batch_size": value}


def _local_lr(experiment: Experiment, value: Any) -> Any:
    return _averaging(experiment) | {"learning_rate": value}


def _averaging(experiment: Experiment) -> dict[str, Any]:
    protocol = experiment.protocol
    return to_plain(protocol if isinstance(protocol, FedAvg) else _of_the_same_client(FedAvg, protocol))


def _of_the_same_client(kind: type[Protocol], protocol: Protocol) -> Protocol:
    """Another protocol, and whatever all of them have as this one has it: the loss, number formats."""
    return kind(**{field.name: getattr(protocol, field.name) for field in fields_of(Protocol)})


def _client_loss(experiment: Experiment, value: Any) -> Any:
    """A loss of the catalogue, as on the command line."""
    return to_plain(parse_entry(Loss, value)) if isinstance(value, str) else value


def _picture(experiment: Experiment, value: Any) -> Any:
    """A picture of the gallery by name."""
    return {"name": "gallery", "first": value}


def _defence(experiment: Experiment, value: Any) -> Any:
    """One defence by name in the place of all there are; "none" takes them away."""
    return [] if value == NO_DEFENCE else [{"name": value}]


SHORT_NAMES: dict[str, tuple[str, Callable[[Experiment, Any], Any]]] = {
    "client_loss": ("protocol.loss", _client_loss),
    "defence": ("defences", _defence),
    "distance": ("attack.distance", _distance),
    "iterations": ("attack.iterations", _iterations),
    "local_batch_size": ("protocol", _local_batch_size),
    "local_lr": ("protocol", _local_lr),
    "local_steps": ("protocol", _local_steps),
    "picture": ("dataset", _picture),
    "restarts": ("attack.restarts", _restarts),
    "tv": ("attack.priors", _tv),
}
"""What people say for a deeper path, on the page and on the command line, and what their value is there."""
NAMES = (*FIELDS, *SHORT_NAMES)
"""Every path without a dot."""
