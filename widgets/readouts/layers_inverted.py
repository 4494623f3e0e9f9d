"""The way down through the layers as plain data and bytes, ready for the browser."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from widgets.readouts.divided import divided
from widgets.readouts.maps import maps_of, most_bytes
from widgets.run.frames import pixels, spoken_names, tiled

if TYPE_CHECKING:
    from torch import Tensor

    from lab import AttackState, Experiment, Round
    from lab.attacks.closed_form.report import LayerRecovery
    from lab.evaluation.round import RoundWithoutTruth

Data = dict[str, Any]


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

    division = divided(attacked)
    begun = {"status": "running", "division": division}
    if division:
        yield begun | {"sentence": f"{division['count']:,} values, one division each.", "layers": []}
    states = Recursive(hand_over=False).reconstruct(attacked.observation, stream(experiment.seed, "candidate"))
    seconds, most = division["seconds"] if division else 0.0, 0
    since: dict[str, float] = {}
    while not stopped():
        began = time.perf_counter()
        state = next(states, None)
        seconds += time.perf_counter() - began
        if state is None:
            return
        news = [layer.name for layer in state.layers if layer.name not in since]
        since |= dict.fromkeys(news, seconds)
        if state.outcome is not None:
            yield begun | _end(attacked, state, seconds, since, most)
        elif news:
            most = most or most_bytes(max(state.iterations, len(state.layers)))
            yield begun | {"sentence": _progress(len(since)), "layers": _layers(attacked, state, since, most)}


def _progress(count: int) -> str:
    return f"{count} {'layer' if count == 1 else 'layers'} undone so far."


def _end(attacked: Round | RoundWithoutTruth, state: AttackState, seconds: float, since: dict[str, float], most: int) -> Data:
    """The last update: the outcome in words, and the picture, where one was reached."""
    from lab import Round, score
    from lab.modalities.pairing import best_matching

    assert state.outcome is not None
    told = {"status": "done", "sentence": state.outcome.value, "outcome": state.outcome.name, "note": state.note}
    ended = told | {"seconds": seconds, "layers": _layers(attacked, state, since, most), "picture": None}
    if not math.isfinite(state.objective):
        return ended
    if not isinstance(attacked, Round):
        return ended | {"picture": _picture(state.images) | {"psnr_db": None, "verdict": "Read off"}}
    scores = score(attacked, state)
    found = state.images[best_matching(attacked.batch.images, state.images)]
    return ended | {"picture": _picture(found) | {"psnr_db": scores.psnr_db, "verdict": scores.verdict.value}}


def _layers(attacked: Round | RoundWithoutTruth, state: AttackState, since: dict[str, float], most: int) -> list[Data]:
    """Each recovered layer with its first picture's feature map of ``most`` bytes and its systems' numbers.

    ``since`` says after how many seconds each was there for the first time.
    """
    from lab import Round
    from lab.evaluation.layers import layer_scores

    known = isinstance(attacked, Round)
    errors = [score.error for score in layer_scores(attacked, state)] if known else [None for _ in state.layers]
    names = spoken_names(
        attacked.observation.network, dict.fromkeys(name.rpartition(".")[0] for name in attacked.observation.update)
    )
    return [
        _numbers(layer, error, names) | {"seconds": since[layer.name], "maps": maps_of(layer.features[0], most)}
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
        "rank": layer.rank,
        "condition": layer.condition,
        "residual": layer.residual,
        "error": error,
        "joint": [names[other] for other in reversed(layer.joint)],
    }


def _picture(images: Tensor) -> Data:
    """The pictures as one."""
    rgb = tiled(pixels(images))
    return {"count": len(images), "pixels": rgb.tobytes(), "height": rgb.shape[0], "width": rgb.shape[1]}
