"""``python -m benchmarks quality``: what the fast route costs in quality, and how the paper's settings end.

The same pictures, labels and weights each time: the recommended attack on the frozen route, on double backward, and the
paper's own settings (``known_attacks``), whose budget may be shortened with its schedule in proportion.
A single run says little about a route: moved by 1e-7, a ReLU that might fall either way falls the other, and the end with it.
So each route runs from several starts that differ by rounding alone, and its mean over them is what a picture owes to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import sqrt
from statistics import mean, median, variance

import torch

from benchmarks.cases import Case, Pictures
from benchmarks.race import FIRST_PICTURE
from benchmarks.runs import likeness
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.settings import Derivative
from lab.attacks.published import geiping2020_attack
from lab.experiments.rounds import simulate_round
from lab.modalities.images.scores import psnr_db
from lab.randomness import stream

BEARABLE_DB = 0.5
"""So much below the exact route counts as nothing."""
NUDGE = 1e-7
"""Standard deviation of what is added to grey for every start but the first, in pixel range."""
CPU = torch.device("cpu")
FAST, EXACT, PAPER = "frozen", "exact", "paper"


@dataclass(frozen=True)
class End:
    """How a run ended."""

    psnr_db: float
    ssim: float


Ends = dict[str, list[list[End]]]
"""For each attack and each picture the ends from all starts."""


def contenders(case: Case, iterations: int) -> dict[str, GradientMatching | HeadStart]:
    """The attacks by name; ``iterations`` are the paper's."""
    ours = case.own_attack
    assert isinstance(ours, GradientMatching | HeadStart)  # they begin where they are told to
    return {
        FAST: replace(ours, derivative=Derivative.FROZEN),
        EXACT: replace(ours, derivative=Derivative.EXACT),
        PAPER: geiping2020_attack(iterations, step=0.1, total_variation=1e-2),
    }


def measure(case: Case, pictures: Pictures, images: int, starts: int, iterations: int, tell: Callable[[str], None]) -> Ends:
    """Every attack on every picture, the paper's from one start and not at all where ``iterations`` is 0."""
    attacks = {name: attack for name, attack in contenders(case, max(1, iterations)).items() if iterations or name != PAPER}
    ends: Ends = {name: [] for name in attacks}
    for number in range(FIRST_PICTURE, FIRST_PICTURE + images):
        for name, attack in attacks.items():
            seen = range(1 if name == PAPER else starts)
            ends[name].append([_end(case, pictures, number, attack, start) for start in seen])
        told = (f"{name} {_mean_db(found[-1]):.2f} dB" for name, found in ends.items())
        tell(f"{case.name}: picture {number}, {', '.join(told)}")
    return ends


def _end(case: Case, pictures: Pictures, number: int, attack: GradientMatching | HeadStart, start: int) -> End:
    attacked = simulate_round(case.experiment(pictures.dataset(case, number), 0, attack), CPU)
    torch.set_num_threads(1)
    truth = attacked.batch.images
    first = 0.5 + NUDGE * torch.randn(truth.shape, generator=stream(start, "nudge")) if start else None
    *_, last = attack.reconstruct(attacked.observation, stream(0, "candidate"), first)
    candidate = last.images.clamp(0, 1)
    return End(float(psnr_db(candidate, truth).mean()), likeness(candidate, truth))


def markdown(case: Case, ends: Ends) -> str:
    """Mean and median of each attack, and the pictures on which the fast route lost."""
    return "\n".join(
        [
            f"{case.title}, {len(ends[EXACT])} pictures, {len(ends[EXACT][0])} starts each",
            "| attack | mean PSNR, dB | median | mean SSIM |",
            "|---|---|---|---|",
            *(_row(name, found) for name, found in ends.items()),
            _lost_on(ends),
            *(_single_runs(name, ends[name], ends[EXACT]) for name in (FAST, EXACT) if len(ends[EXACT][0]) > 1),
        ]
    )


def _row(name: str, found: list[list[End]]) -> str:
    runs = [end for picture in found for end in picture]
    psnr_db = [end.psnr_db for end in runs]
    return f"| {name} | {mean(psnr_db):.2f} | {median(psnr_db):.2f} | {mean(end.ssim for end in runs):.3f} |"


def _mean_db(picture: list[End]) -> float:
    return mean(end.psnr_db for end in picture)


def _lost_on(ends: Ends) -> str:
    """The pictures whose mean over all starts is lower on the fast route, and how sure such a gap is."""
    pairs = list(zip(ends[FAST], ends[EXACT], strict=True))
    gaps = [_mean_db(fast) - _mean_db(exact) for fast, exact in pairs]
    told = (
        f"Fast route's mean over its starts more than {BEARABLE_DB} dB below the exact one's: "
        f"{sum(gap < -BEARABLE_DB for gap in gaps)} of {len(gaps)} pictures "
        f"(lowest {min(gaps):+.2f} dB, mean {mean(gaps):+.2f} dB"
    )
    if len(pairs[0][0]) == 1:
        return f"{told})."
    errors = [sqrt(sum(variance([end.psnr_db for end in runs]) / len(runs) for runs in pair)) for pair in pairs]
    return f"{told}; standard error of one gap {median(errors):.2f} dB, the median of all pictures)."


def _single_runs(name: str, found: list[list[End]], exact: list[list[End]]) -> str:
    """How often one run ends so far below one exact run of another start."""
    lost = [
        run.psnr_db - other.psnr_db < -BEARABLE_DB
        for runs, others in zip(found, exact, strict=True)
        for (start, run), (base, other) in product(enumerate(runs), enumerate(others))
        if start != base
    ]
    return f"One run of {name} so far below one run of exact from another start: {mean(lost):.0%}."
