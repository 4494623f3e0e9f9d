"""Trained weights: the shipped ones with their cards, torchvision's published ones, or a local file.

Shipped weights are ``<name>.safetensors`` in this folder; the card ``<name>.json`` beside each says which network
with which options they are for, how they were trained and how well they do.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from torch import Tensor

from lab.checkpoints import imagenet
from lab.checkpoints.card import Card, Recipe, read_card
from lab.checkpoints.finding import located
from lab.checkpoints.store import read
from lab.errors import LabError
from lab.networks.base import BatchNorm, Classifier, Network
from lab.serialise import differences, to_plain

FOLDER = Path(__file__).parent

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@cache
def shipped() -> dict[str, Card]:
    """The cards of the shipped weights by name."""
    return {path.stem: read_card(path) for path in sorted(FOLDER.glob("*.json"))}


def card(options: Network) -> Card | None:
    """The card of the shipped weights for a network; None where none are shipped."""
    name = _shipped_name(options)
    return shipped()[name] if name else None


def recipe(options: Network) -> Recipe:
    """How the shipped weights of a network were trained; the default recipe where none are shipped."""
    found = card(options)
    return found.recipe if found else Recipe()


def classes(options: Network, path: str = "") -> int:
    """How many classes the trained network tells apart: the file's, ImageNet's 1000, or the shipped weights'.

    Raises ``LabError`` where a file is given and cannot be read; 10 where there are no weights to ask.
    """
    if path:
        return _last_layer(_local(options, path)).shape[0]
    if imagenet.published(options):
        return imagenet.CLASSES
    found = card(options)
    return found.classes if found else 10


def at_hand(options: Network, path: str = "") -> bool:
    """Whether trained weights can be had without a download: the file, the published ones once fetched, the shipped ones."""
    if path:
        return located(path).is_file()
    return imagenet.cached(options).is_file() if imagenet.published(options) else card(options) is not None


def load(network: Classifier, options: Network, path: str = "") -> None:
    """Load trained weights in place: those of the file ``path``, else the published or the shipped ones.

    Raises ``LabError`` where there are none, a download fails, or they do not fit the network.
    """
    weights, where = _weights(options, path)
    weights = _with_fitting_statistics(network, weights)
    _check_fit(network, weights, where)
    network.load_state_dict(weights)


def _with_fitting_statistics(network: Classifier, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without stored statistics where the network uses the batch's own; with the step counters that older files lack."""
    kept = network.state_dict()
    counters = {name: value for name, value in kept.items() if name.endswith("num_batches_tracked")}
    return counters | {name: value for name, value in weights.items() if name in kept or not name.endswith(_STATISTICS)}


def _weights(options: Network, path: str) -> tuple[dict[str, Tensor], str]:
    """The tensors by our names, and in words where they come from."""
    if path:
        return _local(options, path), path
    if imagenet.published(options):
        return imagenet.download(options), "torchvision"
    name = _shipped_name(options)
    if name is None:
        raise _none_shipped(options)
    return read(FOLDER / f"{name}.safetensors"), f"the shipped {name}"


def _local(options: Network, path: str) -> dict[str, Tensor]:
    return imagenet.renamed(options, read(located(path)))


def _last_layer(weights: dict[str, Tensor]) -> Tensor:
    """The weight that comes last when the numbers in names are read as numbers (``head.10`` after ``head.2``)."""
    names = [name for name in weights if name.endswith("weight")]
    if not names:
        raise LabError("The file holds no layer's weight; give the weights of a network.")
    return weights[max(names, key=_place)]


def _place(name: str) -> list[tuple[bool, int, str]]:
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in name.split(".")]


def _shipped_name(options: Network) -> str | None:
    """Which shipped weights fit: all options alike but the batch-norm mode, which changes no weight."""
    wanted = replace(options, batch_norm=BatchNorm.EVAL) if hasattr(options, "batch_norm") else options  # type: ignore
    return next((name for name, card in shipped().items() if card.network == wanted), None)


def _none_shipped(options: Network) -> LabError:
    ours = [_described(card.network) for card in shipped().values()]
    alike = [text for text in ours if text.partition(":")[0] == options.name]
    choose = f"take {alike[0]}" if alike else f"take one of: {', '.join(ours)}"
    return LabError(
        f"No trained weights are shipped for {_described(options)}; {choose}, give a file of weights, "
        f"or train it by: gradlab train {_described(options)} --data FOLDER"
    )


def _described(options: Network) -> str:
    """A network as the command line writes it: ``resnet:depth=32``."""
    changed = differences(to_plain(options), to_plain(type(options)()))
    text = ",".join(f"{name}={value}" for name, value in changed.items() if name != "name")
    return f"{options.name}:{text}" if text else options.name


def _check_fit(network: Classifier, weights: dict[str, Tensor], where: str) -> None:
    """The same names with the same shapes on both sides, or a ``LabError`` naming the first difference."""
    wanted = network.state_dict()
    for name in (*wanted, *weights):
        if name not in weights or name not in wanted:
            what = "lack" if name in wanted else "have a surplus"
            raise LabError(
                f"The weights of {where} are for another network: they {what} {name!r}; choose the network they fit."
            )
        if weights[name].shape != wanted[name].shape:
            raise LabError(
                f"The weights of {where} do not fit: {name!r} has the shape {tuple(weights[name].shape)} where "
                f"{tuple(wanted[name].shape)} is wanted; choose pictures of the size and colours, and the classes, "
                "that they were trained on, or other weights."
            )
