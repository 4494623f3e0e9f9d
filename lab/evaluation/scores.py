"""Where truth meets reconstruction, and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from lab.late import Tensor, np, torch

from lab.attacks.base import AttackState
from lab.client.batch import Batch
from lab.errors import LabError, quoted
from lab.evaluation.layers import head_input_error
from lab.evaluation.round import Round
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import Images, Labels, Suspects
from lab.modalities.images.line_up import Verdict, place, verdict
from lab.modalities.images.registration import Registration, register
from lab.modalities.images.scores import best_matching, mse, psnr_db
from lab.modalities.images.similarity import ssim
from lab.randomness import stream

if TYPE_CHECKING:
    pass


if TYPE_CHECKING:
    Given = Tensor | np.ndarray[Any, Any] | Batch | Round

DECOYS = 7
"""Pictures beside the private one in a line-up."""


@dataclass(frozen=True)
class PictureScore:
    """How close one reconstruction is to its private picture."""

    mse: float
    psnr_db: float
    """10 log10(1 / MSE) for pixels in [0, 1]; 13 dB is what a grey square gets."""
    ssim: float
    """Structural similarity (Wang et al. 2004), 1 for equal pictures."""
    label: int | None
    """The true one; None where the truth came without labels."""
    label_recovered: int | None
    """The label that moved with its reconstruction; of labels that nothing ties to pictures, its own where one of them is."""
    matched: int
    """Which reconstruction of the batch was paired with this private picture."""
    line_up_rank: int
    """Place of this private picture among it and the decoys, by likeness to its reconstruction; 1 is best."""
    likeness: float
    """Correlation of the shapes in reconstruction and private picture, in [-1, 1]."""


@dataclass(frozen=True)
class Scores:
    """The scores of a whole batch, beside what knowing nothing would score."""

    pictures: tuple[PictureScore, ...]
    line_up_rank: int
    line_up_size: int
    likeness: float
    """That of the picture in the middle, by likeness, as are the rank and the verdict."""
    verdict: Verdict
    label_accuracy: float | None
    grey_psnr_db: float
    mean_psnr_db: float
    max_abs_error: float | None

    @property
    def psnr_db(self) -> float:
        """Mean over the batch."""
        return sum(score.psnr_db for score in self.pictures) / len(self.pictures)

    @property
    def ssim(self) -> float:
        """Mean over the batch."""
        return sum(score.ssim for score in self.pictures) / len(self.pictures)


@dataclass(frozen=True, eq=False)
class Truth:
    """What a reconstruction is held against."""

    images: Images
    labels: Labels | None
    line_up: Suspects
    """The first private picture, then decoys."""
    observation: Observation | None
    """What the attack saw; without it nothing tells whether it was given its labels, nor what a network's features are."""

    @classmethod
    def of(cls, attacked: Round) -> Truth:
        """That of a simulated round."""
        return cls(attacked.batch.images, attacked.batch.labels, attacked.line_up, attacked.observation)

    @property
    def told_labels(self) -> bool:
        """Whether labels that the attack names are none of its own finding, as far as is known."""
        return self.observation is None or self.observation.labels is not None


@overload
def score(state: AttackState, truth: Given, *, seen: Observation | None = None) -> Scores: ...


@overload
def score(state: Round, truth: AttackState) -> Scores: ...


def score(state: Any, truth: Any, *, seen: Any = None) -> Scores:
    """All scores of one state of an attack against the private pictures; ``score(state, truth).verdict`` sums them up.

    ``truth`` is the pictures, shape (batch, channels, height, width) and pixels in [0, 1], as a tensor or an array; or a
    ``Batch``, which has their labels, too; or a simulated ``Round``, which may also come first. ``seen``, the observation, is
    needed to score labels and features that the attack found; a round has it. The decoys of the line-up are the round's, or
    pictures of the gallery. Raises ``LabError`` where the two cannot be compared.
    """
    if isinstance(state, Round):
        state, truth = truth, state
    if not isinstance(state, AttackState):
        raise LabError(f"state = {quoted(state)} is no state of an attack; give one that lab.attack(...) yields.")
    return _scores(Truth.of(truth) if isinstance(truth, Round) else _truth(state, truth, seen), state)


def _truth(state: AttackState, given: Any, seen: Any) -> Truth:
    """Private pictures beside decoys of the gallery."""
    from lab.client.datasets.gallery import decoys  # imported here: it reads the gallery's list

    batch = given if isinstance(given, Batch) else None
    try:
        images = torch.as_tensor(batch.images if batch else given).detach().to(state.candidate)
    except (TypeError, ValueError, RuntimeError):
        raise LabError(f"truth = {quoted(given)} is no batch of pictures; give a tensor of their pixels.") from None
    if images.shape != state.candidate.shape:
        raise LabError(
            f"truth has the shape {tuple(images.shape)}, and the attack found pictures of the shape "
            f"{tuple(state.candidate.shape)}; give the private pictures of that shape."
        )
    if not bool(((images >= 0) & (images <= 1)).all()):
        raise LabError("truth holds numbers beyond 0 and 1; give pixels in [0, 1], as they were before normalisation.")
    line_up = torch.cat([images[:1], decoys(images, DECOYS, stream(0, "line-up")).to(images)])
    return Truth(images, batch.labels if batch else None, line_up, seen)


def _scores(truth: Truth, state: AttackState) -> Scores:
    candidate, pairing = _paired(truth.images, state)
    labels = _recovered_labels(truth, state, pairing)
    pictures = _picture_scores(truth, candidate[pairing], pairing, labels)
    typical = sorted(pictures, key=lambda picture: picture.likeness)[len(pictures) // 2]
    others = truth.line_up[1:].mean(0).expand_as(truth.images)
    return Scores(
        pictures=pictures,
        line_up_rank=typical.line_up_rank,
        line_up_size=len(truth.line_up),
        likeness=typical.likeness,
        verdict=verdict(typical.line_up_rank, typical.likeness),
        label_accuracy=_labels_right(truth, state),
        grey_psnr_db=float(psnr_db(torch.full_like(truth.images, 0.5), truth.images).mean()),
        mean_psnr_db=float(psnr_db(others, truth.images).mean()),
        max_abs_error=_closed_form_error(truth, state),
    )


def _paired(truth: Images, state: AttackState) -> tuple[Images, Tensor]:
    """The candidate as pixels, and for each private picture the place of its reconstruction in it."""
    candidate = state.candidate.to(truth).clamp(0, 1)
    return candidate, best_matching(truth, candidate)


def reconstructions(attacked: Round, state: AttackState) -> Images:
    """What the attack made of each private picture, in the private pictures' order."""
    candidate, pairing = _paired(attacked.batch.images, state)
    return candidate[pairing]


def registrations(attacked: Round, state: AttackState) -> tuple[Registration, ...]:
    """For each private picture where its reconstruction lies, and the PSNR once that is moved back."""
    pairs = zip(reconstructions(attacked, state), attacked.batch.images, strict=True)
    return tuple(register(mine, true) for mine, true in pairs)


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


def _picture_scores(truth: Truth, paired: Images, pairing: Tensor, labels: list[int] | None) -> tuple[PictureScore, ...]:
    errors, ratios, similarities = (measure(paired, truth.images) for measure in (mse, psnr_db, ssim))
    places = [_line_up_of(truth, paired, index) for index in range(len(truth.images))]
    return tuple(
        PictureScore(
            mse=float(errors[index]),
            psnr_db=float(ratios[index]),
            ssim=float(similarities[index]),
            label=None if truth.labels is None else int(truth.labels[index]),
            label_recovered=None if labels is None else labels[index],
            matched=int(pairing[index]),
            line_up_rank=places[index][0],
            likeness=places[index][1],
        )
        for index in range(len(truth.images))
    )


def _line_up_of(truth: Truth, paired: Images, index: int) -> tuple[int, float]:
    """The line-up of one private picture: itself first, then the decoys."""
    suspects = torch.cat([truth.images[index : index + 1], truth.line_up[1:]])
    return place(paired[index : index + 1], suspects)


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
    return head_input_error(truth.observation.network, truth.images, state.features)
