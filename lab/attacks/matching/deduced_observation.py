"""What became known of how a client computed: an attack that goes by it sees another observation, and says so."""

from __future__ import annotations

from dataclasses import dataclass

from lab.federated.observation import Observation


@dataclass(frozen=True, eq=False)
class DeducedObservation:
    """One thing that an update, or the code of a defence, tells."""

    observation: Observation
    """The client as one of which it need not be told any more."""
    sentence: str
