"""What the page shows of one state: a picture in bytes and the numbers beside it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.readouts.spanned import spanned
from widgets.run.judging import judged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch
    from torch import nn

    from lab import AttackState, Experiment, Round
    from lab.attacks.base import RecoveredPart
    from lab.evaluation.evidence import Evidence
    from lab.evaluation.round import RoundWithoutTruth
    from lab.modalities.base import Modality, Shown

Places = list[tuple[float, float]]
SHORT_KINDS = {"Conv2d": "conv", "Linear": "fc", "BatchNorm2d": "norm"}


@dataclass(frozen=True, eq=False)
class Frame:
    """One kept moment of a run."""

    id: int
    run: int
    iteration: int
    objective: float
    measures: dict[str, float]
    """Those of the modality by name, as far as they are known."""
    verdict: str
    line_up: str
    image: np.ndarray
    """Of pictures uint8, (height, width, 3), a batch side by side; of other inputs what their modality shows of them."""
    seconds: float
    """Time the attack itself has taken so far."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """All scores as plain data."""
    layers: list[dict[str, Any]] = field(default_factory=list)
    """Shared against candidate update, layer by layer; empty where nobody looked."""
    inputs: str = "images"
    """What they are: an entry of ``lab/modalities``."""
    words: dict[str, Any] = field(default_factory=dict)
    """What the drawing of other inputs needs besides."""
    readings: list[dict[str, Any]] = field(default_factory=list)
    """All that was read off so far without guessing, with the numbers that speak for it."""
    downhill: np.ndarray | None = None
    """uint8, (height, width): which way the guess is moved next, 128 for not at all; None where nobody looked."""
    suspects: list[float] = field(default_factory=list)
    """Likeness to each picture of the line-up, the secret first; of one picture alone."""
    iterations: int = 0
    """How many the run takes, as far as was known then; 0 in files that do not say."""

    @property
    def nbytes(self) -> int:
        """Bytes of its pictures."""
        return self.image.nbytes + (0 if self.downhill is None else self.downhill.nbytes)


@dataclass(frozen=True, eq=False)
class Looked:
    """What a guess would send, and where the comparison moves it."""

    layers: list[dict[str, Any]] = field(default_factory=list)
    downhill: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Post:
    """A state on its way from the worker to the page."""

    state: AttackState
    seconds: float
    looked: Looked = field(default_factory=Looked)
    evidence: Evidence | None = None
    """Of the last state of an attack whose truth nobody knows."""
    rate: float = 0.0
    """Iterations a second, by which the rest is foretold."""


def frame(number: int, run: int, post: Post, attacked: Round | RoundWithoutTruth) -> Frame:
    """The frame of a state with its judgement."""
    from lab.federated.tensors import IMAGES

    state = post.state
    shown = drawn_of(attacked, state)
    told = judged(attacked, state, post.evidence)
    return Frame(
        id=number,
        run=run,
        iteration=state.iteration,
        objective=state.objective,
        measures=told.measures,
        verdict=told.verdict,
        line_up=told.line_up,
        image=tiled(shown.values) if shown.kind == IMAGES else shown.values,
        inputs=shown.kind,
        words=dict(shown.words) if shown.kind != IMAGES else {},
        seconds=post.seconds,
        numbers=told.numbers,
        layers=post.looked.layers,
        readings=[_part(part) for part in state.recovered_parts],
        downhill=post.looked.downhill,
        suspects=told.suspects,
        iterations=max(state.iteration, state.iterations),
    )


def _part(part: RecoveredPart) -> dict[str, Any]:
    """As the browser and saved pages call it."""
    return {"what": part.what, "off": part.distance, "other": part.runner_up, "other_off": part.runner_up_distance}


def drawn_of(attacked: Round | RoundWithoutTruth, state: AttackState, places: Places | None = None) -> Shown:
    """What the browser draws of a state; ``places`` says where the parts of the secret stand on the reader's paper."""
    from lab.evaluation.round import RoundWithoutTruth
    from lab.modalities.base import Beside, modality_of

    modality = modality_of(attacked.observation.modality)
    truth = None if isinstance(attacked, RoundWithoutTruth) else attacked.batch.inputs
    found = modality.decode(state.candidate, attacked.observation)
    return modality.shown(found, Beside(truth, state.whole, state.other, places))


def describe_round(experiment: Experiment, attacked: Round | RoundWithoutTruth) -> dict[str, Any]:
    """What left the phone: the picture beside it, where it is known, and the numbers by layer."""
    from lab.evaluation.round import RoundWithoutTruth
    from lab.experiments.privacy_guarantees import guarantee_sentences
    from lab.modalities.base import modality_of

    told = describe_update(experiment, attacked) | spoken(modality_of(attacked.observation.modality))
    if isinstance(attacked, RoundWithoutTruth):
        return told | _described_unknown(experiment, attacked)
    label = int(attacked.batch.labels[0])
    return told | {
        **_described_inputs(attacked),
        "alt": alt_text(experiment),
        "notes": [*attacked.batch.notes, *guarantee_sentences(experiment)],
        "label": experiment.class_names[label] if label < len(experiment.class_names) else str(label),
    }


def _described_unknown(experiment: Experiment, sent: RoundWithoutTruth) -> dict[str, Any]:
    """What is known of pictures that nobody here knows."""
    seen = sent.observation
    _, height, width = seen.image_shape
    file = getattr(experiment.dataset, "file", "the file")
    return {"unknown": file, "count": seen.batch_size, "height": height, "width": width, "notes": list(seen.notes)}


def describe_update(experiment: Experiment, attacked: Round | RoundWithoutTruth) -> dict[str, Any]:
    """The numbers that left the phone: how many of them in which layers, and a few as they are."""
    update = attacked.observation.update
    flat = np.concatenate([tensor.detach().cpu().numpy().ravel()[:64] for tensor in update.values()])
    return {
        "numbers": sum(tensor.numel() for tensor in update.values()),
        "tensors": len(update),
        "layers": layer_norms(attacked.observation.network, update),
        "sample": flat[:400].astype(np.float32),
        "kind": "weight change" if experiment.protocol.name == "fedavg" else "gradient",
    }


def spoken(modality: Modality) -> dict[str, Any]:
    """What inputs of a kind are called, and what is measured of them."""
    from lab.evaluation.scoring import control_name

    told = ("title", "unit", "digits", "meaning", "nothing", "in_summary", "full")
    return {
        "one": modality.one,
        "many": modality.many,
        "unknowns": modality.unknowns,
        "read_by": modality.read_by,
        "main": modality.main,
        "likeness_meaning": modality.likeness_meaning,
        "measures": [
            {"name": name} | {part: getattr(measure, part) for part in told} for name, measure in modality.measures.items()
        ],
        "controls": [{"name": control_name(modality, name), "spoken": words} for name, words in modality.controls.items()],
    }


def _described_inputs(attacked: Round) -> dict[str, Any]:
    """The private inputs, and those to tell them from."""
    from lab.federated.inputs import first
    from lab.federated.tensors import IMAGES
    from lab.modalities.base import modality_of

    modality = modality_of(attacked.observation.modality)
    if modality.name == IMAGES:
        images = pixels(attacked.batch.images)
        return {
            "images": images,
            "tile": tiled(images),
            "line_up": pixels(first(attacked.line_up)),
            "grey": attacked.batch.images.shape[1] == 1,
        }
    shown = modality.shown(attacked.batch.inputs)
    told = {"inputs": shown.kind, "values": shown.values, "words": dict(shown.words)}
    span = spanned(attacked.observation)
    return told if span is None else told | {"span": span | {"shares": None}}


def layer_norms(network: nn.Module, update: Mapping[str, torch.Tensor]) -> list[dict[str, Any]]:
    """Length and count of the numbers of each layer, weights and bias together."""
    from lab.evaluation.layer_match import by_layer, sample_entries

    layers, numbers = by_layer(update), sample_entries(update)
    spoken = spoken_names(network, layers)
    return [
        {
            "name": spoken[name],
            "norm": math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors)),
            "count": sum(tensor.numel() for tensor in tensors),
            "cells": cells(numbers[name]),
        }
        for name, tensors in layers.items()
    ]


def cells(numbers: Iterable[float]) -> str:
    """Numbers in [-1, 1] as two hexadecimal digits each, 80 for zero; larger ones are cut off."""
    return bytes(round(128 + 127 * max(-1.0, min(1.0, number))) for number in numbers).hex()


def spoken_names(network: nn.Module, layers: Iterable[str]) -> dict[str, str]:
    """What a reader calls each layer, from its module's name: conv 1, conv 2, fc 1."""
    kinds = Counter[str]()
    spoken = {}
    for name in layers:
        kind = SHORT_KINDS.get(type(network.get_submodule(name)).__name__, "layer")
        kinds[kind] += 1
        spoken[name] = f"{kind} {kinds[kind]}"
    return spoken


def alt_text(experiment: Experiment) -> str:
    """The private picture in words, for those who cannot see it."""
    if experiment.dataset.name == "gallery":
        from lab.client.datasets.gallery import credits

        return str(credits()[getattr(experiment.dataset, "first")]["alt"])  # noqa: B009  (typed as any data set)
    return f"A private {experiment.modality.one} from {experiment.dataset.name}."


def pixels(images: torch.Tensor) -> np.ndarray:
    """Pixels in [0, 1] as uint8, (n, height, width, 3); one channel is repeated."""
    array = images.detach().clamp(0, 1).mul(255).round().byte().cpu().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(np.repeat(array, 3, axis=3) if array.shape[3] == 1 else array)


def tiled(images: np.ndarray) -> np.ndarray:
    """The pictures of a batch in a near-square grid, (height, width, 3); empty places are white."""
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.full((rows * height, columns * width, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        grid[top : top + height, left : left + width] = image
    return grid
