"""The measurement behind a price: a whole federation, trained with one defence on every client."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lab.client.accountant import DEFAULT_DELTA, Guarantee
from lab.client.defences.base import Defence
from lab.duel.prices import PricedTraining, PriceList, StoredGuarantee
from lab.errors import LabError
from lab.federation.privacy_guarantees import guarantees
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import federate
from lab.machine.threads import computing
from lab.options.plain import from_plain, to_plain
from lab.studies.sweeps.cluster import connected, finished
from lab.studies.sweeps.sweep import RETRIES

LIBRARIES = ("inverting-gradients-lab", "torch", "opacus", "scikit-learn")


@dataclass(frozen=True)
class PricingTask:
    """One federation to be priced."""

    settings: Federation
    strength: int

    @property
    def defence(self) -> dict[str, Any] | None:
        """As plain data."""
        return to_plain(self.settings.defences[0]) if self.settings.defences else None


def pricing_tasks(settings: Federation, defences: Iterable[type[Defence]], seeds: int) -> list[PricingTask]:
    """No defence, then each at its five strengths; every one with each seed."""
    chosen: list[tuple[int, tuple[Defence, ...]]] = [(0, ())]
    chosen += [(place, (defence,)) for entry in defences for place, defence in enumerate(entry.strengths(), 1)]
    return [
        PricingTask(replace(settings, defences=defences, seed=seed), strength)
        for strength, defences in chosen
        for seed in range(seeds)
    ]


def common_settings(settings: Federation) -> dict[str, Any]:
    """What all federations of one list have in common."""
    return {name: value for name, value in to_plain(settings).items() if name not in ("defences", "seed")}


def price_list(path: Path, settings: Federation) -> PriceList:
    """The list that a file has so far; an empty one where there is none. Raises ``LabError`` where it is of other settings."""
    try:
        found = PriceList.read(path)
    except FileNotFoundError:
        return PriceList(common_settings(settings))
    try:
        same = common_settings(from_plain(Federation, dict(found.federation))) == common_settings(
            settings
        )  # later fields are as by default
    except LabError:  # an earlier or a later version knew more of it
        same = False
    if not same:
        raise LabError(f"{path} has the prices of another federation; give another file by --out.")
    return found


def run_tasks(wanted: Sequence[PricingTask], workers: int, scheduler: str = "") -> Iterator[PricedTraining]:
    """All of them, one after another in this process, or in whatever order several or a scheduler's workers finish them.

    Not asking for more stops it. Raises ``LabError`` where the scheduler does not answer.
    """
    if not wanted or (workers == 1 and not scheduler):
        yield from map(run_task, wanted)
        return
    with connected(workers, scheduler) as client:
        futures = [client.submit(run_task, one, pure=False, retries=RETRIES) for one in wanted]
        with closing(finished(client, futures)) as done:
            yield from (future.result() for future in done)


def run_task(one: PricingTask) -> PricedTraining:
    """Trained to its end; where it diverges that is the price. Raises ``LabError`` where the data cannot be had."""
    shards = Shards.of(one.settings)
    try:
        with computing(1):
            *_, last = federate(one.settings)
        accuracy, loss, problem = last.point.accuracy, last.point.loss, ""
    except LabError as error:
        accuracy, loss, problem = None, None, str(error)
    return PricedTraining(
        defence=one.defence,
        strength=one.strength,
        seed=one.settings.seed,
        accuracy=accuracy,
        loss=loss,
        promises=tuple(map(_in_numbers, guarantees(one.settings, shards, DEFAULT_DELTA))),
        problem=problem,
        date=datetime.now(UTC).date().isoformat(),
        versions=versions(),
    )


def _in_numbers(promise: Guarantee) -> StoredGuarantee:
    epsilon = None if math.isinf(promise.epsilon) else promise.epsilon
    return StoredGuarantee(promise.whose, promise.seen, promise.delta, epsilon)


def versions() -> Mapping[str, str]:
    """Of all that a price may depend on, where it is installed."""
    return {name: found for name in LIBRARIES if (found := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
