"""Lesson 7: the simplest defence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lab.course.exercises.base import Case, Exercise, Judge
from lab.federated.updates import flat
from lab.options.words import rounded

SIZES = {"weight": (40, 50), "bias": (40,), "head": (10, 40)}
LENGTHS = {"weight": 3.0, "bias": 2.0, "head": 4.0}
"""None of them negligible, so that the length of all together is not the sum of these, nor their mean."""
ALIKE = 3e-6
"""Two numbers of the noise so near to each other, in deviations, are one number drawn once: pairs that come so near by
chance are a few in 2,440."""


def cases(generator: torch.Generator) -> Iterator[Case]:
    """Updates of loud and quiet numbers, weak and strong noise; one of them twice with one seed and once with another."""
    for strength, seed in ((0.1, 3), (2.0, 11)):
        g = _drawn(generator)
        yield Case((g, strength, seed), _judge(g, strength), f"with strength {strength:g} and seed {seed}")
    seen: list[dict[str, Tensor]] = []
    for seed, judge in ((5, _kept(seen)), (5, _again(seen)), (6, _other(seen))):
        yield Case((g, 1.0, seed), judge, f"with strength 1 and seed {seed}" + (" again" if judge.__name__ == "again" else ""))
    yield Case((g, 0.0, 1), _untouched(g), "with strength 0")


def _drawn(generator: torch.Generator) -> dict[str, Tensor]:
    drawn = {name: torch.randn(shape, generator=generator, dtype=torch.float32) for name, shape in SIZES.items()}
    return {name: tensor * LENGTHS[name] / tensor.norm() for name, tensor in drawn.items()}


def _judge(g: dict[str, Tensor], strength: float) -> Judge:
    def judge(answer: Any) -> str:
        form = _form(answer, g)
        if form:
            return form
        noise = {name: answer[name] - g[name] for name in g}
        return _length(noise, g, strength) or _evenness(noise) or _twins(noise) or _shape(flat(noise))

    return judge


def _kept(seen: list[dict[str, Tensor]]) -> Judge:
    def keep(answer: Any) -> str:
        seen.append({name: torch.as_tensor(tensor).clone() for name, tensor in answer.items()})
        return ""

    return keep


def _again(seen: list[dict[str, Tensor]]) -> Judge:
    def again(answer: Any) -> str:
        same = all(torch.equal(answer[name], tensor) for name, tensor in seen[0].items())
        return "" if same else "the same seed gave other noise than before: draw all of it from a generator seeded with `seed`."

    return again


def _other(seen: list[dict[str, Tensor]]) -> Judge:
    def other(answer: Any) -> str:
        same = any(torch.equal(answer[name], tensor) for name, tensor in seen[0].items())
        return "another seed gave the same noise: seed the generator with `seed`." if same else ""

    return other


def _untouched(g: dict[str, Tensor]) -> Judge:
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
    if abs(ratio * float(whole.norm()) / sum(float(tensor.norm()) for tensor in g.values()) - 1) < 0.05:
        return "this adds the lengths of the tensors; lengths add as squares: take the norm of all numbers together."
    return (
        f"the noise is {rounded(ratio, 2)} times as long as it should be: its length is strength times ||g||, over all tensors."
    )


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


def _shape(noise: Tensor) -> str:
    """Drawn each by itself, as often above zero as below, and with the tails of a bell: fourth moment 3 squared variances.

    Five deviations of chance are left to each: of 2,440 numbers the mean is off by 0.02, the fourth moment by 0.1.
    """
    scaled = noise / noise.std()
    near = int((scaled.sort().values.diff() < ALIKE).sum())
    if near > len(noise) // 20:
        return "many numbers got the same noise as another: draw one for each number of the update."
    if abs(float(scaled.mean())) > 0.1:
        return "the noise leans to one side; normal noise is as often negative as positive."
    tails = float((scaled - scaled.mean()).pow(4).mean())
    if abs(tails - 3) > 0.5:
        return "the noise has the right length, but it is not normal: draw it with `torch.randn`."
    return ""


EXERCISE = Exercise(
    lesson=7,
    task="noisy(g, strength, seed): g plus independent normal noise whose length is strength times that of g, over all tensors",
    praise="Noise measured by the update's own length. Without clipping this is no differential privacy, but it is its engine.",
    cases=cases,
)
