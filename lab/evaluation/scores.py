"""How close an attack came: the scores of one private input and of a whole batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.modalities.line_up import Verdict


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
