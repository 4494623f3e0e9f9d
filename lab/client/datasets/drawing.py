"""A drawing of few colours that fits into a link: the picture is its own name, so it can be sent as a secret."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.lazy import Int, Tensor, torch

from lab.client.batch import Batch
from lab.client.datasets.base import CIFAR10_CLASSES, Dataset
from lab.errors import LabError
from lab.federated.tensors import Images, Inputs
from lab.options.fields import AtMost, Bounds, Help, Name

SIDE = 32
COLOURS = {
    "paper": "#ffffff",
    "ink": "#1d1d1f",
    "red": "#d7263d",
    "orange": "#f58a07",
    "yellow": "#ffd23f",
    "green": "#2a9d4a",
    "blue": "#2374d4",
    "purple": "#8a4fbf",
}
"""What one draws with; a drawing is kept as their numbers, counted from the paper's 0."""
SMILE = (
    "zZJLDsAgCESFcP8zN0VrdABnWWej8T1:gdYuiniOsFTeZfOkwqTDCNi2gIAYBMm4wPb1fXAA4R0AX4R4_108FcL:VT:ks513QW0O"
    "AgUYxFMWsMS0P2h:0f6k:f1PHg"
)
"""What stands on the pad of whoever has drawn nothing."""
MAX_LETTERS = 1200
"""Of a code: noise in all colours takes 600."""
EXTRA = b"_:"
"""The two signs beside letters and digits: an address takes them as they are, and no shortening of a link touches them."""


@dataclass(frozen=True)
class Drawing(Dataset):
    """A drawing of 32 x 32 pixels in eight colours, made on the page's pad and kept inside the experiment."""

    is_shipped: ClassVar[bool] = True
    code: Annotated[str, AtMost(letters=MAX_LETTERS), Name(), Help("the drawing, as the page's pad writes it into a link")] = (
        SMILE
    )
    label: Annotated[int, Bounds(0, len(CIFAR10_CLASSES) - 1), Help("the class number that the phone gives it")] = 0

    def check(self) -> None:
        """The code is that of a drawing."""
        decode(self.code)

    @classmethod
    def of(cls, cells: bytes) -> Drawing:
        """From the numbers of the colours, row by row. Raises ``LabError`` for anything else."""
        return cls(encode(cells))

    def check_available(self, count: int, size: int) -> None:
        """There is one."""
        if count > 1:
            raise LabError(f"drawing: there is one drawing, not {count} pictures; take a batch of 1, or another data set.")

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """The drawing, of other sizes than 32 with each cell as a square."""
        self.check_available(count, size)
        cells = torch.tensor(list(decode(self.code)), dtype=torch.long)
        return Batch(painted(cells.view(1, SIDE, SIDE), size), torch.tensor([self.label], dtype=torch.long))

    def others(self, batch_size: int, count: int, size: int, generator: torch.Generator) -> Inputs:
        """Scribbles in the same inks: a drawing is easily told from photographs."""
        inks = sorted(set(decode(self.code)) - {0}) or [1]
        return painted(torch.stack([_scribble(inks, generator) for _ in range(count)]), size)


def encode(cells: bytes) -> str:
    """The code of a drawing. Raises ``LabError`` for what is none."""
    if len(cells) != SIDE * SIDE or max(cells) >= len(COLOURS):
        wanted = f"{SIDE * SIDE}, each the number of a colour from 0 to {len(COLOURS) - 1}"
        raise LabError(f"drawing: {len(cells)} cells were given; give {wanted}.")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(cells) + packer.flush()
    return base64.b64encode(packed, EXTRA).decode().rstrip("=")


def decode(code: str) -> bytes:
    """The numbers of the colours, row by row; never unpacks more than a drawing. Raises ``LabError`` for what is none."""
    try:
        packed = base64.b64decode(code + "=" * (-len(code) % 4), EXTRA, validate=True)
        cells = zlib.decompressobj(-15).decompress(packed, SIDE * SIDE + 1)
    except (binascii.Error, ValueError, zlib.error):
        cells = b""
    if len(cells) != SIDE * SIDE or max(cells) >= len(COLOURS):
        raise LabError("drawing: the code is not that of a drawing; copy the whole link, or draw anew on the page's pad.")
    return cells


def painted(cells: Int[Tensor, "n 32 32"], size: int) -> Images:
    """Numbers of colours as pixels in [0, 1], shape (n, 3, size, size)."""
    palette = torch.tensor([list(bytes.fromhex(colour[1:])) for colour in COLOURS.values()], dtype=torch.float32) / 255
    pictures = palette[cells].permute(0, 3, 1, 2)
    return torch.nn.functional.interpolate(pictures, (size, size), mode="nearest").contiguous()


def _scribble(inks: list[int], generator: torch.Generator) -> Int[Tensor, "32 32"]:
    """A few wandering strokes, two cells wide, that stay on the paper."""
    cells = torch.zeros(SIDE, SIDE, dtype=torch.long)
    for stroke in range(max(3, len(inks))):
        bends = 0.4 * torch.randn(30, generator=generator, dtype=torch.float32)
        angles = bends.cumsum(0) + 6.3 * torch.rand(1, generator=generator, dtype=torch.float32)
        steps = torch.stack([angles.cos(), angles.sin()]).cumsum(1) + SIDE * torch.rand(
            2, 1, generator=generator, dtype=torch.float32
        )
        row, column = steps.remainder(SIDE - 1).long()
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            cells[row + down, column + right] = inks[stroke % len(inks)]
    return cells
