"""What a defence is: a pure change of the update before it leaves the client."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lab.late import torch

from lab.catalogue import Entry
from lab.types import Gradients


class Defence(Entry):
    """Base of all defences; at strength 0 a defence changes nothing."""

    kind: ClassVar[str] = "defence"

    @abstractmethod
    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """The update that is sent instead; the one given is not changed."""
