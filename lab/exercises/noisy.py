"""Lesson 7: the simplest defence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lab.distances.base import flat
from lab.exercises.base import Case, Exercise

SIZES = {"weight": (40, 50), "bias": (40,), "head": (10, 40)}
LOUD, QUIET = 8.0, 0.1


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Updates with a loud and a quiet tensor, weak and strong noise, two seeds."""
    for strength, seed in ((0.1, 3), (2.0, 11)):
        g = {name: torch.randn(shape, generator=generator) for name, shape in SIZES.items()}
        g["weight"] *= LOUD
        g["head"] *= QUIET
        yield Case((g, strength, seed), _judge(g, strength), f"with strength {strength:g} and seed {seed}")
    yield Case((g, 0.0, 1), _untouched(g), "with strength 0")


def _judge(g: dict[str, Tensor], strength: float) -> Callable[[Any], str]:
    def judge(answer: Any) -> str:
        form = _form(answer, g)
        if form:
            return form
        noise = {name: answer[name] - g[name] for name in g}
        return _length(noise, g, strength) or _evenness(noise) or _twins(noise)

    return judge


def _untouched(g: dict[str, Tensor]) -> Callable[[Any], str]:
    def judge(answer: Any) -> str:
        same = not _form(answer, g) and all(torch.equal(answer[name], g[name]) for name in g)
        return "" if same else "with strength 0 the update leaves as it is."

    return judge


def _form(answer: Any, g: dict[str, Tensor]) -> str:
    if not isinstance(answer, dict) or set(answer) != set(g):
        return f"give a dictionary with the same names: {', '.join(g)}."
    wrong = [name for name in g if getattr(answer[name], "shape", None) != g[name].shape]
    return f"{wrong[0]!r} has another shape than before; noise changes numbers, not shapes." if wrong else ""


def _length(noise: dict[str, Tensor], g: dict[str, Tensor], strength: float) -> str:
    whole = flat(g)
    ratio = float(flat(noise).norm() / (strength * whole.norm()))
    if ratio == 0:
        return "nothing was added."
    if 0.9 < ratio < 1.1:
        return ""
    count = whole.numel() ** 0.5
    if abs(ratio / count - 1) < 0.1:
        return "each number got noise as long as the whole update; d of them are sqrt(d) times longer: divide by sqrt(d)."
    if abs(ratio * float(whole.norm()) / count - 1) < 0.1:
        return "the noise has the standard deviation `strength`; it should be measured by the length of the update."
    return f"the noise is {ratio:.2g} times as long as it should be: its length is strength times ||g||, over all tensors."


def _evenness(noise: dict[str, Tensor]) -> str:
    deviations = [float(tensor.std()) for tensor in noise.values()]
    if max(deviations) < 2 * min(deviations):
        return ""
    return (
        "quiet tensors got quieter noise: measure the length once, over all tensors, and give every number the same deviation."
    )


def _twins(noise: dict[str, Tensor]) -> str:
    size = min(tensor.numel() for tensor in noise.values())
    starts = [tensor.flatten()[:size] for tensor in noise.values()]
    near = any(torch.allclose(one, starts[0], rtol=1e-3, atol=1e-6) for one in starts[1:])
    return "every tensor got the same noise: draw them one after another from one generator, seeded once." if near else ""


EXERCISE = Exercise(
    lesson=7,
    task="noisy(g, strength, seed): g plus independent normal noise whose length is strength times that of g, over all tensors",
    praise="Noise measured by the update's own length. Without clipping this is no differential privacy, but it is its engine.",
    cases=cases,
)
