"""A capture of a network of the catalogue, as attacks take it: no code but the lab's own is needed, so a page may open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.client.checkpoints.weights import Weights
from lab.errors import LabError
from lab.federated.networks.base import BatchNorm, Network
from lab.federated.observation import LabelSource, Observation
from lab.federated.own_model import with_weights
from lab.federated.recipes import not_simulated, protocol_of
from lab.federated.told import check_classes, checked_batch, class_numbers, source_of_labels
from lab.options.plain import from_plain
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.capture import Recipe
    from lab.federated.captures import Capture
    from lab.federated.protocols.base import Protocol


def observation_of(
    capture: Capture,
    options: Network | None = None,
    *,
    labels: Sequence[int] = (),
    source: LabelSource | None = None,
    protocol: Protocol | None = None,
    pictures: int | None = None,
) -> Observation:
    """What a server saw that knows the capture; what is not given is as the recipe says. Raises ``LabError``."""
    recipe = capture.recipe
    network, shape = _network(recipe, options), _shape(recipe)
    rule = protocol_of(recipe) if protocol is None else protocol
    known = class_numbers(labels or None)
    count = checked_batch(pictures if pictures is not None or labels else recipe.pictures, known, shape)
    classes = Weights({tuple(name.split(".")): tensor for name, tensor in capture.weights.items()}, "capture", in_order=False)
    built = network.build(shape, classes.classes[0], stream(0, "weights"))
    check_classes(known, built.classes)
    return Observation(
        network=with_weights(built, capture.weights, "eval"),
        protocol=rule,
        update=capture.update,
        input_shape=shape,
        batch_size=count,
        label_source=source_of_labels(known, source),
        labels=known,
        notes=not_simulated(recipe, rule),
    )


def _network(recipe: Recipe, options: Network | None) -> Network:
    """The one given, else the recipe's; a batch norm as the client had it."""
    if options is None and recipe.network is None:
        raise LabError(
            "The capture does not name a network of the lab's catalogue, and a model of one's own is code, which runs on the "
            "command line alone: gradlab run --model FILE.py:NAME --update CAPTURE."
        )
    chosen = options or from_plain(Network, recipe.network, "the recipe's network")
    changes: dict[str, Any] = (
        {"batch_norm": BatchNorm.TRAIN} if recipe.mode == "train" and hasattr(chosen, "batch_norm") else {}
    )
    return replace(chosen, **changes)


def _shape(recipe: Recipe) -> tuple[int, int, int]:
    if recipe.input_shape is None or len(recipe.input_shape) != 3:
        raise LabError("The capture's recipe does not say (channels, height, width) of a picture; capture the round again.")
    channels, height, width = recipe.input_shape
    return channels, height, width
