"""Only the labels: what the last layer tells about a batch without a search for its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, ClassVar

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState, Outcome, uninformed
from lab.attacks.labels import rules
from lab.attacks.labels.llg import length_factor, length_note, multi_labels, multi_labels_note, recover_labels
from lab.errors import LabError
from lab.federated.observation import Observation
from lab.federated.tensors import Labels
from lab.options.fields import Help


class Rule(Enum):
    """Which published rule reads the labels."""

    IDLG = "idlg"
    LLG = "llg"
    GRADINVERSION = "gradinversion"
    ILRG = "ilrg"


_RULES: dict[Rule, Callable[[Observation], Labels]] = {
    Rule.IDLG: rules.idlg,
    Rule.LLG: recover_labels,
    Rule.GRADINVERSION: rules.gradinversion,
    Rule.ILRG: rules.ilrg,
}

_FACTORS: dict[Rule, Callable[[Observation], float]] = {Rule.LLG: length_factor, Rule.ILRG: rules.ilrg_factor}


class LabelReadingOutcome(Outcome):
    """How reading the labels ended."""

    LABELS_ONLY = "The labels alone were read off the last layer; no picture was sought."


@dataclass(frozen=True)
class LabelReading(Attack):
    """Reads the labels of a batch off the last layer's gradient by one of four rules; the inputs stay unknown."""

    seeks_inputs: ClassVar[bool] = False
    rule: Annotated[Rule, Help("iDLG: row sums; LLG: the bias, class by class; GradInversion: row minima; iLRG: counts")] = (
        Rule.LLG
    )

    def reconstruct(self, observation: Observation, generator: torch.Generator) -> Iterator[AttackState]:
        """One state: the labels in ascending order. Raises ``LabError`` where the last layer does not suit the rule."""
        if observation.classes == 1 and self.rule is not Rule.LLG:
            raise LabError(f"The rule {self.rule.value} compares classes, and this network has one logit; take rule=llg.")
        if observation.tells_nothing:
            raise LabError("Labels cannot be read: every shared number is zero. Send an update that moved a weight.")
        several = multi_labels(observation)
        if several is not None:
            note, labels = multi_labels_note(several), None
        else:
            labels = _RULES[self.rule](observation)
            note = self._length_note(observation) if observation.batch_size > 1 else ""
        found = AttackState(1, 1, uninformed(observation), 0.0, {}, labels=labels)
        yield replace(found, outcome=LabelReadingOutcome.LABELS_ONLY, note=note)

    def _length_note(self, observation: Observation) -> str:
        """What counts of repeated labels take the length of the update for; the other rules do not mind it."""
        if self.rule not in _FACTORS:
            return ""
        return length_note(_FACTORS[self.rule](observation))
