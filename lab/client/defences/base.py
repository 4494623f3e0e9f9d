"""What a defence is: a pure change of the update before it leaves the client, or of how the client trains."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lab.lazy import nn, torch

from lab.federated.gradient_rules import GradientRule
from lab.federated.protocols.base import Protocol
from lab.federated.tensors import Gradients
from lab.options.catalogue import Entry
from lab.options.fields import fields_of

STRENGTHS = 5


class Defence(Entry):
    """Base of all defences."""

    kind: ClassVar[str] = "defence"
    dial: ClassVar[str] = "strength"
    """The field that turns it up."""
    dial_values: ClassVar[tuple[float, ...]] = ()
    """Five values of it, from weak to strong, at which studies measure it; none takes five between weakest and strongest."""
    least_inputs: ClassVar[int] = 1
    """Private inputs that it needs behind one update to do anything."""

    @classmethod
    def weakest(cls) -> Defence:
        """Such a defence where it changes nothing: every number at its lower bound, unless a defence says otherwise."""
        return cls(**{field.name: field.bounds.low for field in fields_of(cls) if field.bounds is not None})

    @classmethod
    def strongest(cls) -> Defence:
        """Such a defence where it changes most: every number at its upper bound, unless a defence says otherwise."""
        return cls(**{field.name: field.bounds.high for field in fields_of(cls) if field.bounds is not None})

    def extended(self, head: nn.Sequential) -> nn.Sequential:
        """The head of the network that all train, where the defence puts something into it; else the head given, itself."""
        return head

    @classmethod
    def strengths(cls) -> tuple[Defence, ...]:
        """Five such defences, from weak to strong, that studies measure; all that the dial does not turn is as by default."""
        if cls.dial_values:
            return tuple(cls(**{cls.dial: value}) for value in cls.dial_values)
        return tuple(cls._on_the_way(step / STRENGTHS) for step in range(1, STRENGTHS + 1))

    @classmethod
    def _on_the_way(cls, share: float) -> Defence:
        """Every bounded number at a share of its way from the weakest to the strongest."""
        weakest, strongest = cls.weakest(), cls.strongest()
        numbers = {field.name: field.type for field in fields_of(cls) if field.bounds is not None}
        ends = {name: (getattr(weakest, name), getattr(strongest, name)) for name in numbers}
        return cls(**{name: numbers[name](low + share * (high - low)) for name, (low, high) in ends.items()})

    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """The rule by which the client takes each gradient: the one given, itself, unless the defence changes that."""
        return rule

    def server_view(self, protocol: Protocol, pictures: int) -> Protocol:
        """The protocol that a server with the code simulates, of a client with so many inputs: mostly the one given, itself."""
        return protocol

    @abstractmethod
    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """The update that is sent instead; the one given is not changed."""

    def remembering(self, update: Gradients, memory: Gradients, generator: torch.Generator) -> tuple[Gradients, Gradients]:
        """The update that a client sends that takes part more than once, and its memory then; at first it remembers nothing."""
        return self.apply(update, generator), {}

    def withheld_tensors(self, network: nn.Module) -> tuple[str, ...]:
        """The tensors of this network's update of which the defence leaves a part out, whatever the inputs are."""
        return ()

    def working(self, weights: int, largest: int) -> int:
        """Numbers that the defence needs in memory on its way, beside what is given and what is sent.

        Of an update of so many in all, and as many in its largest tensor.
        """
        return largest


class TrainingDefence(Defence):
    """Base of the defences that change how the client trains, and nothing of the update that comes of it."""

    @abstractmethod
    def training(self, rule: GradientRule, generator: torch.Generator) -> GradientRule:
        """The rule by which the client takes each gradient."""

    def apply(self, update: Gradients, generator: torch.Generator) -> Gradients:
        """The update as training left it."""
        return update
