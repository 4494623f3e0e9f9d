"""What the server measures of itself, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from widgets.serving.visitors import Visitors


class Measures:
    """Visitors, queue and engines as they are, visits by how they ended, and how long a page took."""

    def __init__(self, visitors: Visitors) -> None:
        self.registry = CollectorRegistry()
        self._gauge("gradlab_visitors", "Visitors with an engine.", lambda: len(visitors.visits))
        self._gauge("gradlab_waiting", "Visitors in the queue.", lambda: len(visitors.queue))
        self._ended = Counter("gradlab_visits", "Visits that are over, by why.", ["reason"], registry=self.registry)
        self.page_seconds = Histogram("gradlab_page_seconds", "From the request to the whole page.", registry=self.registry)

    def ended(self, reason: str) -> None:
        """A visit is over."""
        self._ended.labels(reason).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        Gauge(name, meaning, registry=self.registry).set_function(value)
