"""Descent on a sentence's embeddings, as DLG and TAG go, beside the span: the same gradients, and the words that each gives.

    python -m benchmarks.embeddings [--count 5] [--first 0] [--iterations 3000] [--width 128]

An untrained transformer that learns what a sentence does, whose label the server knows; sentences of 20 pieces. What moves is a
free vector at each place, in units of the words' own spread, by Adam with a linearly falling step; the word of a place is the
nearest one. The gradient of the embedding's own rows, which alone names the words, is left out, as it is where vectors move.
DLG (Zhu et al. 2019) lowers the squared distance of the gradients, TAG (Deng et al. 2021) the sum of their distances, straight
and by the sum of sizes. Seconds are a processor's, of one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lab import Experiment, Round, reconstruct, simulate_round
from lab.attacks.span import WORD_EMBEDDING, Span
from lab.client.datasets.wonderland import Wonderland
from lab.federated.causal_transformer import SentenceEncoder
from lab.federated.networks.transformer import Task, Transformer
from lab.federated.observation import Observation
from lab.modalities.text.scores import numbers, words_right
from lab.randomness import stream

STEP = 0.1
L1 = 0.01
"""Weight of the sum of sizes, as TAG's authors begin with."""

Distance = Callable[[list[Tensor], list[Tensor]], Tensor]


def squared(made: list[Tensor], shared: list[Tensor]) -> Tensor:
    """DLG's."""
    return torch.stack([(one - other).square().sum() for one, other in zip(made, shared, strict=True)]).sum()


def straight(made: list[Tensor], shared: list[Tensor]) -> Tensor:
    """TAG's."""
    off = [one - other for one, other in zip(made, shared, strict=True)]
    return torch.stack([part.square().sum().clamp_min(1e-30).sqrt() + L1 * part.abs().sum() for part in off]).sum()


DISTANCES: dict[str, Distance] = {"DLG": squared, "TAG": straight}


@dataclass(frozen=True)
class Descended:
    """Where a descent ended."""

    words: Tensor
    """The nearest word of each place."""
    first: float
    """The distance of gradients at the start."""
    last: float


def sent_by(seen: Observation, names: Sequence[str], entering: Tensor) -> list[Tensor]:
    """The gradient of these weights where such vectors enter the first block, (1, places, width), in a graph."""
    body, labels = cast(SentenceEncoder, seen.network.features), seen.labels
    assert labels is not None
    logits = seen.network.head(body.hidden(entering).mean(1))
    weights = dict(seen.network.named_parameters())
    own = [weights[name] for name in names]
    return list(torch.autograd.grad(cross_entropy(logits, labels), own, create_graph=True))


def descend(seen: Observation, distance: Distance, iterations: int, seed: int) -> Descended:
    """The words nearest to the vectors whose gradient is nearest to the shared one, as far as a descent finds them."""
    embedding = cast(SentenceEncoder, seen.network.features).embedding
    names = [name for name in seen.update if name != WORD_EMBEDDING and not name.endswith("embedding.places")]
    shared, spread = [seen.update[name] for name in names], float(embedding.words.detach().std())
    vectors = torch.randn(embedding.places.shape, generator=stream(seed, "start"), dtype=torch.float32).requires_grad_()
    optimiser = torch.optim.Adam([vectors], STEP)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, iterations)
    trace = list[float]()
    for _ in range(iterations):
        optimiser.zero_grad()
        off = distance(sent_by(seen, names, (spread * vectors + embedding.places.detach())[None]), shared)
        (vectors.grad,) = torch.autograd.grad(off, [vectors])
        trace.append(float(off.detach()))
        optimiser.step()
        slower.step()
    return Descended(torch.cdist(spread * vectors.detach(), embedding.words.detach()).argmin(1), trace[0], trace[-1])


def simulated(width: int, seed: int) -> tuple[Experiment, Round]:
    """What a client sends of one sentence."""
    network = Transformer(width=width, task=Task.SENTENCE)
    experiment = Experiment(dataset=Wonderland(), network=network, attack=Span(), seed=seed)
    return experiment, simulate_round(experiment)


def measured(width: int, seed: int, iterations: int) -> Iterator[str]:
    """A line for each way to the words of one sentence."""
    experiment, attacked = simulated(width, seed)
    began = time.thread_time()
    *_, last = reconstruct(experiment, attacked.observation)
    private = cast("Tensor", attacked.batch.inputs)
    right = float(words_right(cast("Tensor", last.candidate), private))
    yield f"seed {seed}, span: {100 * right:.0f} % of words, {time.thread_time() - began:.1f} s"
    truth = numbers(private)[0]
    for name, distance in DISTANCES.items():
        began = time.thread_time()
        found = descend(attacked.observation, distance, iterations, seed)
        right = float((found.words == truth).float().mean())
        yield (
            f"seed {seed}, {name}: {100 * right:.0f} % of words, {time.thread_time() - began:.1f} s, distance "
            f"{found.first:.2g} to {found.last:.2g} in {iterations} steps"
        )


def main() -> None:
    """Read the command line and print line by line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--width", type=int, default=128)
    given = parser.parse_args()
    for seed in range(given.first, given.first + given.count):
        for line in measured(given.width, seed, given.iterations):
            print(line, flush=True)


if __name__ == "__main__":
    main()
