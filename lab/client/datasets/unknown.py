"""Pictures that nobody here knows: all there is of them is what a client sent, in a capture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import torch

from lab.client.batch import Batch
from lab.client.datasets.base import MAX_CLASSES, Dataset
from lab.errors import LabError
from lab.federated.captures import Capture, capture_of
from lab.modalities.images.codec import from_text, to_text
from lab.options.fields import AtMost, Bounds, Help, Name

MAX_BYTES = 24 * 10**6
"""Of a capture that travels inside an experiment: three million weights, and the update of each."""
MAX_LETTERS = 4 * MAX_BYTES // 3 + 4


@dataclass(frozen=True)
class Unknown(Dataset):
    """The pictures behind an update that somebody sent, kept inside the experiment as the capture's file in base64."""

    capture: Annotated[str, AtMost(letters=MAX_LETTERS), Help("a file that lab.capture wrote, as base64 text")] = ""
    file: Annotated[str, AtMost(letters=80), Name(), Help("what the file is called")] = "the file"
    classes: Annotated[int, Bounds(1, MAX_CLASSES), Help("how many classes the network tells apart")] = 10

    @classmethod
    def from_bytes(cls, data: bytes, file: str, classes: int) -> Unknown:
        """Of a file's bytes, read before."""
        return cls(to_text(data), file, classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers: nobody said what they mean."""
        return tuple(f"class {number}" for number in range(self.classes))

    def opened(self) -> Capture:
        """The capture. Raises ``LabError`` for text that is none."""
        if not self.capture:
            raise LabError("unknown: there is no update here; open one on the page, or give gradlab run --update FILE.")
        return capture_of(from_text(self.capture, self.file), self.file, MAX_BYTES)

    def check_available(self, count: int, size: int) -> None:
        """Never: the update alone is there."""
        raise self._not_here()

    def load(self, count: int, size: int, generator: torch.Generator) -> Batch:
        """There is nothing to load. Raises ``LabError``."""
        raise self._not_here()

    def _not_here(self) -> LabError:
        return LabError(
            f"Nobody here knows the pictures behind {self.file}, so no client can be simulated with them; attack the update "
            "itself: open it on the page, or give gradlab run --update FILE."
        )
