"""What a server is told of a round beside model and update, checked at every door: how many pictures, and their labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lab.lazy import Tensor, np, torch

from lab.errors import LabError, quoted
from lab.federated.observation import LabelSource

if TYPE_CHECKING:
    from lab.federated.losses.base import Loss

MAX_PICTURES, MAX_NUMBERS = 10_000, 10**9
"""Pictures behind one update, and numbers in all of them: more is a slip."""


def checked_batch(batch_size: Any, labels: Tensor | None, shape: tuple[int, int, int]) -> int:
    """How many pictures of that shape: as told, else as many as labels, else one."""
    told = 1 if labels is None else len(labels)
    count = told if batch_size is None else batch_size
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_PICTURES:
        raise LabError(f"batch_size = {quoted(batch_size)} is not possible; give a whole number from 1 to {MAX_PICTURES:,}.")
    if labels is not None and count != told:
        raise LabError(f"There are {told} labels for batch_size = {count} pictures; give a label for each, or none.")
    if math.prod(shape) * count > MAX_NUMBERS:
        raise LabError(f"{count:,} pictures of the shape {shape} are too many numbers; give at most {MAX_NUMBERS:,}.")
    return count


def detached_on_cpu(numbers: Any) -> Any:
    """Off any graph and accelerator, so that numpy takes it."""
    return numbers.detach().cpu() if isinstance(numbers, Tensor) else numbers


def class_numbers(labels: Any) -> Tensor | None:
    """Labels as whole numbers, shape (batch,); as zeros and ones, shape (batch, classes), where a picture has any number."""
    if labels is None:
        return None
    try:
        found = np.atleast_1d(np.asarray(detached_on_cpu(labels)))
    except (TypeError, ValueError, RuntimeError):
        found = np.zeros(0)
    if found.ndim == 2 and found.size and found.dtype.kind in "iufb" and bool(np.isin(found, (0, 1)).all()):
        return torch.as_tensor(found.astype("float32"))
    if found.dtype.kind not in "iu" or found.ndim > 1 or not len(found):
        raise LabError(
            f"labels = {quoted(labels)} are no class numbers; give a whole number for each picture, shape (batch,), or a "
            "zero or a one for each of its classes, shape (batch, classes)."
        )
    return torch.as_tensor(found.astype("int64"))


def check_classes(labels: Tensor | None, classes: int, loss: Loss) -> None:
    """Raise ``LabError`` for labels that the model has no logits for; one logit tells class 1 from class 0.

    Rows of zeros and ones are for losses that take each class by itself.
    """
    if labels is not None and labels.ndim == 2:
        _check_rows(labels, classes, loss)
        return
    classes = max(classes, 2)
    if labels is not None and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise LabError(
            f"labels from {int(labels.min())} to {int(labels.max())} reach beyond the model's {classes} classes; give numbers "
            f"from 0 to {classes - 1}."
        )


def _check_rows(labels: Tensor, classes: int, loss: Loss) -> None:
    if not loss.takes_rows:
        raise LabError(
            f"labels are rows of zeros and ones, and {loss.name} takes one class for each picture; give class numbers, or "
            "FedSGD(loss=BCEWithLogits())."
        )
    if labels.shape[1] != classes:
        raise LabError(
            f"labels have {labels.shape[1]} columns, and the model has {classes} classes; give a zero or a one for each class."
        )


def source_of_labels(known: Tensor | None, asked: Any) -> LabelSource:
    """Where the labels come from: as asked, else known where they are given."""
    if asked is None:
        return LabelSource.INFERRED if known is None else LabelSource.KNOWN
    if not isinstance(asked, LabelSource):
        raise LabError(f"label_source = {quoted(asked)} is not possible; give lab.LabelSource.JOINT, INFERRED or KNOWN.")
    if asked is LabelSource.KNOWN and known is None:
        raise LabError("label_source = KNOWN needs labels; give them, or leave label_source out to infer them.")
    if asked is not LabelSource.KNOWN and known is not None:
        raise LabError(f"labels are given, and label_source = {asked.name} would not use them; leave one of the two out.")
    return asked
