"""Labels that an attack found, beside the true ones."""

from __future__ import annotations

from collections import Counter

from lab.lazy import Tensor

from lab.attacks.base import AttackState
from lab.evaluation.round import Round
from lab.evaluation.truth import Truth
from lab.federated.observation import LabelSource
from lab.federated.tensors import Labels


def labels_right(attacked: Round, state: AttackState) -> float | None:
    """The share of labels that the attack found by itself, repeats counted and their order not.

    None where it was told them, or found none.
    """
    return label_accuracy(Truth.of(attacked), state)


def label_accuracy(truth: Truth, state: AttackState) -> float | None:
    """``labels_right`` against any truth."""
    if truth.told_labels or state.labels is None or truth.labels is None:
        return None
    common = Counter(state.labels.tolist()) & Counter(truth.labels.tolist())
    return sum(common.values()) / len(truth.labels)


def recovered_labels(truth: Truth, state: AttackState, pairing: Tensor) -> list[int] | None:
    """The label found for each private picture; None where the attack was told them, or found none."""
    if truth.told_labels or state.labels is None or truth.labels is None:
        return None
    if truth.observation is not None and truth.observation.label_source is LabelSource.JOINT:
        return state.labels[pairing].tolist()
    return _dealt_out(state.labels, truth.labels)


def _dealt_out(found: Labels, true: Labels) -> list[int]:
    """Labels read off a whole batch, a picture each: to each its own as long as there is one, then the others in order."""
    left, owned = Counter(found.tolist()), list[bool]()
    for label in true.tolist():
        owned.append(left[label] > 0)
        left[label] -= owned[-1]
    others = left.elements()
    return [label if own else next(others) for label, own in zip(true.tolist(), owned, strict=True)]
