"""Gradient matching as suits what was done to an update before it was sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from lab.attacks.matching.defence_detection import DetectedDefence, Detection
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.soft_signs import SoftSigns
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.sent_directions import SentDirections
from lab.attacks.matching.sent_entries import SentEntries
from lab.attacks.matching.settings import DEFAULT_PRIORS, Matching

M = TypeVar("M", bound=Matching)
PRIORS_FOR_SIGNS = (TotalVariation(weight=0.7, fade=0.3),)
PRIORS_FOR_QUANTISED = (TotalVariation(weight=1.5, fade=0.3),)
"""Where few values or directions were sent."""
PRIORS_FOR_SPARSE = (TotalVariation(weight=0.5, fade=0.3),)
"""Where most numbers were left out: soft surfaces, of which little was sent, stay without speckles."""
PRIOR_FOR_NOISE = TotalVariation(weight=1.0, fade=1.0)
"""At noise as long as the gradient, to the end: what is left out later comes back as noise. Of less, so much less is added."""


def adapted(attack: M, detected: Detection) -> M:
    """The same attack with the distance and the priors that serve such an update best."""
    if detected.trace is DetectedDefence.SIGNS:
        return replace(attack, distance=SoftSigns(), priors=PRIORS_FOR_SIGNS)
    if detected.trace is DetectedDefence.SPARSE:
        return replace(attack, distance=SentEntries(attack.distance), priors=PRIORS_FOR_SPARSE)
    if detected.trace is DetectedDefence.LOW_RANK:
        return replace(attack, distance=SentDirections(attack.distance), priors=PRIORS_FOR_QUANTISED)
    if detected.trace is DetectedDefence.GRID:
        return replace(attack, distance=_even(attack.distance), priors=PRIORS_FOR_QUANTISED)
    if detected.trace is DetectedDefence.NOISE:
        (usual,), most, share = DEFAULT_PRIORS, PRIOR_FOR_NOISE, min(1.0, detected.amount)
        weight, fade = (a + (b - a) * share for a, b in ((usual.weight, most.weight), (usual.fade, most.fade)))
        return replace(attack, distance=_even(attack.distance), priors=(TotalVariation(weight=weight, fade=fade),))
    return attack


def _even(distance: Distance) -> Distance:
    """Where every number is equally far off each is to be heard alike: no layer leads, none is lifted to the others' length."""
    return Cosine() if isinstance(distance, BalancedCosine) else distance
