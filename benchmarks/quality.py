"""``python -m benchmarks quality``: what the fast route costs in quality, and how the paper's settings end.

The same pictures, labels and weights three times: the recommended attack on the frozen route, the same on double
backward, and the paper's own settings (``known_attacks``), whose budget may be shortened with its schedule in proportion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean, median

import torch

from benchmarks.cases import Case, Pictures
from benchmarks.race import FIRST_PICTURE
from benchmarks.runs import likeness
from lab import evaluate
from lab.attacks.gradient_matching import Derivative, GradientMatching
from lab.known_attacks import geiping2020_attack
from lab.recommended import recommended_attack
from lab.rounds import reconstruct, simulate_round

BEARABLE_DB = 0.5
"""So much below the exact route counts as nothing."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class End:
    """How a run ended."""

    psnr_db: float
    ssim: float


Ends = dict[str, list[End]]


def contenders(case: Case, iterations: int) -> dict[str, GradientMatching]:
    """The three attacks by name; ``iterations`` are the paper's."""
    ours = recommended_attack(case.network, trained=case.trained)
    return {
        "frozen": replace(ours, derivative=Derivative.FROZEN),
        "exact": replace(ours, derivative=Derivative.EXACT),
        "paper": geiping2020_attack(iterations, step=0.1, total_variation=1e-2),
    }


def measure(case: Case, pictures: Pictures, images: int, iterations: int, tell: Callable[[str], None]) -> Ends:
    """Every attack on every picture; no paper's run where ``iterations`` is 0."""
    attacks = {name: attack for name, attack in contenders(case, max(1, iterations)).items() if iterations or name != "paper"}
    ends: Ends = {name: [] for name in attacks}
    for number in range(FIRST_PICTURE, FIRST_PICTURE + images):
        for name, attack in attacks.items():
            ends[name].append(_end(case, pictures, number, attack))
        tell(
            f"{case.name}: picture {number}, " + ", ".join(f"{name} {found[-1].psnr_db:.2f} dB" for name, found in ends.items())
        )
    return ends


def _end(case: Case, pictures: Pictures, number: int, attack: GradientMatching) -> End:
    experiment = case.experiment(pictures.dataset(case, number), 0, attack)
    attacked = simulate_round(experiment, CPU)
    torch.set_num_threads(1)
    *_, last = reconstruct(experiment, attacked.observation)
    candidate, truth = last.candidate.clamp(0, 1), attacked.batch.images
    return End(float(evaluate.psnr_db(candidate, truth).mean()), likeness(candidate, truth))


def markdown(case: Case, ends: Ends) -> str:
    """Mean and median of each attack, and the pictures on which the fast route lost."""
    rows = [
        f"| {name} | {mean(e.psnr_db for e in found):.2f} | {median(e.psnr_db for e in found):.2f} | "
        f"{mean(e.ssim for e in found):.3f} |"
        for name, found in ends.items()
    ]
    gaps = [fast.psnr_db - exact.psnr_db for fast, exact in zip(ends["frozen"], ends["exact"], strict=True)]
    below = sum(gap < -BEARABLE_DB for gap in gaps)
    return "\n".join(
        [
            f"{case.title}, {len(gaps)} pictures",
            "| attack | mean PSNR, dB | median | mean SSIM |",
            "|---|---|---|---|",
            *rows,
            f"More than {BEARABLE_DB} dB below the exact route: {below} of {len(gaps)} (lowest {min(gaps):+.2f} dB, "
            f"mean {mean(gaps):+.2f} dB).",
        ]
    )
