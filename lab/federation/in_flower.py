"""The clients of a federation in Flower: each trains, defends and remembers by the very code of ``lab.federation.training``.

    simulate(settings)["head.weight"]                          # Flower's simulation, from first to last round
    client_app(settings), server_app(settings, keep)           # or its two apps, for whatever else Flower runs them in

The server is Flower's own ``FedAvg``, which is told whom to ask in which round and nothing else. A client answers with the
weights to which its update takes the server, so that their mean is where the mean update does. Flower asks for older libraries
than the lab's command line, so it has an environment of its own (``make beside``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from lab.lazy import Tensor

from lab.client.defending import Memories
from lab.errors import LabError
from lab.federated.tensors import Gradients
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import build, sent_by
from lab.machine import threads

ARRAYS, CONFIG, METRICS = "arrays", "config", "metrics"
"""What Flower's strategies call the records of a message."""
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Neither of them tells its makers."""


def simulate(settings: Federation, workers: int = 1) -> Gradients:
    """The weights after the last round, by Flower's simulation with so many processes.

    Raises ``LabError`` where Flower is missing, masks are asked for, or a client fails.
    """
    if settings.secure:
        raise LabError("Flower's server has no part in the lab's masks; give it a federation without --secure.")
    os.environ.update(QUIET)
    try:
        from flwr.simulation import run_simulation  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise LabError(
            "Flower is not in this environment; 'make beside' makes one that has it, in build/flower, whose Python runs this."
        ) from None
    found: dict[str, Tensor] = {}
    resources = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": workers}}
    run_simulation(server_app(settings, found.update), client_app(settings), settings.clients, backend_config=resources)
    return found


def client_app(settings: Federation) -> Any:
    """A Flower ``ClientApp``: the node of partition k is client k."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict  # pyright: ignore[reportMissingImports]
    from flwr.clientapp import ClientApp  # pyright: ignore[reportMissingImports]

    app = ClientApp()

    @app.query()
    def who(message: Any, context: Any) -> Any:
        """Which client a node is."""
        return Message(RecordDict({METRICS: MetricRecord({"client": _client(context)})}), reply_to=message)

    @app.train()
    def train(message: Any, context: Any) -> Any:
        """One round; what the defences remember waits in the node's own state."""
        before = message.content[ARRAYS].to_torch_state_dict()
        number = int(message.content[CONFIG]["server-round"])
        after, memories = _round(settings, before, _client(context), number, _remembered(context.state))
        context.state = RecordDict({str(place): ArrayRecord(dict(memory)) for place, memory in enumerate(memories)})
        content = {ARRAYS: ArrayRecord(after), METRICS: MetricRecord({"num-examples": 1})}  # each client counts alike
        return Message(RecordDict(content), reply_to=message)

    return app


def server_app(settings: Federation, keep: Callable[[Mapping[str, Tensor]], Any]) -> Any:
    """A Flower ``ServerApp`` that hands over the weights after the last round; it takes off no masks."""
    from flwr.app import ArrayRecord, Message, RecordDict  # pyright: ignore[reportMissingImports]
    from flwr.serverapp import ServerApp  # pyright: ignore[reportMissingImports]
    from flwr.serverapp.strategy import FedAvg  # pyright: ignore[reportMissingImports]

    class Drawn(FedAvg):
        """Flower's, of the clients that the federation draws; one that fails ends it."""

        clients: Mapping[int, int] = {}

        def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Iterable[Any]:
            """To those alone who answer in this round."""
            messages = list(super().configure_train(server_round, arrays, config, grid))
            self.clients = self.clients or _clients(grid, [message.metadata.dst_node_id for message in messages])
            answering = settings.answering(server_round)
            return [message for message in messages if self.clients[message.metadata.dst_node_id] in answering]

        def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> Any:
            """The mean of all of them."""
            answers = list(replies)
            for answer in answers:
                if answer.has_error():
                    raise LabError(f"A client failed in round {server_round}: {answer.error.reason}.")
            return super().aggregate_train(server_round, answers)

    def _clients(grid: Any, nodes: list[int]) -> dict[int, int]:
        asked = [Message(RecordDict(), dst_node_id=node, message_type="query") for node in nodes]
        answers = grid.send_and_receive(asked)
        return {answer.metadata.src_node_id: int(answer.content[METRICS]["client"]) for answer in answers}

    app = ServerApp()

    @app.main()
    def main(grid: Any, context: Any) -> None:
        """All rounds."""
        network = build(settings, _shards(settings))
        first = {name: weights.detach() for name, weights in network.named_parameters()}
        strategy = Drawn(fraction_evaluate=0.0, min_available_nodes=settings.clients)
        result = strategy.start(grid=grid, initial_arrays=ArrayRecord(first), num_rounds=settings.rounds)
        keep(result.arrays.to_torch_state_dict() or first)  # empty where nobody answered in any round

    return app


def _round(
    settings: Federation, before: Gradients, client: int, number: int, memories: Memories
) -> tuple[dict[str, Tensor], Memories]:
    """Where a client's update takes the weights, and what its defences remember."""
    shards = _shards(settings)
    network = build(settings, shards)
    network.load_state_dict({**network.state_dict(), **before})
    with threads.computing(1):
        sent, memories = sent_by(shards, network, client, number, memories)
    return {name: weights + settings.stride * sent[name] for name, weights in before.items()}, memories


@lru_cache(maxsize=1)
def _shards(settings: Federation) -> Shards:
    """Once a process: whoever plays a client has its pictures from then on."""
    return Shards.of(settings)


def _client(context: Any) -> int:
    return int(context.node_config["partition-id"])


def _remembered(state: Any) -> Memories:
    return tuple(state[str(place)].to_torch_state_dict() for place in range(len(state)))
