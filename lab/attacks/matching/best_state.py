"""The state of an attack whose own update came nearest to the shared one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from lab.attacks.base import AttackState, Outcome
from lab.attacks.closed_form.mismatch import known_labels
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.outcomes import MatchingOutcome
from lab.federated.inputs import moved_to
from lab.federated.observation import Observation
from lab.modalities.base import modality_of


@dataclass(frozen=True, eq=False)
class BestState:
    """A state, and how near it came."""

    state: AttackState
    distance: float = math.inf
    note: str = ""
    """What there is to say of this state."""

    @property
    def ranking(self) -> tuple[bool, float]:
        """Attempts that ended well come first; then the nearest."""
        return self.state.outcome in (MatchingOutcome.NOT_FINITE, MatchingOutcome.NEVER_FINITE), self.distance

    def ended(self, iteration: int, outcome: Outcome | None) -> BestState:
        """The same, at the end of an attempt that went on to this iteration."""
        return replace(self, state=replace(self.state, iteration=iteration, outcome=outcome))


def update_distance(distance: Distance, observation: Observation, state: AttackState) -> float:
    """How far the update of a state's candidate, as it is shown, is from the shared one; infinite where it is no number."""
    labels = known_labels(observation) if state.labels is None else state.labels
    shown = modality_of(observation.modality).inside(moved_to(state.candidate, observation.device))
    update = observation.protocol.update(observation.network, shown, labels)
    found = float(distance({name: update[name].detach() for name in observation.update}, observation.update))
    return found if math.isfinite(found) else math.inf
