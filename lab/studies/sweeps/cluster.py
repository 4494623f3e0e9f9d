"""Where a sweep is computed: workers on this machine, or a scheduler that runs elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = "10s"
"""How long to wait for a scheduler's answer."""
DEATHS = 5
"""An experiment on which so many workers died is given up."""


@contextmanager
def connected(workers: int, scheduler: str = "") -> Iterator[Client]:
    """A client of the scheduler at an address such as ``tcp://host:8786``; of local workers where none is given.

    Local workers are processes with one thread each: PyTorch scales better over experiments than within one.
    Raises ``LabError`` where the scheduler does not answer.
    """
    from dask import config
    from distributed import Client, LocalCluster

    with config.set({"distributed.scheduler.allowed-failures": DEATHS}):
        if scheduler:
            with _remote(scheduler) as client:
                yield client
            return
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
            Client(cluster) as client,
        ):
            yield client


def finished(client: Client, futures: Sequence[Future]) -> Generator[Future, None, None]:
    """Tasks as they are finished, each forgotten once the next is asked for; not asking for more takes the others back."""
    from distributed import as_completed

    try:
        for future in as_completed(futures):
            yield future
            future.release()
    finally:
        client.cancel(futures)


def _remote(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:  # the last of a kind of address that this machine is not set up for
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LabError(
            f"No Dask scheduler answers at {address} ({reason}); start one by 'dask scheduler' and give its address, "
            "such as tcp://127.0.0.1:8786, or leave --scheduler out."
        ) from None
