"""Trained weights: the shipped ones with their cards, torchvision's published ones, or a local file.

Shipped weights are ``<name>.safetensors`` in this folder; the card ``<name>.json`` beside each says which network
with which options they are for, how they were trained and how well they do.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lab.client.checkpoints import imagenet
from lab.client.checkpoints.card import Card, Recipe, read_card
from lab.client.checkpoints.tree import leaves
from lab.client.checkpoints.weight_files import check_file, keeps_order, load_tensors
from lab.client.checkpoints.weight_paths import locate_weights
from lab.client.checkpoints.weights import Weights
from lab.errors import LabError
from lab.federated.networks.base import BatchNorm, Network
from lab.federated.tensors import IMAGES
from lab.options.catalogue import entries
from lab.options.plain import differences, to_plain

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

FOLDER = Path(__file__).parent


@cache
def shipped() -> dict[str, Card]:
    """The cards of the shipped weights by name."""
    return {path.stem: read_card(path) for path in sorted(FOLDER.glob("*.json"))}


def card(options: Network) -> Card | None:
    """The card of the shipped weights for a network; None where none are shipped."""
    name = _shipped_name(options)
    return shipped()[name] if name else None


def recipe(options: Network, otherwise: Recipe | None = None) -> Recipe:
    """How the shipped weights of a network were trained; ``otherwise``, or the default recipe, where none are shipped."""
    found = card(options)
    return found.recipe if found else otherwise or Recipe()


def classes(options: Network, path: str = "") -> int:
    """How many classes the trained network tells apart: the file's, ImageNet's 1000, or the shipped weights'.

    Raises ``LabError`` where a file is given and cannot be read; 10 where there are no weights to ask.
    """
    if path:
        return weights(options, path).classes[0]
    if imagenet.published(options):
        return imagenet.CLASSES
    found = card(options)
    return found.classes if found else 10


def available(options: Network, path: str = "") -> bool:
    """Whether trained weights can be had without a download: the file, the published ones once fetched, the shipped ones."""
    if path:
        return os.path.isfile(locate_weights(path))
    return imagenet.cache_path(options).is_file() if imagenet.published(options) else card(options) is not None


def check_available(options: Network, path: str = "") -> None:
    """Raise ``LabError`` where there are no trained weights to read, without reading any."""
    if path:
        check_file(locate_weights(path))
    elif imagenet.published(options):
        imagenet.cached_file(options)
    elif card(options) is None:
        raise _none_shipped(options)


def load(network: Classifier, options: Network, path: str = "") -> tuple[str, ...]:
    """Load trained weights in place: those of the file ``path``, else the published or the shipped ones.

    Returns what needs saying of them. Raises ``LabError`` where there are none at hand, or they do not fit the network.
    """
    found = weights(options, path)
    notes = found.put_into(network)
    if notes is None:
        raise found.misfit(network, options.modality)
    return notes


def weights(options: Network, path: str = "") -> Weights:
    """The trained weights for a network: those of the file ``path``, else the published or the shipped ones.

    Raises ``LabError`` where there are none at hand, or the file cannot be read.
    """
    if path:
        file = locate_weights(path)
        content = leaves(load_tensors(file), file)
        return Weights(content, path, lambda tensors: imagenet.renamed(options, tensors), in_order=keeps_order(file))
    if imagenet.published(options):
        file = imagenet.cached_file(options)
        return Weights(leaves(load_tensors(file), file), "torchvision", lambda tensors: imagenet.renamed(options, tensors))
    name = _shipped_name(options)
    if name is None:
        raise _none_shipped(options)
    file = FOLDER / f"{name}.safetensors"
    return Weights(leaves(load_tensors(file), file), f"the shipped {name}", in_order=False)


def _shipped_name(options: Network) -> str | None:
    """Which shipped weights fit: all options alike but the batch-norm mode, which changes no weight."""
    norm = getattr(options, "batch_norm", None)
    wanted = replace(options, batch_norm=BatchNorm.EVAL) if norm is BatchNorm.TRAIN else options  # type: ignore
    return next((name for name, card in shipped().items() if card.network == wanted), None)


def _none_shipped(options: Network) -> LabError:
    ours = [_described(card.network) for card in shipped().values() if card.network.modality == options.modality]
    alike = [text for text in ours if text.partition(":")[0] == options.name]
    taken = f"take {alike[0]}, " if alike else f"take one of: {', '.join(ours)}, " if ours else ""
    trained = f", or train it by: {_command(options)}" if _can_train(options) else "."
    return LabError(f"No trained weights are shipped for {_described(options)}; {taken}give a file of weights{trained}")


def _can_train(options: Network) -> bool:
    """Whether there is a data set to train it on."""
    from lab.client.datasets.base import Dataset

    sets = (entry for entry in entries("dataset").values() if issubclass(entry, Dataset))
    return any(entry.is_trainable and entry.modality == options.modality for entry in sets)


def _command(options: Network) -> str:
    """That trains it; pictures lie in a folder, sentences and molecules come with the lab."""
    folder = " --data FOLDER" if options.modality == IMAGES else ""
    return f"gradlab train {_described(options)}{folder}"


def _described(options: Network) -> str:
    """A network as the command line writes it: ``resnet:depth=32``."""
    changed = differences(to_plain(options), to_plain(type(options)()))
    text = ",".join(f"{name}={value}" for name, value in changed.items() if name != "name")
    return f"{options.name}:{text}" if text else options.name
