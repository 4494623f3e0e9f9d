"""``gradlab train``: weights for a network, with their card beside them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lab.client import checkpoints
from lab.client.checkpoints.card import Recipe
from lab.client.datasets.base import Dataset
from lab.client.datasets.published import PublishedSet
from lab.commands.gc_freeze import frozen_imports
from lab.commands.interruption import interruptible
from lab.errors import LabError, quoted
from lab.federated.networks.base import Network
from lab.modalities.base import modality_of
from lab.options.catalogue import entries
from lab.options.text import parse_entry

if TYPE_CHECKING:
    from lab.client.training import TrainingProgress


def prepare(network: str, dataset: str, folder: Path | None, changes: dict[str, Any]) -> tuple[Network, Dataset, Recipe]:
    """Network, data and recipe from what was typed; a change of None keeps the recipe's own value. Raises ``LabError``.

    Where no data set is named, it is CIFAR-10 for pictures, else the one that comes with the lab.
    """
    options = parse_entry(Network, network)
    data = parse_entry(Dataset, dataset or _usual(options))
    if not data.is_trainable:
        known = ", ".join(
            name for name, entry in entries("dataset").items() if issubclass(entry, Dataset) and entry.is_trainable
        )
        raise LabError(f"The data set {data.name!r} has no training part; choose one of: {known}.")
    if data.modality != options.modality:
        raise LabError(
            f"The data set {data.name!r} gives {modality_of(data.modality).many}, and the network {options.name!r} takes "
            f"{modality_of(options.modality).many}; choose two of one kind."
        )
    given = {name: value for name, value in changes.items() if value is not None}
    return options, _in_folder(data, folder), replace(checkpoints.recipe(options, data.recipe()), **given)


def _usual(options: Network) -> str:
    return "cifar10" if options.modality == Dataset.modality else modality_of(options.modality).dataset


def _in_folder(data: Dataset, folder: Path | None) -> Dataset:
    """A published set lies in a folder, which must be named: that is what asks for a download."""
    if not isinstance(data, PublishedSet):
        return data
    if folder is None:
        raise LabError(
            f"The data set {data.name!r} lies in a folder; name it by --data, and it is downloaded to it where it is not."
        )
    return replace(data, root=str(folder))


def parse_stages(text: str) -> tuple[float, ...]:
    """``0,0.2,1`` as numbers. Raises ``LabError`` for anything else."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise LabError(f"--keep-epochs {quoted(text)} is no list of epochs; give numbers such as 0,0.2,1,10.") from None


def run(
    network: str,
    dataset: str,
    folder: Path | None,
    changes: dict[str, Any],
    out: Path | None,
    stages: tuple[float, ...] = (),
    *,
    half: bool = False,
) -> str:
    """Train to the end and say where the weights are. Raises ``KeyboardInterrupt`` with a sentence after Ctrl-C."""
    options, data, recipe = prepare(network, dataset, folder, changes)
    if isinstance(data, PublishedSet):
        data.fetch()  # asked for by naming the folder: the help of --data says so
    with frozen_imports():  # imported here: what was typed is checked by now, and only a training needs torch
        from lab.client.training import train

    told = ""
    with interruptible() as interruption, tqdm(desc="train", unit=" steps", file=sys.stderr, dynamic_ncols=True) as bar:
        for progress in train(options, data, recipe, out or Path("runs", options.name), stages, half=half):
            _show(bar, progress)
            told = progress.told or told
            if progress.saved is not None:
                return _summary(network, progress, told)
            if interruption.asked:
                raise KeyboardInterrupt(f"Stopped after {progress.epoch} finished epochs; the same command goes on from there.")
    raise AssertionError("a training ends with its weights saved")


def _show(bar: tqdm[Any], progress: TrainingProgress) -> None:
    bar.total = progress.epochs * progress.steps
    bar.set_postfix(epoch=progress.epoch, loss=f"{progress.loss:.3f}", refresh=False)
    bar.update(progress.epoch * progress.steps + progress.step - bar.n)


def _summary(network: str, progress: TrainingProgress, told: str) -> str:
    return (
        f"Trained {network} for {progress.epochs} epochs: {told}.\n"
        f"Weights: {progress.saved}, with their card beside them. Attack them by: "
        f"gradlab run --network {network} --weights {progress.saved}"
    )
