"""How many pictures the closed form recovers, how well, and in how many CPU seconds.

    python -m benchmarks.recursive --data FOLDER [--first 0] [--count 100] [--weights FILE] [--case NAME]... [--json FILE]

``--weights`` puts other trained weights in place of the shipped ones in the trained cases;
``--different-labels`` makes up batches that hold no label twice.
FOLDER (or the environment variable CIFAR10_SHEETS) holds CIFAR-10 as sheets (see ``lab.client.datasets.sheets``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.recursive import Recursive
from lab.client import checkpoints
from lab.client.batch import Batch
from lab.client.datasets import sheets
from lab.federated.classifier import Classifier
from lab.federated.networks.base import Activation, Network
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.tensors import Gradients
from lab.modalities.images.scores import psnr_db
from lab.modalities.pairing import best_matching
from lab.randomness import stream

RECOVERED_DB = 60.0


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    network: Network
    trained: bool = False
    noise: float = 0.0
    protocol: Protocol = FedSGD()
    batch_size: int = 1
    attack: Attack = Recursive(hand_over=False)


CASES = {
    "small_convnet": Case(SmallConvNet()),
    "lenet": Case(LeNet()),
    "small_convnet_trained": Case(SmallConvNet(), trained=True),
    "resnet20_4": Case(ResNet(depth=20, widen=4)),
    "resnet20_4_trained": Case(ResNet(depth=20, widen=4), trained=True),
    "convnet64": Case(ConvNet()),
    "small_convnet_noise_1e-4": Case(SmallConvNet(), noise=1e-4),
    "small_convnet_noise_1e-3": Case(SmallConvNet(), noise=1e-3),
    "small_convnet_noise_1e-2": Case(SmallConvNet(), noise=1e-2),
    "lenet_noise_1e-4": Case(LeNet(), noise=1e-4),
    "lenet_noise_1e-3": Case(LeNet(), noise=1e-3),
    "small_convnet_noise_1e-2_matching": Case(SmallConvNet(), noise=1e-2, attack=GradientMatching()),
} | {
    f"{name}_{steps}_steps_{rate:.0e}": Case(network, protocol=FedAvg(local_steps=steps, learning_rate=rate))
    for name, network in (("lenet", LeNet()), ("small_convnet", SmallConvNet()))
    for steps, rate in ((2, 1e-4), (5, 1e-4), (20, 1e-4), (2, 1e-3), (5, 1e-3), (5, 1e-2))
} | {
    f"{name}_batches_of_{size}": Case(network, trained=trained, batch_size=size)
    for name, network, trained in (
        ("mlp", MLP(), False), ("mlp_tanh", MLP(activation=Activation.TANH), False),
        ("small_convnet", SmallConvNet(), False), ("small_convnet_trained", SmallConvNet(), True),
    )
    for size in (2, 3, 4, 6, 8)
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What came out of one case."""

    pictures: int
    recovered: int
    median_db: float
    least_db: float
    median_cpu_seconds: float
    outcomes: dict[str, int]
    psnr_db: list[float]


def run(case: Case, batch: Batch, weights: str = "") -> Row:
    """Attack batch after batch; weights of seed 0, or trained ones (``weights`` names a file)."""
    model = case.network.build(batch.image_shape, 10, stream(0, "weights"))
    if case.trained:
        checkpoints.load(model, case.network, weights)
    size = case.batch_size
    starts = range(0, len(batch.images) - size + 1, size)
    results = [attack_one(case, model, Batch(batch.images[i : i + size], batch.labels[i : i + size]), i) for i in starts]
    decibels = [psnr for found, _, _ in results for psnr in found]
    names = [outcome for _, _, outcome in results]
    return Row(
        pictures=len(decibels),
        recovered=sum(psnr >= RECOVERED_DB for psnr in decibels),
        median_db=statistics.median(decibels),
        least_db=min(decibels),
        median_cpu_seconds=statistics.median(seconds for _, seconds, _ in results),
        outcomes={name: names.count(name) for name in sorted(set(names))},
        psnr_db=[round(psnr, 1) for psnr in decibels],
    )


def attack_one(case: Case, model: Classifier, batch: Batch, index: int) -> tuple[list[float], float, str]:
    """PSNR of each picture in dB, CPU seconds, outcome."""
    update = noisy(case.protocol.update(model, batch.images, batch.labels), case.noise, index)
    observation = Observation(
        model, case.protocol, update, batch.image_shape, len(batch.images), LabelSource.KNOWN, batch.labels
    )
    started = time.process_time()
    *_, last = case.attack.reconstruct(observation, stream(0, "candidate"))
    seconds = time.process_time() - started
    found = last.images.clamp(0, 1)[best_matching(batch.images, last.images)]
    return psnr_db(found, batch.images).tolist(), seconds, last.outcome.name if last.outcome else ""


def noisy(update: Gradients, relative: float, index: int) -> Gradients:
    """Gaussian noise whose norm is this share of the gradient's."""
    size = torch.cat([tensor.flatten() for tensor in update.values()])
    scale, generator = relative * float(size.norm()) / size.numel() ** 0.5, stream(index, "noise")
    return {name: tensor + scale * torch.randn(tensor.shape, generator=generator) for name, tensor in update.items()}


def arguments(description: str | None, count: int) -> argparse.ArgumentParser:
    """Which pictures, and where the figures go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("CIFAR10_SHEETS"))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--json", type=Path)
    return parser


def pictures(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Batch:
    """The test pictures asked for; says so where nothing tells where they are."""
    if chosen.data is None:
        parser.error("say where the CIFAR-10 sheets are, by --data or CIFAR10_SHEETS")
    images = sheets.pictures(chosen.data, False, chosen.first, chosen.count).float() / 255
    return Batch(images, sheets.labels(chosen.data, False)[chosen.first : chosen.first + chosen.count])


def keep(rows: Mapping[str, Row], path: Path | None) -> None:
    """Write the rows as JSON, where a file is named."""
    if path:
        path.write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1))


def differing(batch: Batch, size: int) -> Batch:
    """The same pictures in an order that gives each batch of ``size`` as many labels; left-over ones are dropped."""
    waiting, chosen = list(range(len(batch.labels))), []
    while True:
        labels: dict[int, int] = {}
        for index in waiting:
            labels.setdefault(int(batch.labels[index]), index)
        if len(labels) < size:
            return Batch(batch.images[chosen], batch.labels[chosen])
        taken = list(labels.values())[:size]
        chosen += taken
        waiting = [index for index in waiting if index not in taken]


def main() -> None:
    """Print a line a case."""
    parser = arguments(__doc__, 100)
    parser.add_argument("--weights", default="")
    parser.add_argument("--different-labels", action="store_true", help="no label twice in a batch")
    parser.add_argument("--case", action="append", choices=list(CASES))
    chosen = parser.parse_args()
    batch = pictures(parser, chosen)
    torch.set_num_threads(1)
    rows = {}
    for name in chosen.case or CASES:
        shown = differing(batch, CASES[name].batch_size) if chosen.different_labels else batch
        rows[name] = run(CASES[name], shown, chosen.weights)
        row = rows[name]
        print(
            f"{name}: {row.recovered}/{row.pictures} at {RECOVERED_DB:g} dB, median {row.median_db:.1f} dB, "
            f"least {row.least_db:.1f} dB, {row.median_cpu_seconds:.2f} CPU s, {row.outcomes}",
            flush=True,
        )
        keep(rows, chosen.json)


if __name__ == "__main__":
    main()
