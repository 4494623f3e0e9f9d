"""``gradlab fetch`` and ``run --download``: the only ways, beside ``train --data``, by which the lab downloads anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.client.checkpoints import imagenet
from lab.client.datasets.base import Dataset
from lab.client.datasets.published import PublishedSet
from lab.errors import unknown_name
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Network
from lab.options.catalogue import entries
from lab.options.text import parse_entry


def fetch(text: str, data: Path | None) -> str:
    """Download a published data set, or the published weights of a network, and say where they are. Raises ``LabError``."""
    name = text.partition(":")[0]
    if name in _sets():
        chosen = parse_entry(Dataset, text)
        assert isinstance(chosen, PublishedSet)
        return _fetch_set(replace(chosen, root=str(data)) if data else chosen)
    if name in _networks():
        return _fetch_weights(parse_entry(Network, text))
    raise unknown_name("download", name, (*_sets(), *_networks()))


def fetch_for(experiment: Experiment) -> list[str]:
    """Download what an experiment needs and is published; says where it is. Raises ``LabError``."""
    told = []
    if isinstance(experiment.dataset, PublishedSet) and experiment.dataset.is_download:
        told.append(_fetch_set(experiment.dataset))
    if experiment.trained and not experiment.weights and imagenet.published(experiment.network):
        told.append(_fetch_weights(experiment.network))
    return told


def _fetch_set(published: PublishedSet) -> str:
    published.fetch()
    return f"{type(published).__name__} is in {published.folder}."


def _fetch_weights(network: Network) -> str:
    return f"The published weights are in {imagenet.fetch(network)}."


def _sets() -> list[str]:
    return [name for name, entry in entries("dataset").items() if issubclass(entry, PublishedSet) and entry.is_download]


def _networks() -> list[str]:
    return [name for name, entry in entries("network").items() if imagenet.publishes(entry)]
