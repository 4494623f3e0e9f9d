"""Where truth meets reconstruction, and nowhere else: an attack's state and the private inputs in, scores out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from lab.lazy import Tensor, np

from lab.attacks.base import AttackState
from lab.client.batch import Batch
from lab.errors import LabError, quoted
from lab.evaluation.label_scores import label_accuracy, recovered_labels
from lab.evaluation.layers import head_input_error
from lab.evaluation.reconstructions import paired
from lab.evaluation.round import Round
from lab.evaluation.scores import InputScore, Scores
from lab.evaluation.truth import Truth, truth_of
from lab.federated.inputs import concatenated, count, rows
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import Modality
from lab.modalities.line_up import place

if TYPE_CHECKING:
    Given = Tensor | np.ndarray[Any, Any] | Mapping[str, Tensor] | Batch | Round


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
    return _scores(Truth.of(truth) if isinstance(truth, Round) else truth_of(state, truth, seen), state)


def _scores(truth: Truth, state: AttackState) -> Scores:
    modality = truth.modality
    candidate, pairing = paired(truth, state)
    labels = recovered_labels(truth, state, pairing)
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
        label_accuracy=label_accuracy(truth, state),
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
    suspects = concatenated(rows(truth.inputs, own), rows(truth.line_up, slice(1, None)))
    return place(truth.modality.likeness(rows(paired, own), suspects))


def _closed_form_error(truth: Truth, state: AttackState) -> float | None:
    if state.features is None or truth.observation is None:
        return None
    return head_input_error(truth.observation.network, truth.inputs, state.features)
