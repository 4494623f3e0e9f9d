"""What an attack is: from an observation, and nothing else, to a stream of states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from lab.late import torch

from lab.catalogue import Entry
from lab.types import AttackState, Observation


class Attack(Entry):
    """Base of all attacks."""

    kind: ClassVar[str] = "attack"

    @abstractmethod
    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Yield states until done; the last one carries the outcome. To stop, ask for no more."""
