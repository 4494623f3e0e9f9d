"""A capture of a network of the catalogue, as attacks take it: no code but the lab's own is needed, so a page may open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.lazy import Tensor, torch

from lab.client.checkpoints.weights import Weights
from lab.errors import LabError
from lab.experiments.network_inference import fits, infer_network
from lab.federated.batch_statistics import MEAN, VARIANCE, statistics_of_change
from lab.federated.networks.base import BatchNorm, Network
from lab.federated.observation import LabelSource, Observation
from lab.federated.own_model import with_weights
from lab.federated.recipes import not_simulated, protocol_of
from lab.federated.side_information import check_classes, checked_batch, class_numbers, source_of_labels
from lab.federated.update_names import STATISTICS, by_parameter_name, without_wrappers
from lab.modalities.images.statistics import own_statistics
from lab.options.plain import from_plain
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.capture import Recipe
    from lab.federated.batch_statistics import Statistics as BatchStatistics
    from lab.federated.captures import Capture
    from lab.federated.classifier import Classifier
    from lab.federated.protocols.base import Protocol

    Statistics = tuple[tuple[float, ...], tuple[float, ...]]


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
    recipe, shape = capture.recipe, shape_of(capture.recipe)
    known = class_numbers(labels or None)
    told = pictures if pictures is not None or labels else recipe.pictures
    network, classes = network_of(capture, options)
    seen = seen_of(
        capture,
        network,
        classes,
        shape,
        statistics=(recipe.mean or (), recipe.std or ()),
        protocol=protocol_of(recipe) if protocol is None else protocol,
        pictures=checked_batch(told, known, shape),
        source=source_of_labels(known, source),
    )
    check_classes(known, classes, seen.protocol.loss)
    return replace(seen, labels=known)


def seen_of(
    capture: Capture,
    network: Network,
    classes: int,
    shape: tuple[int, int, int],
    *,
    statistics: Statistics,
    protocol: Protocol,
    pictures: int,
    source: LabelSource,
) -> Observation:
    """The same of a server that takes the client's network and rule to be these; no labels are known. Raises ``LabError``."""
    built = network.build(shape, classes, stream(0, "weights"))
    built.normalise = own_statistics(network, shape, *statistics) or built.normalise
    model, update, notes = _brought(built, capture)
    one_step = protocol.sends_change and len(protocol.steps(pictures).rows) == 1
    return Observation(
        network=model,
        protocol=protocol,
        update=update,
        input_shape=shape,
        batch_size=pictures,
        label_source=source,
        labels=None,
        notes=(*notes, *not_simulated(capture.recipe, protocol)),
        batch_statistics=_statistics(network, built, capture, model, (pictures, *shape)) if one_step else {},
    )


def _statistics(
    network: Network, built: Classifier, capture: Capture, model: Classifier, sizes: tuple[int, ...]
) -> dict[str, BatchStatistics]:
    """What the counts of one step tell of the client's batch; nothing where norms are in another mode, or it sent no counts.

    ``sizes`` are (pictures, channels, height, width).
    """
    counts = [name for name in capture.weights if name.endswith((MEAN, VARIANCE))]
    if not counts or not capture.update.keys() >= {*counts} or getattr(network, "batch_norm", None) is not BatchNorm.TRAIN:
        return {}
    options: Any = network
    counting = replace(options, batch_norm=BatchNorm.EVAL).build(sizes[1:], built.classes, stream(0, "weights"))
    moved = {name: capture.weights[name] + capture.update[name] for name in counts}
    before, after = (
        _brought(counting, replace(capture, weights=weights))[0] for weights in (capture.weights, capture.weights | moved)
    )
    change = {name: value - before.get_buffer(name) for name, value in after.named_buffers()}
    names = {name: name for name, _ in model.named_parameters()}
    like = next(model.parameters())
    return statistics_of_change(before, change, model, names, torch.zeros(sizes, dtype=like.dtype, device=like.device))


def network_of(capture: Capture, options: Network | None = None, likely: Sequence[Network] = ()) -> tuple[Network, int]:
    """The one given, else the recipe's, else one that has these shapes, of the ``likely`` before others; and its classes.

    A batch norm is as the client had it. Raises ``LabError`` where no network of the catalogue fits.
    """
    shape, counts = shape_of(capture.recipe), _weights(capture.weights).classes
    named = capture.recipe.network
    chosen = options if options is not None or named is None else from_plain(Network, named, "the recipe's network")
    if chosen is None:
        chosen, classes = infer_network(capture.weights, shape, counts, likely)
    else:
        classes = next((count for count in counts if fits(chosen, capture.weights, shape, count)), counts[0])
    return (chosen if options is not None else _normed(chosen, capture)), classes


def shape_of(recipe: Recipe) -> tuple[int, int, int]:
    """(channels, height, width) of a picture. Raises ``LabError`` where the recipe does not say it."""
    if recipe.input_shape is None or len(recipe.input_shape) != 3:
        raise LabError(
            "The capture's recipe does not say (channels, height, width) of a picture; capture the round again with "
            "input_shape=(3, 32, 32) or whatever it is."
        )
    return recipe.input_shape


def _normed(network: Network, capture: Capture) -> Network:
    """With the normalisation that the client had: by stored statistics where there are some, and as its mode says."""
    if not hasattr(network, "batch_norm"):
        return network
    stored = any(name.endswith(STATISTICS) for name in capture.weights)
    present: Any = network
    changed = present.batch_norm
    if stored and changed in (BatchNorm.EVAL, BatchNorm.TRAIN):
        changed = BatchNorm.TRAIN if capture.recipe.mode == "train" else BatchNorm.EVAL
    elif not stored and changed is BatchNorm.EVAL:
        changed = BatchNorm.GROUP
    return replace(present, batch_norm=changed)


def _brought(built: Classifier, capture: Capture) -> tuple[Classifier, Mapping[str, Tensor], tuple[str, ...]]:
    """The network with the captured weights, the update by its names, and what there is to say of either.

    Weights under foreign names are told by their shapes, and the update then goes by the same names.
    """
    if without_wrappers(capture.weights, built.state_dict()):
        return with_weights(built, capture.weights, "eval"), by_parameter_name(built, capture.update), ()
    model, notes = _filled(built, capture.weights)
    blank = {
        name: tensor if name.endswith(STATISTICS) else torch.zeros_like(tensor) for name, tensor in capture.weights.items()
    }
    sent, _ = _filled(built, blank | capture.update)
    update = {name: tensor.detach() for name, tensor in sent.named_parameters()}
    lacking = blank.keys() - capture.update.keys()
    return model, {name: tensor for name, tensor in update.items() if not lacking or tensor.any()}, notes


def _filled(built: Classifier, tensors: Mapping[str, Tensor]) -> tuple[Classifier, tuple[str, ...]]:
    """A copy with these tensors as its weights. Raises ``LabError`` where they are another network's, or no finite numbers."""
    weights, model = _weights(tensors), deepcopy(built)
    notes = weights.put_into(model)
    if notes is None:
        raise weights.misfit(model)
    return model, notes


def _weights(tensors: Mapping[str, Tensor]) -> Weights:
    return Weights({tuple(name.split(".")): tensor for name, tensor in tensors.items()}, "the capture", in_order=False)
