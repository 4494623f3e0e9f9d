"""What an attack is: from an observation, and nothing else, to a stream of states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from lab.lazy import Tensor, torch

from lab.attacks.labels.llg import counting_note
from lab.errors import LabError
from lab.federated.observation import Observation
from lab.federated.tensors import Images, Inputs, Labels
from lab.modalities.base import modality_of
from lab.options.catalogue import Entry

if TYPE_CHECKING:
    from lab.attacks.closed_form.report import LayerRecovery


class Outcome(Enum):
    """How an attack ended; the value is the sentence the reader sees. Each attack declares its own beside itself."""


class Interrupted(Outcome):
    """How an attack ended that somebody cut short."""

    STOPPED = "Stopped before the budget was spent."


@dataclass(frozen=True)
class RecoveredPart:
    """One thing that was read off without guessing, and the numbers that speak for it."""

    what: str
    distance: float
    """How far it is from fitting what was shared."""
    runner_up: str
    """The nearest of all that was refused; empty where there is none."""
    runner_up_distance: float


@dataclass(frozen=True, eq=False)
class AttackState:
    """One moment of an attack: detached copies only, safe to keep."""

    iteration: int
    iterations: int
    candidate: Inputs
    """As the network eats it; pictures are one tensor, (batch, channels, height, width)."""
    objective: float
    terms: Mapping[str, float] = field(default_factory=dict[str, float])
    restart: int = 0
    labels: Labels | None = None
    features: Tensor | None = None
    """Recovered input of the first fully connected layer, shape (batch, features); closed-form attacks only."""
    outcome: Outcome | None = None
    note: str = ""
    """The number behind the outcome, in one sentence."""
    layers: tuple[LayerRecovery, ...] = ()
    """Peeled layers, top to bottom; closed-form attacks only."""
    recovered_parts: tuple[RecoveredPart, ...] = ()
    """All that was read off so far, in its order; attacks that check a list only."""
    whole: Inputs | None = None
    """What the candidate is a part of, in its order, where an attack that is done tells its answer bit by bit."""
    other: Inputs | None = None
    """Another answer that explains what was shared as well, where one was found."""

    @property
    def images(self) -> Images:
        """The candidate of an attack on pictures. Raises ``LabError`` where it is none."""
        if isinstance(self.candidate, Mapping):
            raise LabError(f"This candidate is no picture: it holds {', '.join(self.candidate)}; take ``candidate``.")
        return self.candidate

    def after(self, earlier: AttackState) -> AttackState:
        """The same of an attack that goes on where another ended: counted on from there, with what that read off layers."""
        return replace(self.counted_on(earlier.iteration), features=earlier.features, layers=earlier.layers)

    def counted_on(self, passed: int) -> AttackState:
        """The same, so many steps having passed before."""
        return replace(self, iteration=passed + self.iteration, iterations=passed + self.iterations)


def final_state(observation: Observation, state: AttackState, outcome: Outcome, note: str) -> AttackState:
    """An attack's last state: with its outcome, the number behind it, and what counting its labels took for granted."""
    return replace(state, outcome=outcome, note=" ".join(filter(None, (note, counting_note(observation)))))


def with_note(sentence: str, states: Iterator[AttackState]) -> Iterator[AttackState]:
    """States whose last one has a sentence before its note."""
    for state in states:
        yield state if state.outcome is None else replace(state, note=f"{sentence} {state.note}".strip())


def uninformed(observation: Observation) -> Inputs:
    """What knowing nothing of the inputs suggests: grey pictures."""
    return modality_of(observation.modality).start(observation, torch.Generator(), noise=False)


class Attack(Entry):
    """Base of all attacks."""

    kind: ClassVar[str] = "attack"
    modality: ClassVar[str] = ""
    """The only one whose inputs it can find, an entry of ``lab/modalities``; empty where any will do."""
    seeks_inputs: ClassVar[bool] = True
    """Whether it finds more than labels."""

    @classmethod
    def suits(cls, modality: str) -> bool:
        """Whether it works on such inputs."""
        return cls.modality in ("", modality)

    @abstractmethod
    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """Yield states until done; the last one carries the outcome. To stop, ask for no more."""
