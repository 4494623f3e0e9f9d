"""A federation on disk: its settings and curves, and for each round the weights it began with and what was sent in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.lazy import Tensor, torch

from lab.client.defending import Memories
from lab.errors import LabError
from lab.federated.tensors import Gradients
from lab.federation.settings import MAX_DEFENCES, Federation
from lab.files import json_text
from lab.files.atomic import writing
from lab.options.plain import from_plain, to_plain

LISTING = "federation.json"


@dataclass(frozen=True)
class CurvePoint:
    """One place of the curves: the test pictures after a round."""

    number: int
    """Of the round, from 1."""
    loss: float
    accuracy: float
    """Share of the test pictures classified rightly."""


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """All that came to pass in one round."""

    point: CurvePoint
    before: Gradients
    """The weights that the server sent out."""
    sent: Mapping[int, Gradients]
    """What each client of the round sent back."""
    memories: Mapping[int, Memories]
    """What the defences of each client remember; private."""


@dataclass(frozen=True)
class Archive:
    """The folder of one federation."""

    folder: Path

    def settings(self) -> Federation:
        """Of the federation that the folder holds. Raises ``LabError`` where it holds none, or damaged files."""
        if not self._listing.exists():
            raise LabError(f"{self.folder} holds no federation; give the folder that gradlab federate has kept one in.")
        return self._kept()[0]

    def points(self, settings: Federation) -> list[CurvePoint]:
        """The rounds played so far. Raises ``LabError`` where the folder holds another federation or damaged files."""
        if not self._listing.exists():
            return []
        held, points = self._kept()
        if held != settings:
            raise LabError(f"{self.folder} holds a federation with other settings; choose another folder.")
        return points

    @property
    def _listing(self) -> Path:
        return self.folder / LISTING

    def _kept(self) -> tuple[Federation, list[CurvePoint]]:
        try:
            kept: Any = json_text.read(self._listing, "a federation's file, and cannot be read; choose another folder")
            points = [CurvePoint(int(one["number"]), float(one["loss"]), float(one["accuracy"])) for one in kept["rounds"]]
            return from_plain(Federation, kept["settings"]), points
        except (OSError, ValueError, OverflowError, KeyError, TypeError, LabError):
            raise LabError(f"{self._listing} is damaged; delete the folder to begin anew, or choose another one.") from None

    def keep(self, settings: Federation, played: RoundRecord, points: list[CurvePoint]) -> None:
        """One more round, whole or not at all. Raises ``LabError`` where the folder cannot be written."""
        from safetensors.torch import save_file

        newest, rounds = self._round(played.point.number).name, json.dumps([asdict(point) for point in points], indent=1)
        listing = f'{{"settings": {_settings(settings)},\n"rounds": {rounds}}}\n'
        try:
            with writing(self.folder, newest, LISTING) as drafts:
                save_file(_flattened(played), drafts / newest)
                (drafts / LISTING).write_text(listing, encoding="utf-8")
        except OSError as error:
            raise LabError(f"The folder {self.folder} cannot be written ({error.strerror}); choose another folder.") from None

    def played(self, point: CurvePoint) -> RoundRecord:
        """One round as it was kept. Raises ``LabError`` where its file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._round(point.number)
        try:
            return _unflattened(point, load_file(path))
        except (OSError, SafetensorError, ValueError, IndexError):
            raise LabError(f"{path} is missing or damaged; delete the folder to begin anew.") from None

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number:04}.safetensors"


def _settings(settings: Federation) -> str:
    return json.dumps(to_plain(settings))


def _flattened(played: RoundRecord) -> dict[str, Tensor]:
    """Under before/TENSOR, sent/CLIENT/TENSOR and memory/CLIENT/PLACE/TENSOR."""
    found = {f"before/{name}": tensor for name, tensor in played.before.items()}
    for client, update in played.sent.items():
        found |= {f"sent/{client}/{name}": tensor for name, tensor in update.items()}
    for client, memories in played.memories.items():
        for place, memory in enumerate(memories):
            found |= {f"memory/{client}/{place}/{name}": tensor for name, tensor in memory.items()}
    return {name: tensor.contiguous() for name, tensor in found.items()}


def _unflattened(point: CurvePoint, tensors: Mapping[str, Tensor]) -> RoundRecord:
    before: dict[str, Tensor] = {}
    sent: dict[int, dict[str, Tensor]] = {}
    memories: dict[int, dict[int, dict[str, Tensor]]] = {}
    for key, tensor in tensors.items():
        kind, *rest = key.split("/")
        if kind == "before":
            before[rest[0]] = _of_weights(tensor)
        elif kind == "sent":
            sent.setdefault(int(rest[0]), {})[rest[1]] = _of_weights(tensor)
        else:
            memories.setdefault(int(rest[0]), {}).setdefault(int(rest[1]), {})[rest[2]] = tensor
    _check_remembered(memories, before)
    order = list(before)
    found = {client: {name: update[name] for name in order if name in update} for client, update in sorted(sent.items())}
    return RoundRecord(point, before, found, {client: _in_order(places) for client, places in memories.items()})


def _check_remembered(memories: Mapping[int, Mapping[int, Gradients]], weights: Gradients) -> None:
    """Raise ``ValueError`` for what is not added to an update of these weights: other names or shapes, or no finite numbers."""
    for memory in (one for places in memories.values() for one in places.values()):
        for name, tensor in memory.items():
            if name not in weights or tensor.shape != weights[name].shape or not bool(_of_weights(tensor).isfinite().all()):
                raise ValueError("what no defence remembers of such an update")


def _of_weights(tensor: Tensor) -> Tensor:
    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError("numbers of another kind than weights are")
    return tensor


def _in_order(places: Mapping[int, Gradients]) -> Memories:
    if not all(0 <= place < MAX_DEFENCES for place in places):
        raise ValueError("more defences than there may be")
    return tuple(places.get(place, {}) for place in range(max(places) + 1))
