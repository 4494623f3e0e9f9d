"""An update from a file as an experiment: everything that can be chosen of one can be chosen of the attack on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from lab.lazy import torch

from lab.client.datasets.unknown import MAX_BYTES, Unknown
from lab.errors import LabError
from lab.evaluation.round import RoundWithoutTruth
from lab.experiments.captured import network_of, seen_of, shape_of
from lab.experiments.cost.fitting import check_size
from lab.experiments.experiment import Experiment
from lab.experiments.network_inference import undetermined_options
from lab.experiments.recommended import recommended_for
from lab.federated.captures import capture_of
from lab.federated.observation import LabelSource
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.recipes import protocol_of
from lab.machine import devices
from lab.modalities.images.format import said_of

if TYPE_CHECKING:
    from lab.capture import Recipe
    from lab.federated.networks.base import Network


@dataclass(frozen=True)
class ImportedUpdate:
    """The experiment that a file makes, and what there is to say of it, a sentence each."""

    experiment: Experiment
    notes: tuple[str, ...]


def import_update(data: bytes, file: str, likely: Sequence[Network] = ()) -> ImportedUpdate:
    """The attack on an update that ``lab.capture`` wrote; ``file`` is what it is called, ``likely`` whose it may be.

    The network is the recipe's, else one of those, else the one of the catalogue whose shapes these are. Labels are inferred.
    Raises ``LabError`` for a file that is none, is too large, or is of no network that the lab has.
    """
    capture = capture_of(data, file, MAX_BYTES)
    recipe = capture.recipe
    rule, assumed = _rule(recipe)
    told = Experiment(
        **said_of(shape_of(recipe), recipe.mean or (), recipe.std or ()),
        batch_size=recipe.pictures or 1,
        protocol=rule,
        labels=LabelSource.INFERRED,
    )
    check_size(told)
    network, classes = network_of(capture, likely=likely)
    experiment = replace(told, dataset=Unknown.from_bytes(data, file, classes), network=network)
    return ImportedUpdate(replace(experiment, attack=recommended_for(experiment)), (*_recognised(recipe, network), *assumed))


def round_of(experiment: Experiment, on: torch.device | None = None) -> RoundWithoutTruth:
    """What the server saw of an update that was opened, as the experiment says that it came about.

    Raises ``LabError`` for an experiment that simulates its client, and where its update is not that network's.
    """
    dataset = experiment.dataset
    if not isinstance(dataset, Unknown):
        raise LabError(f"The pictures of {dataset.name} are known, and no update was opened; simulate the round.")
    if experiment.trained or experiment.defences:
        raise LabError(f"{dataset.file} brings its weights and its update as they are; leave trained weights and defences out.")
    if experiment.labels is LabelSource.KNOWN:
        raise LabError(f"Nobody here knows the labels behind {dataset.file}; let the server infer or optimise them.")
    check_size(experiment)
    seen = seen_of(
        dataset.opened(),
        experiment.network,
        dataset.classes,
        cast("tuple[int, int, int]", experiment.input_shape),
        statistics=(experiment.mean, experiment.std),
        protocol=experiment.protocol.server_view(),
        pictures=experiment.batch_size,
        source=experiment.labels,
    )
    return RoundWithoutTruth(seen.to(on or devices.choose()))


def _rule(recipe: Recipe) -> tuple[Protocol, tuple[str, ...]]:
    """The client's rule, its rate the usual one where the recipe does not tell it."""
    if recipe.sent == "gradient" or recipe.learning_rate is not None:
        return protocol_of(recipe), ()
    rate = FedAvg().learning_rate
    said = (
        f"The recipe tells no learning rate, and {rate:g} is assumed: set the client's own, as a change has its length from it."
    )
    return protocol_of(replace(recipe, learning_rate=rate)), (said,)


def _recognised(recipe: Recipe, network: Network) -> tuple[str, ...]:
    """What shapes have told, and what they cannot."""
    if recipe.network is not None:
        return ()
    open_ones = " and ".join(name.replace("_", " ") for name in undetermined_options(network))
    more = f" No shape tells its {open_ones}; set what the client had, where that is something else." if open_ones else ""
    return (f"The recipe names no network; these shapes are those of {network.name}.{more}",)
