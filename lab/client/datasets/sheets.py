"""CIFAR-10 as lossless sheets: PNG files with 1,000 tiles of 32 x 32 pixels each, and their labels as ``.npy``.

``train/train_00.png`` ... ``train_49.png`` and ``train_labels.npy`` hold the training pictures in the official
order, ``test_first400.png`` and ``test_first400_labels.npy`` the first 400 test pictures. Reading a few pictures
decodes only the sheets that they stand on.
"""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from lab.lazy import Tensor, np, torch

from lab.errors import LabError

SIDE = 32
TILES = 1000


def present(root: Path) -> bool:
    """Whether the layout stands in ``root``."""
    return any(os.path.isfile(root / first) for first in ("train/train_00.png", "test_first400.png"))


def labels(root: Path, train: bool) -> Tensor:
    """The class numbers of all pictures of a split, shape (pictures,). Raises ``LabError``."""
    path = root / "train_labels.npy" if train else root / "test_first400_labels.npy"
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.int64))
    except (OSError, ValueError, EOFError) as error:
        raise LabError(f"The labels {path} cannot be read ({type(error).__name__}); copy the data set again.") from None


def pictures(root: Path, train: bool, first: int, count: int) -> Tensor:
    """``count`` pictures from number ``first`` on, uint8 of shape (count, 3, 32, 32). Raises ``LabError``."""
    parts = []
    for sheet in range(first // TILES, (first + count - 1) // TILES + 1):
        tiles = _tiles(root / "train" / f"train_{sheet:02d}.png" if train else root / "test_first400.png")
        parts.append(tiles[max(first - sheet * TILES, 0) : first + count - sheet * TILES])
    return torch.cat(parts)


def _tiles(path: Path) -> Tensor:
    """All tiles of one sheet, row by row."""
    try:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB")))
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise LabError(f"The sheet {path} cannot be read ({type(error).__name__}); copy the data set again.") from None
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    grid = pixels[: rows * SIDE, : columns * SIDE].view(rows, SIDE, columns, SIDE, 3)
    return grid.permute(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE)
