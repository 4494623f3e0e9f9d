"""The cost of one attack iteration in training steps: exact and frozen derivative, turn by turn.

    python benchmarks/iteration_cost.py [--rounds N] [--case NAME]...

A training step is one forward and backward pass for the parameter gradients of the same network
and batch. Each round measures all routes once, in turn; the table gives medians of CPU time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from lab.attacks.derivative.frozen_matcher import FrozenMatcher
from lab.attacks.derivative.matcher import ExactMatcher
from lab.attacks.matching.distances.cosine import Cosine
from lab.federated.gradients import parameter_gradient
from lab.federated.networks.base import Network
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

CASES: dict[str, tuple[Network, Protocol, int]] = {
    "LeNet": (LeNet(), FedSGD(), 1),
    "small ConvNet": (SmallConvNet(), FedSGD(), 1),
    "ConvNet64": (ConvNet(width=64), FedSGD(), 1),
    "ResNet20-4": (ResNet(depth=20, widen=4), FedSGD(), 1),
    "ResNet-18 at 224": (ImageNetResNet(depth=18), FedSGD(), 1),
    "small ConvNet, 1x5 local steps": (SmallConvNet(), FedAvg(local_steps=5, learning_rate=1e-2), 1),
    "ConvNet64, batch 8": (ConvNet(width=64), FedSGD(), 8),
}


def routes(network: Network, protocol: Protocol, count: int) -> dict[str, Callable[[], object]]:
    """The three things to time, for random pictures of the network's size."""
    generator = stream(0, "benchmark")
    shape = (3, network.image_size, network.image_size)
    images, labels = torch.rand(count, *shape, generator=generator), torch.arange(count) % 10
    model = network.build(shape, 10, generator)
    shared = protocol.update(model, images, labels)
    candidate = torch.rand(images.shape, generator=generator)
    exact = ExactMatcher(partial(protocol.update, model, differentiable=True), Cosine(), shared)
    frozen = FrozenMatcher(model, protocol.steps(count), Cosine(), shared)
    return {
        "step": lambda: parameter_gradient(model, candidate, labels),
        "exact": lambda: exact(candidate, labels),
        "frozen": lambda: frozen(candidate, labels),
    }


def medians(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each action, measured in turn after one unmeasured round."""
    seen: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            start = time.process_time()
            action()
            if turn:
                seen[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in seen.items()}


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--case", action="append", choices=list(CASES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print("| case | training step, ms | exact, x | frozen, x |\n|---|---|---|---|")
    for name in chosen.case or CASES:
        times = medians(routes(*CASES[name]), chosen.rounds)
        step = times["step"]
        print(f"| {name} | {1e3 * step:.2f} | {times['exact'] / step:.2f} | {times['frozen'] / step:.2f} |", flush=True)


if __name__ == "__main__":
    main()
