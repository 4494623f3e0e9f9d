"""How a match is differentiated: fast where that is verified, over a surrogate for local steps, or by autograd twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lab.attacks.derivative.matcher import ExactMatcher, Matcher
from lab.attacks.matching.adaptive_steps import SoftStepsSurrogate
from lab.attacks.matching.local_steps import LongStepSurrogate, Surrogate
from lab.attacks.matching.settings import Derivative, Matching, Steps
from lab.errors import LabError
from lab.federated.gradients import LocalSteps
from lab.federated.observation import Observation

NOT_VERIFIED = (
    "The frozen derivative does not prove right for this network: something in it is random, or bends in a way that no layer "
    "of its own shows; take derivative = exact or auto."
)
NOT_PLAIN = "The frozen derivative does not follow the steps of {name} one by one; take derivative = exact or auto."
SLOWER = "The fast derivative does not prove right for this network, so each step differentiated twice: slower, and as good."


@dataclass(frozen=True, eq=False)
class MatcherChoice:
    """What compares a candidate's update with the shared one."""

    matcher: Matcher
    surrogate: Surrogate | None
    """What stands for the client's steps, where they are not simulated and are more than a gradient."""
    note: str
    """That the fast way was wanted and not taken; empty where it was."""


def choose_matcher(attack: Matching, observation: Observation) -> MatcherChoice:
    """The one that the attack's settings ask for. Raises ``LabError`` where they ask for what this network does not allow."""
    surrogate = surrogate_of(attack, observation)
    matcher = matcher_of(attack, observation) if surrogate is None else _of_surrogate(attack, surrogate)
    return MatcherChoice(matcher, surrogate, _note(attack, observation, matcher))


def surrogate_of(attack: Matching, observation: Observation) -> Surrogate | None:
    """A long step for optimisers that are linear in the gradients, soft steps for others; None for a single plain step."""
    steps = observation.protocol.steps(observation.batch_size)
    if attack.local_steps is not Steps.SURROGATE or (len(steps.rows) == 1 and steps.optimiser.is_plain):
        return None
    return LongStepSurrogate(observation) if steps.optimiser.is_linear else SoftStepsSurrogate(observation)


def matcher_of(attack: Matching, observation: Observation, *, lean: bool = False) -> Matcher:
    """The fast one where it is verified for the network and the optimiser needs no more than its four digits.

    ``lean`` where a copy of the weights is in memory already.
    """
    from lab.attacks.derivative.frozen_matcher import FrozenMatcher
    from lab.attacks.derivative.frozen_verification import can_freeze

    network, shared = observation.network, observation.update
    steps = observation.protocol.steps(observation.batch_size)
    if not steps.optimiser.is_plain:
        _refuse_frozen(attack, steps)
    elif observation.protocol.is_stepwise and attack.wants_frozen():
        if can_freeze(observation):
            return FrozenMatcher(network, steps, attack.distance, shared, lean=lean)
        if attack.derivative is Derivative.FROZEN:
            raise LabError(NOT_VERIFIED)
    return ExactMatcher(partial(observation.protocol.update, network, differentiable=True), attack.distance, shared)


def _of_surrogate(attack: Matching, surrogate: Surrogate) -> Matcher:
    """That of its single step, or of its soft ones."""
    if isinstance(surrogate, LongStepSurrogate):
        return matcher_of(attack, surrogate.observation, lean=True)
    assert isinstance(surrogate, SoftStepsSurrogate)
    _refuse_frozen(attack, surrogate.steps)
    return ExactMatcher(surrogate.update, attack.distance, surrogate.client.update)


def _refuse_frozen(attack: Matching, steps: LocalSteps) -> None:
    """Raise ``LabError`` where the fast derivative is asked for of steps that it does not follow."""
    if attack.derivative is Derivative.FROZEN:
        raise LabError(NOT_PLAIN.format(name=steps.optimiser.name))


def _note(attack: Matching, observation: Observation, matcher: Matcher) -> str:
    """Of steps that the fast way does not follow it is not said."""
    optimiser = observation.protocol.steps(observation.batch_size).optimiser
    followed = optimiser.is_plain or (optimiser.is_linear and attack.local_steps is Steps.SURROGATE)
    return SLOWER if followed and attack.tolerates_rounding() and isinstance(matcher, ExactMatcher) else ""
