"""How soon the default experiment is recognisable: CPU seconds to SSIM 0.8 over many seeds, one thread.

    python benchmarks/default_race.py [--seeds N] [--trained] [--iterations N] [--cifar FOLDER --first N]

Without --cifar each seed attacks another picture of the gallery; with it, CIFAR-10 test pictures
from number --first on. Scoring is left out of the seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from lab import Experiment, Verdict, reconstruct, score, simulate_round
from lab.attacks.gradient_matching import GradientMatching
from lab.datasets.base import Dataset
from lab.datasets.gallery import NAMES, Gallery
from lab.evaluate import ssim


def picture(chosen: argparse.Namespace, seed: int) -> Dataset:
    """The picture that this seed attacks."""
    if chosen.cifar is None:
        return Gallery(first=NAMES[seed % len(NAMES)])
    from lab.datasets.cifar10 import CIFAR10

    return CIFAR10(root=str(chosen.cifar), first=chosen.first + seed)


def race(experiment: Experiment) -> tuple[float | None, float, float, bool]:
    """CPU seconds to SSIM 0.8 (None where never), CPU seconds in all, final SSIM, whether recognised."""
    attacked = simulate_round(experiment)
    torch.set_num_threads(1)
    spent, reached, last = 0.0, None, None
    states = reconstruct(experiment, attacked.observation)
    while True:
        start = time.process_time()
        state = next(states, None)
        spent += time.process_time() - start
        if state is None:
            break
        last = state
        if reached is None and state.iteration % 5 == 0 and float(ssim(state.candidate, attacked.batch.images)) >= 0.8:
            reached = spent
    assert last is not None
    scores = score(attacked, last)
    return reached, spent, scores.ssim, scores.verdict is Verdict.RECOGNISABLE


def main() -> None:
    """Print a line a seed and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--first", type=int, default=100)
    chosen = parser.parse_args()
    attack = GradientMatching() if chosen.iterations is None else replace(GradientMatching(), iterations=chosen.iterations)
    rows = []
    for seed in range(chosen.seeds):
        rows.append(race(Experiment(dataset=picture(chosen, seed), seed=seed, trained=chosen.trained, attack=attack)))
        reached, spent, ssim, known = rows[-1]
        first = "never" if reached is None else f"{reached:.2f} s"
        print(f"seed {seed}: SSIM 0.8 after {first}, {spent:.2f} s in all, SSIM {ssim:.3f}, recognised: {known}", flush=True)
    times = [float("inf") if row[0] is None else row[0] for row in rows]
    print(f"median CPU seconds to SSIM 0.8: {statistics.median(times):.2f}; reached by {sum(map(float('inf').__gt__, times))}")
    print(f"mean SSIM {statistics.mean(row[2] for row in rows):.3f}; recognised {sum(row[3] for row in rows)} of {len(rows)}")


if __name__ == "__main__":
    main()
