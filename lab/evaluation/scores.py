"""Where truth meets reconstruction, and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from lab.lazy import Tensor, np, torch

from lab.attacks.base import AttackState
from lab.client.batch import Batch
from lab.client.datasets.base import Dataset
from lab.errors import LabError, quoted
from lab.evaluation.layers import head_input_error
from lab.evaluation.round import Round
from lab.federated.inputs import count, first, joined, moved, rows, shape_of, spoken_shape
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import IMAGES, Inputs, Labels
from lab.modalities.base import Modality, modality_of
from lab.modalities.line_up import Verdict, place
from lab.options.catalogue import find
from lab.randomness import stream

if TYPE_CHECKING:
    Given = Tensor | np.ndarray[Any, Any] | Mapping[str, Tensor] | Batch | Round

DECOYS = 7
"""Inputs beside the private one in a line-up."""


class Measured:
    """Something with measures, each of which is also an attribute: ``scores.psnr_db``."""

    def _numbers(self) -> Mapping[str, float]:
        return vars(self).get("measures", {})

    def __getattr__(self, name: str) -> float:
        """A measure by its name."""
        found = self._numbers()
        if name not in found:
            raise AttributeError(f"there is no measure {name!r}; there are {', '.join(found)}")
        return found[name]


@dataclass(frozen=True)
class InputScore(Measured):
    """How close one reconstruction is to its private input."""

    measures: Mapping[str, float]
    """Those of the modality, by name: of pictures mse, psnr_db and ssim."""
    label: int | None
    """The true one; None where the truth came without labels."""
    label_recovered: int | None
    """The label that moved with its reconstruction; of labels that nothing ties to inputs, its own where one of them is."""
    matched: int
    """Which reconstruction of the batch was paired with this private input."""
    line_up_rank: int
    """Place of this private input among it and the decoys, by likeness to its reconstruction; 1 is best."""
    likeness: float
    """As the modality tells it, at most 1."""

    def plain(self) -> dict[str, Any]:
        """Every number by its name."""
        return {**self.measures, **{name: value for name, value in vars(self).items() if name != "measures"}}


@dataclass(frozen=True)
class Scores(Measured):
    """The scores of a whole batch, beside what knowing nothing would score."""

    by_input: tuple[InputScore, ...]
    """One for each private input."""
    measures: Mapping[str, float]
    """The means over the batch."""
    controls: Mapping[str, float]
    """What each answer that knows nothing scores: of pictures grey_psnr_db and mean_psnr_db."""
    line_up_rank: int
    line_up_size: int
    likeness: float
    """That of the input in the middle, by likeness, as are the rank and the verdict."""
    verdict: Verdict
    label_accuracy: float | None
    max_abs_error: float | None

    def _numbers(self) -> Mapping[str, float]:
        return {**vars(self).get("measures", {}), **vars(self).get("controls", {})}

    def plain(self) -> dict[str, Any]:
        """Everything as plain data."""
        own = {name: value for name, value in vars(self).items() if name not in ("by_input", "measures", "controls")}
        told = {"pictures": [score.plain() for score in self.by_input], "verdict": self.verdict.value}
        return {**own, **self.measures, **self.controls, **told}


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reconstruction is held against."""

    modality: Modality
    inputs: Inputs
    labels: Labels | None
    line_up: Inputs
    """The first private input, then decoys."""
    observation: Observation | None
    """What the attack saw; without it nothing tells whether it was given its labels, nor what a network's features are."""

    @classmethod
    def of(cls, attacked: Round) -> Truth:
        """That of a simulated round."""
        batch, seen = attacked.batch, attacked.observation
        return cls(modality_of(seen.modality), batch.inputs, batch.labels, attacked.line_up, seen)

    @property
    def told_labels(self) -> bool:
        """Whether labels that the attack names are none of its own finding, as far as is known."""
        return self.observation is None or self.observation.labels is not None


@overload
def score(state: AttackState, truth: Given, *, seen: Observation | None = None) -> Scores: ...


@overload
def score(state: Round, truth: AttackState) -> Scores: ...


def score(state: Any, truth: Any, *, seen: Any = None) -> Scores:
    """All scores of one state of an attack against the private inputs; ``score(state, truth).verdict`` sums them up.

    ``truth`` is pictures, shape (batch, channels, height, width) and pixels in [0, 1], as a tensor or an array; or what
    another modality's inputs are; or a ``Batch``, which has their labels, too; or a simulated ``Round``, which may also come
    first. ``seen``, the observation, is needed to score labels and features that the attack found, and all but pictures; a
    round has it. The decoys of the line-up are the round's, or those of the set that ships (of pictures the gallery).
    Raises ``LabError`` where the two cannot be compared.
    """
    if isinstance(state, Round):
        state, truth = truth, state
    if not isinstance(state, AttackState):
        raise LabError(f"state = {quoted(state)} is no state of an attack; give one that lab.attack(...) yields.")
    return _scores(Truth.of(truth) if isinstance(truth, Round) else _truth(state, truth, seen), state)


def _truth(state: AttackState, given: Any, seen: Any) -> Truth:
    """Private inputs beside decoys of the set that ships."""
    modality = modality_of(IMAGES) if seen is None else modality_of(seen.modality)
    batch = given if isinstance(given, Batch) else None
    found = modality.decode(state.candidate, seen)
    inputs = _as_tensors(batch.inputs if batch else given, found, modality)
    modality.refuse(inputs)
    decoys = shipped_set(modality).decoys(inputs, DECOYS, stream(0, "line-up"))
    line_up = joined(rows(inputs, slice(1)), modality.alike(decoys, inputs))
    return Truth(modality, inputs, batch.labels if batch else None, line_up, seen)


def _as_tensors(given: Any, found: Inputs, modality: Modality) -> Inputs:
    """The truth as tensors like those found. Raises ``LabError`` where it cannot be them."""
    try:
        if isinstance(found, Mapping):
            inputs = {name: torch.as_tensor(given[name]).detach().to(tensor) for name, tensor in found.items()}
        else:
            inputs = torch.as_tensor(given).detach().to(found)
    except (TypeError, ValueError, RuntimeError, LookupError):
        raise LabError(f"truth = {quoted(given)} is no batch of {modality.many}; give a tensor of their pixels.") from None
    if (count(inputs), shape_of(inputs)) != (count(found), shape_of(found)):
        raise LabError(
            f"truth has the shape {spoken_shape(inputs)}, and the attack found {modality.many} of the shape "
            f"{spoken_shape(found)}; give the private {modality.many} of that shape."
        )
    return inputs


def shipped_set(modality: Modality) -> Dataset:
    """The data set of a modality that needs no file."""
    found = find("dataset", modality.dataset)()
    assert isinstance(found, Dataset)
    return found


def _scores(truth: Truth, state: AttackState) -> Scores:
    modality = truth.modality
    candidate, pairing = _paired(truth, state)
    labels = _recovered_labels(truth, state, pairing)
    scored = _input_scores(truth, rows(candidate, pairing), pairing, labels)
    typical = sorted(scored, key=lambda one: one.likeness)[len(scored) // 2]
    return Scores(
        by_input=scored,
        measures={name: _mean([one.measures[name] for one in scored]) for name in modality.measures},
        controls=_controls(truth),
        line_up_rank=typical.line_up_rank,
        line_up_size=count(truth.line_up),
        likeness=typical.likeness,
        verdict=modality.thresholds.verdict(typical.line_up_rank, typical.likeness),
        label_accuracy=_labels_right(truth, state),
        max_abs_error=_closed_form_error(truth, state),
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _controls(truth: Truth) -> dict[str, float]:
    """What each answer that knows nothing scores, by the modality's main measure."""
    measure = truth.modality.measures[truth.modality.main]
    answers = truth.modality.ignorance(truth.inputs, rows(truth.line_up, slice(1, None)))
    return {
        control_name(truth.modality, name): float(measure.of(answer, truth.inputs).mean()) for name, answer in answers.items()
    }


def control_name(modality: Modality, name: str) -> str:
    """What a control's score is called: "grey_psnr_db"."""
    return f"{name}_{modality.main}"


def _paired(truth: Truth, state: AttackState) -> tuple[Inputs, Tensor]:
    """The candidate as inputs, and for each private one the place of its reconstruction in it."""
    candidate = truth.modality.decode(moved(state.candidate, first(truth.inputs)), truth.observation)
    return candidate, truth.modality.pair(truth.inputs, candidate)


def decoded(attacked: Round, state: AttackState) -> Inputs:
    """What the attack found, as inputs, in the order in which it found them."""
    return modality_of(attacked.observation.modality).decode(state.candidate, attacked.observation)


def reconstructions(attacked: Round, state: AttackState) -> Inputs:
    """What the attack made of each private input, in the private inputs' order."""
    candidate, pairing = _paired(Truth.of(attacked), state)
    return rows(candidate, pairing)


def line_up_likeness(attacked: Round, state: AttackState) -> list[float]:
    """How like what the attack made of the first private input is to each suspect of its line-up, the private one first."""
    likeness = modality_of(attacked.observation.modality).likeness
    return likeness(rows(reconstructions(attacked, state), slice(1)), attacked.line_up).tolist()


def main_measure(attacked: Round, state: AttackState) -> float:
    """The modality's main measure, mean over the batch: what a curve shows, without the rest of the scores."""
    truth = Truth.of(attacked)
    candidate, pairing = _paired(truth, state)
    return float(truth.modality.measures[truth.modality.main].of(rows(candidate, pairing), truth.inputs).mean())


def labels_right(attacked: Round, state: AttackState) -> float | None:
    """The share of labels that the attack found by itself, repeats counted and their order not.

    None where it was told them, or found none.
    """
    return _labels_right(Truth.of(attacked), state)


def _labels_right(truth: Truth, state: AttackState) -> float | None:
    if truth.told_labels or state.labels is None or truth.labels is None:
        return None
    common = Counter(state.labels.tolist()) & Counter(truth.labels.tolist())
    return sum(common.values()) / len(truth.labels)


def _input_scores(truth: Truth, paired: Inputs, pairing: Tensor, labels: list[int] | None) -> tuple[InputScore, ...]:
    measured = truth.modality.scores(truth.inputs, paired)
    places = [_line_up_of(truth, paired, index) for index in range(count(truth.inputs))]
    return tuple(
        InputScore(
            measures={name: float(values[index]) for name, values in measured.items()},
            label=None if truth.labels is None else int(truth.labels[index]),
            label_recovered=None if labels is None else labels[index],
            matched=int(pairing[index]),
            line_up_rank=rank,
            likeness=likeness,
        )
        for index, (rank, likeness) in enumerate(places)
    )


def _line_up_of(truth: Truth, paired: Inputs, index: int) -> tuple[int, float]:
    """The line-up of one private input: itself first, then the decoys."""
    own = slice(index, index + 1)
    suspects = joined(rows(truth.inputs, own), rows(truth.line_up, slice(1, None)))
    return place(truth.modality.likeness(rows(paired, own), suspects))


def _recovered_labels(truth: Truth, state: AttackState, pairing: Tensor) -> list[int] | None:
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


def _closed_form_error(truth: Truth, state: AttackState) -> float | None:
    if state.features is None or truth.observation is None:
        return None
    return head_input_error(truth.observation.network, truth.inputs, state.features)
