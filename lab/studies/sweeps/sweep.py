"""A sweep: experiments dealt out to the workers of a Dask cluster, one task each, results kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lab.errors import LabError
from lab.experiments.experiment import Experiment
from lab.studies.sweeps.cluster import finished
from lab.studies.sweeps.store import Measured, Store, key

if TYPE_CHECKING:
    from distributed import Client

Task = Callable[[dict[str, Any], str], Measured]
"""What a worker does with an experiment as plain data and the folder of data sets."""

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


def sweep(
    experiments: Iterable[Experiment], store: Store, client: Client | None, data: str = "", task: Task | None = None
) -> Iterator[Step]:
    """Measure what is missing, in whatever order it is finished, and keep each result before it is reported.

    A task is named after its experiment and this sweep: what an earlier one cancelled may still be on its way out of
    the cluster, and would take a namesake along. A worker that dies is replaced by its nanny and its tasks are dealt
    out again. Without a cluster each is measured in this process. Not asking for more stops the sweep; a later one goes on.
    ``task`` stands in for ``measure``.
    """
    from lab.studies.sweeps.measure import measure

    task, todo = task or measure, missing(experiments, store)
    if client is None:
        yield from (_taken(partial(task, experiment.to_plain(), data), experiment, store) for experiment in todo)
    else:
        yield from _dealt_out(todo, store, client, data, task)


def _dealt_out(todo: list[Experiment], store: Store, client: Client, data: str, task: Task) -> Iterator[Step]:
    mark = uuid4().hex
    waiting = {f"measure-{key(experiment)}-{mark}": experiment for experiment in todo}
    futures = [
        client.submit(task, experiment.to_plain(), data, key=name, retries=RETRIES) for name, experiment in waiting.items()
    ]
    with closing(finished(client, futures)) as done:
        yield from (_taken(future.result, waiting[str(future.key)], store) for future in done)


def _taken(result: Callable[[], Measured], experiment: Experiment, store: Store) -> Step:
    """The result of a task, kept; or what went wrong."""
    try:
        measured = result()
    except LabError as error:
        return Step(experiment, 0.0, str(error))
    store.write(experiment, measured)
    return Step(experiment, measured[0]["seconds"])
