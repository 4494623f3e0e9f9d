"""The way down through the layers as plain data and bytes, ready for the browser."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from widgets.run.frames import pixels, spoken_names, tiled

if TYPE_CHECKING:
    from torch import Tensor

    from lab import AttackState, Experiment, Round
    from lab.attacks.closed_form.report import LayerRecovery
    from lab.evaluation.round import RoundWithoutTruth

Data = dict[str, Any]

MOST_CHANNELS = 16
MOST_PIXELS = 32
"""Along a side of a feature map as shown."""
RUN_BYTES = 150_000
"""Feature maps of one way down, all updates together; each update resends what is there."""


def waiting(sentence: str) -> Data:
    """What is shown while nothing has been recovered yet."""
    return {"status": "waiting", "sentence": sentence, "layers": []}


def failed(sentence: str) -> Data:
    """What is shown where the way down could not be tried."""
    return {"status": "failed", "sentence": sentence, "layers": []}


def way_down(experiment: Experiment, attacked: Round | RoundWithoutTruth, stopped: Callable[[], bool]) -> Iterator[Data]:
    """Undo the layers of the round's network by algebra alone: an update whenever more layers are recovered, and the end.

    Ends early, without a last update, once ``stopped()``. Raises whatever the attack raises.
    """
    from lab.attacks.recursive import Recursive
    from lab.randomness import stream

    states = Recursive(hand_over=False).reconstruct(attacked.observation, stream(experiment.seed, "candidate"))
    seconds, shown, most = 0.0, 0, 0
    while not stopped():
        began = time.perf_counter()
        state = next(states, None)
        seconds += time.perf_counter() - began
        if state is None:
            return
        if state.outcome is not None:
            yield _end(attacked, state, seconds, most)
        elif len(state.layers) > shown:
            shown, most = len(state.layers), most or _map_bytes(max(state.iterations, len(state.layers)))
            yield {"status": "running", "sentence": _progress(shown), "layers": _layers(attacked, state, most)}


def _progress(count: int) -> str:
    return f"{count} {'layer' if count == 1 else 'layers'} undone so far."


def _end(attacked: Round | RoundWithoutTruth, state: AttackState, seconds: float, most: int) -> Data:
    """The last update: the outcome in words, and the picture, beside the secret where that is known, where one was reached."""
    from lab import Round, score
    from lab.modalities.pairing import best_matching

    assert state.outcome is not None
    told = {"status": "done", "sentence": state.outcome.value, "outcome": state.outcome.name, "note": state.note}
    ended = told | {"seconds": seconds, "layers": _layers(attacked, state, most), "picture": None}
    if not math.isfinite(state.objective):
        return ended
    if not isinstance(attacked, Round):
        return ended | {"picture": {"recovered": _picture(state.images), "truth": None, "psnr_db": None, "verdict": "Read off"}}
    scores = score(attacked, state)
    truth = attacked.batch.images
    pair = {"recovered": _picture(state.images[best_matching(truth, state.images)]), "truth": _picture(truth)}
    return ended | {"picture": pair | {"psnr_db": scores.psnr_db, "verdict": scores.verdict.value}}


def _layers(attacked: Round | RoundWithoutTruth, state: AttackState, most: int) -> list[Data]:
    """Each recovered layer with its first picture's feature map (of ``most`` bytes), the true one, its systems' numbers."""
    from lab import Round
    from lab.evaluation.layers import layer_scores, true_layer_inputs

    known = isinstance(attacked, Round)
    truths = true_layer_inputs(attacked, state) if known else {}
    errors = [score.error for score in layer_scores(attacked, state)] if known else [None for _ in state.layers]
    names = spoken_names(
        attacked.observation.network, dict.fromkeys(name.rpartition(".")[0] for name in attacked.observation.update)
    )
    return [
        _numbers(layer, error, names) | _maps(layer.features[0], truths[layer.name][0] if known else None, most)
        for layer, error in zip(state.layers, errors, strict=True)
    ]


def _numbers(layer: LayerRecovery, error: float | None, names: dict[str, str]) -> Data:
    """``error`` is that against the truth, None where nobody knows it."""
    return {
        "name": names[layer.name],
        "kind": layer.kind,
        "shape": list(layer.features.shape[1:]),
        "pictures": len(layer.features),
        "unknowns": layer.unknowns,
        "equations": layer.equations,
        "weight_equations": layer.weight_equations,
        "forward_equations": layer.forward_equations,
        "rank": layer.rank,
        "condition": layer.condition,
        "residual": layer.residual,
        "error": error,
        "joint": [names[other] for other in reversed(layer.joint)],
    }


def _map_bytes(planned: int) -> int:
    """The bytes that one map may take: a run of n layers sends 1 + 2 + ... + n, and all n once more at the end."""
    layers = max(1, planned)
    return RUN_BYTES // (2 * (layers * (layers + 1) // 2 + layers))


def _maps(recovered: Tensor, truth: Tensor | None, most: int) -> Data:
    """The strongest recovered channels and the true ones, where they are known, in the shades of one scale."""
    step = math.ceil(max(recovered.shape[1:]) / MOST_PIXELS)
    small = recovered[:, ::step, ::step]
    count = max(1, min(MOST_CHANNELS, len(recovered), most // small[0].numel()))
    chosen = recovered.square().sum((1, 2)).topk(count).indices.sort().values
    shown = None if truth is None else truth[chosen, ::step, ::step]
    scale = small[chosen] if shown is None else shown
    low, high = float(scale.min()), float(scale.max())
    return {
        "channels": len(recovered),
        "recovered": _shades(small[chosen], low, high),
        "truth": None if shown is None else _shades(shown, low, high),
    }


def _shades(maps: Tensor, low: float, high: float) -> Data:
    """Values from ``low`` to ``high`` as bytes from 0 to 255, one map after another."""
    count, height, width = maps.shape
    shares = ((maps - low) / max(high - low, 1e-30)).clamp(0, 1).nan_to_num()
    shades = (255 * shares).round().cpu().numpy().astype(np.uint8)
    return {"shades": shades.tobytes(), "count": count, "height": height, "width": width}


def _picture(images: Tensor) -> Data:
    """The pictures as one."""
    rgb = tiled(pixels(images))
    return {"count": len(images), "pixels": rgb.tobytes(), "height": rgb.shape[0], "width": rgb.shape[1]}
