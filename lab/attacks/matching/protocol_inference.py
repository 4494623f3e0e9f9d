"""What a server was not told of a client's steps: the usual rules are tried, and what they leave unexplained tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from lab.lazy import torch

from lab.attacks.base import AttackState
from lab.attacks.closed_form.mismatch import Fit, fit
from lab.attacks.matching.settings import Derivative, Matching, Steps
from lab.federated.observation import LabelSource, Observation
from lab.options.words import percent

TRIAL_STEPS = 30
"""Steps of matching for each rule: enough to tell momentum 0.9, Nesterov's and Adam from plain steps and one another."""

EXPLAINED_RESIDUAL = 0.5
"""Left of the update as it was sent: up to here lengths count, which tell momentum from none; else it was shortened."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A rule, and how well a picture sought by it explains the update."""

    observation: Observation
    fit: Fit

    @property
    def spoken(self) -> str:
        """The rule, in the words of the command line."""
        return self.observation.protocol.spoken(self.observation.batch_size)


def infer_protocol(
    attack: Matching, observation: Observation, generator: torch.Generator
) -> Generator[AttackState, None, tuple[Observation, int, str]]:
    """States of a short attempt by each rule, numbered on.

    Returns the observation as if the best had been told, how many steps it took to know, and a sentence.
    """
    short = replace(attack, iterations=TRIAL_STEPS, restarts=1, local_steps=Steps.SURROGATE, derivative=Derivative.AUTO)
    trials: list[Trial] = []
    guesses = observation.protocol.guesses()
    steps = len(guesses) * (TRIAL_STEPS + 1)
    for number, protocol in enumerate(guesses):
        told = replace(observation, protocol=protocol)
        if _hides_labels(told):
            continue
        state = None
        for state in short.reconstruct(told, generator):
            if state.outcome is None:
                passed, planned = number * (TRIAL_STEPS + 1), steps + attack.restarts * attack.iterations
                yield replace(state, iteration=passed + state.iteration, iterations=planned)
        assert state is not None
        trials.append(Trial(told, fit(told, state.candidate, state.labels)))
    best, *others = sorted(trials, key=_ranking(trials))
    sentence = (
        f"{observation.protocol.unknown_setting} was not told; of {len(trials)} tried, {best.spoken} leaves least of the "
        f"update unexplained ({percent(best.fit.residual)}; next {others[0].spoken}, {percent(others[0].fit.residual)})."
    )
    return best.observation, steps, sentence


def _hides_labels(observation: Observation) -> bool:
    """Whether the labels are to be read off what such steps do not tell."""
    counted = observation.label_source is LabelSource.INFERRED and observation.batch_size > 1
    return counted and not observation.protocol.is_linear


def _ranking(trials: list[Trial]) -> Callable[[Trial], float]:
    """By what is left of the update as it was sent; at another length only where none explains that."""
    as_sent = any(trial.fit.as_sent <= EXPLAINED_RESIDUAL for trial in trials)

    def left(trial: Trial) -> float:
        residual = trial.fit.as_sent if as_sent else trial.fit.residual
        return residual if math.isfinite(residual) else math.inf

    return left
