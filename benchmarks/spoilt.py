"""Updates that were spoilt on their way: our recommended attack and breaching's at equal processor seconds.

    python -m benchmarks.spoilt CHOICE --data FOLDER --who breaching --tv 0.03 --tv 0.1 --first 100 --count 2
    python -m benchmarks.spoilt FILE --data FOLDER --choice CHOICE [--way signs]... [--who ours]... [--seconds 20]
        [--first 360] [--count 7] [--seed 0]
    python -m benchmarks.spoilt FILE --table

Both attack the same update of the untrained small ConvNet on one thread, labels given. What an iteration costs is measured
first, and each contender's budget is what the seconds allow, its schedule stretched over it; ours takes no more iterations
than it has by default, so that it may end sooner. A run is a line of FILE, added when it ends; the same command goes on where
it was stopped. Breaching's total variation is, for each way, the best of those in CHOICE, a file of runs on other pictures;
the table takes the best of its own file.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks.breaching_adapter import DEFAULT_TOTAL_VARIATION, Breaching
from benchmarks.cases import CASES, Case, Pictures
from benchmarks.clock import seconds
from benchmarks.contenders import Contender, Ours, simulate, some_of
from benchmarks.runs import Run, follow
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.pruning import Pruning
from lab.evaluation.round import Round
from lab.experiments.experiment import Experiment
from lab.federated.tensors import Gradients
from lab.randomness import stream

CPU = torch.device("cpu")
CASE = CASES["small_convnet"]
OURS, BREACHING = "ours", "breaching"
TRIED = 40
"""Iterations by whose cost the budget is set."""
GRID = 127
"""int8: so many steps from zero to the largest number of a tensor."""


def signs(update: Gradients, generator: torch.Generator) -> Gradients:
    """What signSGD sends (Bernstein et al. 2018)."""
    return {name: tensor.sign() for name, tensor in update.items()}


def int8(update: Gradients, generator: torch.Generator) -> Gradients:
    """Each tensor on its own grid of 255 values."""
    return {name: _on_grid(tensor) for name, tensor in update.items()}


def _on_grid(tensor: Tensor) -> Tensor:
    step = tensor.abs().max() / GRID
    return (tensor / step).round() * step if step > 0 else tensor


Way = Callable[[Gradients, torch.Generator], Gradients]
WAYS: dict[str, Way] = {
    "signs": signs,
    "pruned by 99 %": Pruning(strength=0.99).apply,
    "noise as long as the gradient": GaussianNoise(strength=1.0).apply,
    "int8": int8,
}


@dataclass(frozen=True)
class Ended:
    """One run."""

    way: str
    who: str
    picture: int
    seed: int
    iterations: int
    seconds: float
    ssim: float
    psnr_db: float
    total_variation: float | None = None
    """Breaching's weight; ours reads its own off the update."""


def spoilt_round(way: str, case: Case, source: Pictures, picture: int, seed: int) -> tuple[Experiment, Round]:
    """The experiment, and its round after what was done to the update."""
    experiment = case.experiment(source.dataset(case, picture), seed)
    attacked = simulate(experiment, CPU, 1)
    update = WAYS[way](attacked.observation.update, stream(seed, "defence"))
    return experiment, replace(attacked, observation=replace(attacked.observation, update=update))


def ours(experiment: Experiment, attacked: Round, budget_s: float) -> Run:
    """The recommended attack, with as many iterations as the seconds allow; at most its own: more serve it no better."""

    def with_steps(iterations: int) -> Contender:
        attack = replace(CASE.own_attack, iterations=iterations)
        return Ours(replace(experiment, attack=attack), attacked.observation)

    return _within(with_steps, attacked, budget_s, CASE.own_attack.iterations)


def breaching(attacked: Round, seed: int, total_variation: float, budget_s: float) -> Run:
    """Its ``invertinggradients`` attack, likewise."""
    return _within(lambda iterations: Breaching(attacked, seed, iterations, total_variation), attacked, budget_s)


def _within(contender: Callable[[int], Contender], attacked: Round, budget_s: float, most: int | None = None) -> Run:
    """What an iteration costs is the median of a few, of a run that ends with them."""
    cost = median(seconds(span, CPU) for span in some_of(contender(10 * TRIED), CPU, TRIED))
    allowed = max(1, round(budget_s / cost))
    iterations = min(allowed, most or allowed)
    return follow(contender(iterations), attacked.batch.images, iterations)


def keep(ended: Ended, path: Path) -> None:
    """One more line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(ended)) + "\n")


def read(path: Path) -> list[Ended]:
    """All lines."""
    return [Ended(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def markdown(runs: Iterable[Ended]) -> str:
    """A line for each way: ours beside breaching's best total variation, chosen by the mean SSIM on these very runs."""
    lines = [
        "| update | pictures | ours: SSIM, dB, s | breaching's best: SSIM, dB, s | total variation | ours ahead in SSIM |",
        "|---|---|---|---|---|---|",
    ]
    for way, found in _grouped(runs, lambda run: run.way).items():
        own, best = [run for run in found if run.who == OURS], _breachings_best(found)
        variation = f"{best[0].total_variation:g}" if best else ""
        cells = (way, len(own or best), _middle(own), _middle(best), variation, _ahead(own, best))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def best_variations(runs: Iterable[Ended]) -> dict[str, float]:
    """For each way breaching's total variation of the highest mean SSIM."""
    chosen = {way: _breachings_best(found) for way, found in _grouped(runs, lambda run: run.way).items()}
    return {way: best[0].total_variation for way, best in chosen.items() if best and best[0].total_variation is not None}


def _breachings_best(runs: Iterable[Ended]) -> list[Ended]:
    """Its runs with the total variation of the highest mean SSIM; none where it has none."""
    theirs = _grouped((run for run in runs if run.who == BREACHING), lambda run: run.total_variation)
    return max(theirs.values(), key=lambda group: mean(run.ssim for run in group), default=[])


def _ahead(own: list[Ended], best: list[Ended]) -> str:
    """On how many of the pictures that both attacked ours ended higher."""
    theirs = {(run.picture, run.seed): run.ssim for run in best}
    pairs = [(run.ssim, theirs[run.picture, run.seed]) for run in own if (run.picture, run.seed) in theirs]
    return f"{sum(ours > other for ours, other in pairs)} of {len(pairs)}" if pairs else ""


Key = TypeVar("Key")


def _grouped(runs: Iterable[Ended], key: Callable[[Ended], Key]) -> dict[Key, list[Ended]]:
    groups = defaultdict[Key, list[Ended]](list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def _middle(runs: list[Ended]) -> str:
    if not runs:
        return ""
    ssim, psnr_db, spent = (
        mean(values) for values in zip(*((run.ssim, run.psnr_db, run.seconds) for run in runs), strict=True)
    )
    return f"{ssim:.2f}, {psnr_db:.1f}, {spent:.1f}"


@dataclass(frozen=True)
class Bout:
    """A run that is asked for."""

    way: str
    who: str
    picture: int
    seed: int
    total_variation: float | None = None
    """Breaching's weight."""

    def is_of(self, run: Ended) -> bool:
        """Whether that run is the one asked for."""
        return all(getattr(run, name) == value for name, value in asdict(self).items())


def asked(chosen: argparse.Namespace) -> list[Bout]:
    """Picture by picture and way by way, so that all contenders meet the same machine."""
    best = best_variations(read(chosen.choice)) if chosen.choice else {}
    contenders = chosen.who or (OURS, BREACHING)
    bouts = list[Bout]()
    for picture in range(chosen.first, chosen.first + chosen.count):
        for way in chosen.way or WAYS:
            names = (picture, chosen.seed)
            variations = chosen.tv or [best.get(way, DEFAULT_TOTAL_VARIATION)]
            bouts += [Bout(way, OURS, *names)] if OURS in contenders else []
            bouts += [Bout(way, BREACHING, *names, weight) for weight in variations] if BREACHING in contenders else []
    return bouts


def measured(bouts: Iterable[Bout], source: Pictures, budget_s: float) -> Iterator[Ended]:
    """Each run as it ends."""
    for bout in bouts:
        experiment, attacked = spoilt_round(bout.way, CASE, source, bout.picture, bout.seed)
        if bout.total_variation is None:
            run = ours(experiment, attacked, budget_s)
        else:
            run = breaching(attacked, bout.seed, bout.total_variation, budget_s)
        names = (bout.way, bout.who, bout.picture, bout.seed)
        yield Ended(*names, run.iterations, run.seconds, run.final_ssim, run.final_psnr_db, bout.total_variation)


def main() -> None:
    """Measure and append, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10; the gallery if left out")
    parser.add_argument("--way", action="append", choices=list(WAYS))
    parser.add_argument("--who", action="append", choices=[OURS, BREACHING])
    parser.add_argument("--tv", action="append", type=float, help="breaching's weights of total variation")
    parser.add_argument("--choice", type=Path, help="runs on other pictures, of which its best weight is taken")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--first", type=int, default=360)
    parser.add_argument("--count", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    chosen = parser.parse_args()
    if chosen.table:
        print(markdown(read(chosen.file)))
        return
    torch.set_num_threads(1)
    known = read(chosen.file) if chosen.file.exists() else []
    missing = [bout for bout in asked(chosen) if not any(map(bout.is_of, known))]
    for ended in measured(missing, Pictures(chosen.data), chosen.seconds):
        keep(ended, chosen.file)
        print(ended, flush=True)


if __name__ == "__main__":
    main()
