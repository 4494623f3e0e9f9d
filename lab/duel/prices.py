"""What each defence costs: the accuracy of a whole federated training, as it was measured and is shipped.

``prices()`` is what a page or a study reads. The file is JSON, one measured federation a line:

    {"federation": {...},   the settings that all share, but for defences and seed
     "runs": [{"defence": {"name": "dp_sgd", "longest": 1.0, "multiplier": 0.3} | null, "strength": 2, "seed": 0,
               "accuracy": 0.84 | null, "loss": 0.49 | null, "promises": [{"whose", "seen", "delta", "epsilon"}],
               "problem": "", "date": "2026-11-30", "versions": {"torch": ...}}, ...]}

``strength`` counts a defence's own five from 1 on; 0 is no defence at all. An accuracy is null where the training diverged,
and an epsilon where nothing is promised.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lab.client.defences.base import Defence
from lab.errors import LabError
from lab.files import json_text
from lab.files.atomic import write_atomically
from lab.options.data import is_object
from lab.options.plain import from_plain, to_plain

DefencePlain = Mapping[str, Any] | None
"""A defence as plain data; None where there is none."""

SHIPPED = Path(__file__).parent / "prices.json"
EXPECTED = "a list of prices, and cannot be read; give another file by --out"


@dataclass(frozen=True)
class StoredGuarantee:
    """A promise of differential privacy in numbers: for one of ``whose`` against a server that sees ``seen``."""

    whose: str
    seen: str
    delta: float
    epsilon: float | None


@dataclass(frozen=True)
class PricedTraining:
    """One federation that was trained to its end, or diverged."""

    defence: DefencePlain
    """As plain data; None where there was none."""
    strength: int
    seed: int
    accuracy: float | None
    """Share of the test pictures that are right at the end."""
    loss: float | None
    promises: tuple[StoredGuarantee, ...]
    problem: str
    """Why there is no accuracy."""
    date: str
    versions: Mapping[str, str]

    @classmethod
    def from_plain(cls, data: Any) -> PricedTraining:
        """What a line of the file says. Raises ``TypeError`` where it says something else."""
        promises = tuple(StoredGuarantee(**one) for one in data["promises"])
        found = cls(**{**data, "defence": as_of_today(data["defence"]), "promises": promises})
        counts, numbers = (found.strength, found.seed), (found.accuracy, found.loss, *(one.epsilon for one in promises))
        if not all(isinstance(one, int) for one in counts) or not all(one is None or _is_number(one) for one in numbers):
            raise TypeError("no numbers where there should be")
        return found


def as_of_today(plain: Any) -> DefencePlain:
    """A defence that was written down, with the fields that it got since as by default; as it is where nobody knows it now.

    Raises ``TypeError`` where it is none.
    """
    if plain is None:
        return None
    if not is_object(plain) or not isinstance(plain.get("name"), str):
        raise TypeError("no defence")
    try:
        return to_plain(from_plain(Defence, plain))  # type: ignore[type-abstract]
    except LabError:
        return plain


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


@dataclass(frozen=True)
class Price:
    """What one defence costs at one strength, over all seeds."""

    defence: DefencePlain
    strength: int
    accuracies: tuple[float, ...]
    """One for each seed whose training did not diverge."""
    diverged: int
    """Seeds whose training did."""
    promises: tuple[StoredGuarantee, ...]
    """The weakest of each kind over the seeds."""

    @property
    def name(self) -> str:
        """Of the defence; empty without one."""
        return "" if self.defence is None else str(self.defence["name"])

    @property
    def accuracy(self) -> float | None:
        """The mean; None where every training diverged."""
        return statistics.fmean(self.accuracies) if self.accuracies else None


@dataclass(frozen=True)
class PriceList:
    """All federations that were measured, and the settings that they share."""

    federation: Mapping[str, Any]
    runs: tuple[PricedTraining, ...] = ()

    @classmethod
    def read(cls, path: Path) -> PriceList:
        """What a file has. Raises ``FileNotFoundError``, and ``LabError`` where it is no list of prices."""
        try:
            data: Any = json_text.read(path, EXPECTED)
            found = cls(dict(data["federation"]), tuple(map(PricedTraining.from_plain, data["runs"])))
            _ = found.prices(), found.text()  # what could not be summed up or written again is no list either
            return found
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError):
            raise LabError(f"{path} is no list of prices, or damaged; give another file by --out.") from None

    def text(self) -> str:
        """Of the file, a line for each run. Raises ``ValueError`` where it holds what JSON has no name for."""
        lines = ",\n".join(json.dumps(asdict(run), allow_nan=False) for run in self.runs)
        return f'{{"federation": {json.dumps(self.federation, allow_nan=False)},\n"runs": [\n{lines}\n]}}\n'

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises ``LabError`` where it cannot be written."""
        try:
            write_atomically(path, self.text().encode())
        except OSError as error:
            raise LabError(f"The file {path} cannot be written ({error.strerror}); give another one by --out.") from None

    def has(self, defence: DefencePlain, seed: int) -> bool:
        """Whether that was measured."""
        return any(run.defence == defence and run.seed == seed for run in self.runs)

    def having(self, run: PricedTraining) -> PriceList:
        """With one more, in an order that does not tell which was ready first."""
        runs = sorted((*self.runs, run), key=lambda one: ((one.defence or {}).get("name", ""), one.strength, one.seed))
        return replace(self, runs=tuple(runs))

    def prices(self) -> tuple[Price, ...]:
        """One for each defence and strength, no defence first."""
        found = dict[str, list[PricedTraining]]()
        for run in self.runs:
            found.setdefault(json.dumps(run.defence, sort_keys=True), []).append(run)
        return tuple(map(_summed_up, found.values()))


def _summed_up(runs: list[PricedTraining]) -> Price:
    known = tuple(run.accuracy for run in runs if run.accuracy is not None)
    promises = _weakest(promise for run in runs for promise in run.promises)
    return Price(runs[0].defence, runs[0].strength, known, len(runs) - len(known), promises)


def _weakest(promises: Iterable[StoredGuarantee]) -> tuple[StoredGuarantee, ...]:
    """Of each kind the one that promises least: none of all is kept where one seed has none."""
    found = dict[tuple[str, str, float], StoredGuarantee]()
    for one in promises:
        kind = (one.whose, one.seen, one.delta)
        known = found.get(kind, one)
        found[kind] = max(known, one, key=lambda promise: float("inf") if promise.epsilon is None else promise.epsilon)
    return tuple(found.values())


@cache
def shipped() -> PriceList:
    """The list that ships, with the federation that it is of."""
    return PriceList.read(SHIPPED)


@cache
def prices() -> tuple[Price, ...]:
    """The shipped ones: no defence, then each of the catalogue that was measured, from weak to strong."""
    return shipped().prices()


def price_of(defence: Defence | None) -> Price | None:
    """The shipped price of a defence with these very options; None where that was not measured."""
    wanted = None if defence is None else to_plain(defence)
    return next((price for price in prices() if price.defence == wanted), None)
