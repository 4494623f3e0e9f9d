"""What a vision transformer's gradient gives away in closed form (attack ``patch_embedding``), case by case.

    python -m benchmarks.patches [--data FOLDER] [--first 0] [--count 20] [--case NAME ...]

Photographs of the gallery, in the order of their names; with --data test pictures of CIFAR-10 in that folder, from number
--first on, for the cases of 32 pixels. The client's step and the solve are timed apart, in processor seconds of one thread; the
check, by which a picture may be called exact, costs the client's step once more. In refined cases what rounding took is sought
in all else that was sent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from lab.attacks.closed_form.mismatch import mismatch
from lab.attacks.closed_form.patch_equations import PatchEquations, find_embedding, read_equations
from lab.attacks.closed_form.patch_refinement import refined
from lab.attacks.closed_form.patch_solve import solve
from lab.attacks.patch_embedding import BELIEVED_SHARE
from lab.client import checkpoints
from lab.client.batch import Batch
from lab.client.datasets.cifar10 import CIFAR10
from lab.client.datasets.gallery import NAMES, Gallery
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.federated.classifier import Classifier, Normalise
from lab.federated.networks.base import Network
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.vision_transformer import Pool, VisionTransformer
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.tensors import Gradients, Images
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream

Optimiser = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
SMALL = VisionTransformer()


@dataclass(frozen=True)
class Case:
    """A network, and what the client does with one picture."""

    network: Network
    trained: bool = False
    noise: float = 0.0
    steps: int = 0
    """Local steps, of which the server is told only that they are SGD's; 0 sends the gradient."""
    rate: float = 1e-2
    momentum: float = 0.0
    decay: float = 0.0
    iterations: int = 0
    """Of the refinement; 0 takes the solution of the system."""


CASES = {
    "ViT-S/16": Case(ImageNetViT(width=384)),
    "ViT-B/16": Case(ImageNetViT(width=768)),
    "ViT-Ti/16": Case(ImageNetViT(width=192)),
    "32 px": Case(SMALL),
    "32 px, mean": Case(VisionTransformer(pool=Pool.MEAN)),
    "32 px, trained": Case(SMALL, trained=True),
    "32 px, width 64": Case(VisionTransformer(width=64)),
    "32 px, width 32": Case(VisionTransformer(width=32)),
    **{
        f"32 px, {steps} steps, {name}": Case(SMALL, steps=steps, rate=rate, momentum=momentum, decay=decay)
        for steps in (5, 50)
        for name, rate, momentum, decay in (
            ("1e-4", 1e-4, 0.0, 0.0),
            ("1e-2", 1e-2, 0.0, 0.0),
            ("1e-2 with momentum 0.9", 1e-2, 0.9, 0.0),
            ("1e-2 with decay 5e-4", 1e-2, 0.0, 5e-4),
            ("1e-4 with decay 5e-4", 1e-4, 0.0, 5e-4),
        )
    },
    "32 px, 5 steps, 1e-4, refined": Case(SMALL, steps=5, rate=1e-4, iterations=100),
    "32 px, 5 steps, 1e-2, refined": Case(SMALL, steps=5, rate=1e-2, iterations=100),
    "32 px, noise 1e-4": Case(SMALL, noise=1e-4),
    "32 px, noise 1e-3": Case(SMALL, noise=1e-3),
    "32 px, noise 1e-2": Case(SMALL, noise=1e-2),
    "ViT-S/16, noise 1e-4": Case(ImageNetViT(width=384), noise=1e-4),
    "ViT-S/16, noise 1e-3": Case(ImageNetViT(width=384), noise=1e-3),
    "ViT-B/16, noise 1e-3": Case(ImageNetViT(width=768), noise=1e-3),
}


@dataclass(frozen=True)
class Measured:
    """One picture."""

    psnr_db: float
    client: float
    """Processor seconds of its training."""
    solve: float
    determined: int
    condition: float


def measure(case: Case, batch: Batch) -> Measured:
    """The picture that the equations give, and the seconds of both sides."""
    classes = checkpoints.classes(case.network) if case.trained else 10
    network = case.network.build(batch.image_shape, classes, stream(0, "weights"))
    if case.trained:
        checkpoints.load(network, case.network)
    began = time.thread_time()
    update = _sent(case, network, batch)
    between = time.thread_time()
    if case.noise:
        update = GaussianNoise(case.noise).apply(update, stream(0, "defence"))
    protocol = FedAvg(case.steps, 0, case.rate) if case.steps else FedSGD()
    seen = Observation(network, protocol, update, batch.image_shape, 1, LabelSource.KNOWN, batch.labels)
    started = time.thread_time()
    embedding = find_embedding(network, batch.image_shape)
    assert embedding is not None
    equations = read_equations(seen, embedding)
    assert equations is not None
    assert isinstance(network.normalise, Normalise)
    solution = solve(equations, network.normalise)
    picture = _refined(seen, equations, solution.picture, case.iterations)
    ended = time.thread_time()
    found = float(psnr_db(picture.clamp(0, 1).double(), batch.images.double()))
    return Measured(found, between - began, ended - started, solution.determined, solution.condition)


def _refined(seen: Observation, equations: PatchEquations, picture: Images, iterations: int) -> Images:
    """The last picture of the refinement where that explains the update better than the first, as the attack has it."""
    if not iterations:
        return picture
    *_, last = refined(seen, equations, picture, iterations)
    return last if mismatch(seen, last) < BELIEVED_SHARE * mismatch(seen, picture.to(last)) else picture


def _sent(case: Case, network: Classifier, batch: Batch) -> Gradients:
    if not case.steps:
        return FedSGD().update(network, batch.images, batch.labels)
    model = deepcopy(network)
    optimiser = torch.optim.SGD(model.parameters(), case.rate, momentum=case.momentum, weight_decay=case.decay)
    for _ in range(case.steps):
        optimiser.zero_grad()
        cross_entropy(model(batch.images), batch.labels).backward()
        optimiser.step()
    before = dict(network.named_parameters())
    return {name: (weights - before[name]).detach() for name, weights in model.named_parameters()}


def batches(case: Case, data: str, count: int, first: int = 0) -> Iterator[Batch]:
    """One picture at a time."""
    if data and case.network.image_size == 32:
        whole = CIFAR10(root=data, first=first).load(count, 32, stream(0, "data"))
        for row in range(count):
            yield replace(whole, inputs=whole.images[row : row + 1], labels=whole.labels[row : row + 1])
        return
    for name in NAMES[:count]:
        yield Gallery(first=name).load(1, case.network.image_size, stream(0, "data"))


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--case", nargs="*", default=list(CASES), choices=list(CASES))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in chosen.case:
        rows = [measure(CASES[name], batch) for batch in batches(CASES[name], chosen.data, chosen.count, chosen.first)]
        found = [row.psnr_db for row in rows]
        print(
            f"{name}: {len(rows)} pictures, least {min(found):.1f}, median {median(found):.1f}, most {max(found):.1f} dB; "
            f"client {median(row.client for row in rows):.3f}, solve {median(row.solve for row in rows):.3f} CPU s; "
            f"told {min(row.determined for row in rows)}, condition to {max(row.condition for row in rows):.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
