"""What the last layer's gradient tells of how long the update is, of which sign, and at which weights it was computed.

With logits z = W h + b, p = softmax(z), and m[c] pictures of class c among n, cross entropy makes dL/db = mean p - m / n.
Of one picture any loss tells: its logits make dL/db with its label. Of several, so does a loss whose dL/dz is a (q(z) - y)
with the labels y as zeros and a one: binary cross entropy (q a sigmoid) and the squared error (q the logits themselves).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.lazy import Tensor, no_grad, torch

from lab.federated.updates import nearest_multiple
from lab.findings.case import Case

SHIFTS = (0.0, *(sign * 10.0 ** (step / 8) for step in range(-40, 17) for sign in (1, -1)))
"""Weights are tried at the given ones plus so many times the gradient."""
PROBABILITY_DEVIATION = 0.1
"""Where probabilities differ more than so from picture to picture, others' are no witnesses for the unknown ones."""
FACTORS = tuple(10.0 ** (step / 40) for step in range(-160, 161))


@dataclass(frozen=True)
class Fit:
    """The update is ``factor`` times a mean gradient, at the weights plus ``shift`` times it, but for ``residual``."""

    factor: float
    shift: float
    residual: float
    """Relative."""


def fitted(case: Case) -> Fit | None:
    """At the given weights; None where the last layer does not tell."""
    if case.last is None or not case.last[1].out_features > 2:
        return None
    if case.pictures == 1:
        return _of_one_picture(case, 0.0)
    return _of_several(case)


def refitted(case: Case) -> Fit | None:
    """The best of all weights that one update leads to; of one picture alone, whose logits can be told."""
    if case.last is None or case.pictures > 1 or fitted(case) is None:
        return None
    fits = [fit for shift in SHIFTS if (fit := _of_one_picture(case, shift)) is not None]
    best = min(fits, key=lambda fit: fit.residual)
    for width in (10.0 ** (1 / 16), 10.0 ** (1 / 64), 10.0 ** (1 / 256), 10.0 ** (1 / 1024), 10.0 ** (1 / 4096)):
        near = [_of_one_picture(case, best.shift * factor) for factor in (1 / width, width)]
        best = min([best, *filter(None, near)], key=lambda fit: fit.residual)
    return best


def _of_one_picture(case: Case, shift: float) -> Fit | None:
    """By Proposition 3.1 the input of the layer is known, and with it the logits."""
    assert case.last is not None
    name, layer = case.last
    if layer.bias is None:
        return None
    rows, slopes = case.gradient[f"{name}.weight"], case.gradient[f"{name}.bias"]
    largest = int(slopes.abs().argmax())
    if not float(slopes[largest].abs()):
        return None
    inputs = rows[largest] / slopes[largest]
    weight, bias = case.weights[f"{name}.weight"] + shift * rows, case.weights[f"{name}.bias"] + shift * slopes
    logits = (weight @ inputs + bias).view(1, -1)
    labels = case.seen.labels
    if labels is None:  # a change points the other way
        labels = torch.stack([slopes.argmin(), slopes.argmax()])
    labels = labels.cpu()
    expected = case.seen.loss.per_example_logit_gradient(logits.expand(len(labels), -1), labels)
    return min((_projected(slopes, one, shift) for one in expected), key=lambda fit: fit.residual)


def _projected(slopes: Tensor, expected: Tensor, shift: float = 0.0) -> Fit:
    factor, residual = nearest_multiple(expected, slopes)
    return Fit(factor, shift, residual)


def slopes_of_logits(case: Case) -> Tensor | None:
    """The update's dL/dlogits, shape (classes,), up to a positive factor where there is no bias; None where none was sent."""
    if case.last is None:
        return None
    name, layer = case.last
    return case.gradient[f"{name}.bias"] if layer.bias is not None else case.gradient[f"{name}.weight"].sum(1)


def _of_several(case: Case) -> Fit | None:
    """With the answers that other photographs get in the place of those of the unknown ones."""
    assert case.last is not None
    answered = _answers(case) if case.last[1].bias is not None else None
    if answered is None:
        return None
    answers, unit = answered
    slopes, count = case.gradient[f"{case.last[0]}.bias"] / unit, case.pictures
    if float(answers.std(0).max()) > PROBABILITY_DEVIATION:
        return None
    mean = answers.mean(0)
    if case.seen.labels is not None:
        counts = _counted(case.seen.labels.cpu(), case.seen.classes)
        return _projected(slopes, mean - counts / count)
    if case.seen.local_steps > 1:
        return None  # gradients met on the way make no whole counts
    signed = [sign * factor for factor in FACTORS for sign in (1, -1)]
    fits = [_of_counts(slopes, mean, factor, count) for factor in signed]
    best = min(fits, key=lambda fit: fit.residual)
    return best if math.isfinite(best.residual) else None


def _counted(labels: Tensor, classes: int) -> Tensor:
    """Pictures of each class."""
    return labels.sum(0).double() if labels.is_floating_point() else torch.bincount(labels, minlength=classes).double()


@no_grad
def _answers(case: Case) -> tuple[Tensor, float] | None:
    """Of other photographs q(z), shape (pictures, classes), and a, as dL/dz = a (q(z) - y); None of a loss of another form."""
    logits, loss = torch.cat([case.network(images) for images in case.others]), case.seen.loss
    if loss.is_counted:
        return logits.softmax(1), 1.0
    if loss.is_shift_invariant:
        return None
    without, with_all = (loss.per_example_logit_gradient(logits, torch.full_like(logits, answer)) for answer in (0.0, 1.0))
    unit = without - with_all
    return without / unit, float(unit.mean())


def _of_counts(slopes: Tensor, mean: Tensor, factor: float, pictures: int) -> Fit:
    """How far whole counts of classes are from explaining the slopes at this length."""
    counts = (pictures * (mean - slopes / factor)).round().clamp_min(0)
    if int(counts.sum()) != pictures:
        return Fit(factor, 0.0, math.inf)
    return Fit(factor, 0.0, float((slopes / factor - (mean - counts / pictures)).norm() / (mean - counts / pictures).norm()))
