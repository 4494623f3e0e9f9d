"""Rows of a table: numbers in [0, 1], and one of a few kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.lazy import Float, Tensor, functional, no_grad, np, torch

from lab.errors import LabError
from lab.federated.inputs import moved_to
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs
from lab.modalities.base import Beside, Leaves, Measure, Modality, Shown
from lab.modalities.line_up import Thresholds

COLUMNS = ("age", "height", "income")
KINDS = ("north", "east", "south", "west")
NOISE, LEAST = 0.25, 1e-6


def numbers_off(found: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Float[Tensor, " batch"]:
    """Mean absolute error of the numbers."""
    return (found["numbers"] - truth["numbers"]).abs().mean(1)


def kind_right(found: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Float[Tensor, " batch"]:
    """1 where the kind is the right one."""
    return (found["kind"].argmax(1) == truth["kind"].argmax(1)).float()


@dataclass(frozen=True)
class Rows(Modality):
    """Rows of a table: three numbers from 0 to 1, and one of four kinds, as one-hot columns."""

    dataset: ClassVar[str] = "people"
    network: ClassVar[str] = "table_mlp"
    one: ClassVar[str] = "row"
    many: ClassVar[str] = "rows"
    main: ClassVar[str] = "numbers_off"
    measures: ClassVar[Mapping[str, Measure]] = {
        "numbers_off": Measure(numbers_off, "Off by", "Mean absolute error of a number from 0 to 1.", digits=3),
        "kind_right": Measure(kind_right, "Kinds right", "Share of the kinds that are the right one.", nothing="1 in 4"),
    }
    controls: ClassVar[Mapping[str, str]] = {"mean": "the mean row"}
    thresholds: ClassVar[Thresholds] = Thresholds(recognisable=0.9, hint=0.6)

    def start(self, seen: Observation, generator: torch.Generator, *, noise: bool) -> Inputs:
        """Numbers in the middle, each kind as likely; or noise around that."""
        like = next(iter(seen.update.values()))
        numbers = torch.full((seen.batch_size, len(COLUMNS)), 0.5, dtype=like.dtype)
        kind = torch.full((seen.batch_size, len(KINDS)), 1 / len(KINDS), dtype=like.dtype)
        if noise:
            numbers = numbers + NOISE * torch.randn(numbers.shape, generator=generator, dtype=like.dtype)
            kind = torch.randn(kind.shape, generator=generator, dtype=like.dtype).softmax(1)
        return moved_to({"numbers": numbers, "kind": kind}, like.device)

    def leaves(self, candidate: Inputs, *, broad: bool) -> Leaves:
        """The numbers, and logits of the kind."""
        return {"numbers": candidate["numbers"].detach().clone(), "logits": candidate["kind"].detach().clamp_min(LEAST).log()}

    def inputs(self, leaves: Leaves, like: Inputs) -> Inputs:
        """The kind stays on the simplex."""
        return {"numbers": leaves["numbers"], "kind": leaves["logits"].softmax(1)}

    @no_grad
    def project(self, leaves: Leaves, like: Inputs, *, boxed: bool) -> Inputs:
        """Numbers in the box."""
        if boxed:
            leaves["numbers"].clamp_(0, 1)
        return {name: tensor.detach().clone() for name, tensor in self.inputs(leaves, like).items()}

    def inside(self, candidate: Inputs) -> Inputs:
        """Numbers in the box, and kinds that are likely by no less than nothing."""
        return {name: tensor.clamp(0, 1) for name, tensor in candidate.items()}

    def decode(self, candidate: Inputs, seen: Observation | None) -> Inputs:
        """The likeliest kind."""
        kind = functional.one_hot(candidate["kind"].argmax(1), len(KINDS))
        return {"numbers": candidate["numbers"].clamp(0, 1), "kind": kind.to(candidate["kind"])}

    def likeness(self, one: Inputs, others: Inputs) -> Float[Tensor, " others"]:
        """1 for equal rows, less by what their numbers differ by, and by a half where the kind is another."""
        return 1 - numbers_off(one, others) - 0.5 * (1 - kind_right(one, others))

    def ignorance(self, truth: Inputs, others: Inputs) -> Mapping[str, Inputs]:
        """The mean of the others' numbers and their commonest kind."""
        return {"mean": {name: other.mean(0).expand_as(truth[name]) for name, other in others.items()}}

    def refuse(self, truth: Inputs) -> None:
        """Numbers in [0, 1]."""
        if not bool(((truth["numbers"] >= 0) & (truth["numbers"] <= 1)).all()):
            raise LabError("truth holds numbers beyond 0 and 1; give rows as the data set has them.")

    def shown(self, inputs: Inputs, beside: Beside | None = None) -> Shown:
        """All columns side by side."""
        table = torch.cat([inputs["numbers"], inputs["kind"]], 1).detach().cpu().float().numpy()
        return Shown(self.name, np.ascontiguousarray(table), {"columns": [*COLUMNS, *KINDS]})

    def files(self, original: Inputs, rebuilt: Inputs, frames: list[Inputs]) -> Mapping[str, bytes]:
        """A table each."""
        return {"original.csv": _csv(original), "reconstruction.csv": _csv(rebuilt)}


def _csv(rows: Inputs) -> bytes:
    kinds = [KINDS[int(place)] for place in rows["kind"].argmax(1)]
    lines = [",".join([*(f"{number:.4f}" for number in row), kind]) for row, kind in zip(rows["numbers"], kinds, strict=True)]
    return ("\n".join([",".join([*COLUMNS, "region"]), *lines]) + "\n").encode()
