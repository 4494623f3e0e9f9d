"""A sweep: experiments dealt out to the workers of a Dask cluster, one task each, results kept as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.studies.sweeps.store import Store, key

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
"""An experiment that fails in another way than by a ``LabError`` is tried again so often."""


@dataclass(frozen=True)
class Step:
    """One experiment that is done with."""

    experiment: Experiment
    seconds: float
    problem: str = ""
    """The sentence that says why there is no result; empty where there is one."""


def missing(experiments: Iterable[Experiment], store: Store) -> list[Experiment]:
    """What has still to be measured, each experiment once."""
    wanted = {key(experiment): experiment for experiment in experiments}
    return [experiment for experiment in wanted.values() if not store.finished(experiment)]


def sweep(experiments: Iterable[Experiment], store: Store, client: Client, data: str = "") -> Iterator[Step]:
    """Measure what is missing, in whatever order it is finished, and keep each result before it is reported.

    A task is named after its experiment and this sweep: what an earlier one cancelled may still be on its way out of
    the cluster, and would take a namesake along. A worker that dies is replaced by its nanny and its tasks are dealt
    out again. Not asking for more stops the sweep; a later one goes on.
    """
    from distributed import as_completed

    from lab.studies.sweeps.measure import measure

    mark = uuid4().hex
    waiting = {f"measure-{key(experiment)}-{mark}": experiment for experiment in missing(experiments, store)}
    futures = [
        client.submit(measure, experiment.to_plain(), data, key=task, retries=RETRIES) for task, experiment in waiting.items()
    ]
    try:
        for future in as_completed(futures):
            yield _taken(future, waiting[future.key], store)
            future.release()
    finally:
        client.cancel(futures)


def _taken(future: Any, experiment: Experiment, store: Store) -> Step:
    """The result of a finished task, kept; or what went wrong."""
    error = future.exception()
    if isinstance(error, LabError):
        return Step(experiment, 0.0, str(error))
    if error is not None:
        raise error
    measured = future.result()
    store.write(experiment, measured)
    return Step(experiment, measured[0]["seconds"])
