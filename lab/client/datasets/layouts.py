"""The orders in which arrays of pictures come: with channels last, first or none, as rows, or with the pictures last."""

from __future__ import annotations

from math import isqrt

from lab.lazy import np

from lab.errors import LabError

CHANNELS = (1, 3)


def pictures_in(shape: tuple[int, ...], labels: tuple[int, ...] | None) -> int:
    """How many pictures an array of this shape holds, beside labels of that shape (None: there are none)."""
    if _is_one_picture(shape, labels):
        return 1
    if len(shape) == 4 and shape[2] in CHANNELS and labels is not None and shape[0] not in labels and shape[-1] in labels:
        return shape[-1]  # (h, w, channels, n), as MATLAB writes
    return shape[0] if shape else 0


def channels_first(images: np.ndarray, labels: tuple[int, ...] | None, where: str) -> np.ndarray:
    """A view of shape (n, channels, height, width). Raises ``LabError`` where the shape is no array of pictures."""
    shape = images.shape
    if _is_one_picture(shape, labels):
        images = images[None]
    elif pictures_in(shape, labels) != shape[0]:
        images = np.moveaxis(images, -1, 0)
    if images.ndim == 2:
        images = _rows_as_pictures(images)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and images.shape[-1] in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in CHANNELS or not images.size:
        raise LabError(
            f"npz: {where} has the shape {shape}, which is none of pictures; give (n, h, w), (n, h, w, 3), (n, 3, h, w), "
            "or rows of (n, h w) or (n, 3 h w) numbers with h = w."
        )
    return images


def _is_one_picture(shape: tuple[int, ...], labels: tuple[int, ...] | None) -> bool:
    """Without labels, (h, w) and (h, w, 3) are a picture alone."""
    return labels is None and (len(shape) == 2 or (len(shape) == 3 and shape[-1] == 3))


def _rows_as_pictures(rows: np.ndarray) -> np.ndarray:
    """Rows of h w numbers as (n, h, w); of 3 h w numbers, channel after channel as in CIFAR-10's files, as (n, 3, h, w)."""
    for channels in CHANNELS:
        side = isqrt(rows.shape[1] // channels)
        if side and channels * side * side == rows.shape[1]:
            return rows.reshape(-1, channels, side, side)
    return rows
