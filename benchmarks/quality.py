"""``python -m benchmarks quality``: what the fast route costs in quality, and how the paper's settings end.

The same pictures, labels and weights each time: the recommended attack on the frozen route, on double backward, on double
backward once more from a start that rounding could have made (so far do runs part that differ in nothing), and the paper's
own settings (``known_attacks``), whose budget may be shortened with its schedule in proportion.
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
from lab.randomness import stream
from lab.rounds import simulate_round

BEARABLE_DB = 0.5
"""So much below the exact route counts as nothing."""
NUDGE = 1e-7
"""Standard deviation of what is added to the grey start of the run that shows how far chance goes, in pixel range."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class End:
    """How a run ended."""

    psnr_db: float
    ssim: float


Ends = dict[str, list[End]]
NUDGED = "exact, nudged"


def contenders(case: Case, iterations: int) -> dict[str, GradientMatching]:
    """The attacks by name; ``iterations`` are the paper's."""
    ours = case.own_attack
    return {
        "frozen": replace(ours, derivative=Derivative.FROZEN),
        "exact": replace(ours, derivative=Derivative.EXACT),
        NUDGED: replace(ours, derivative=Derivative.EXACT),
        "paper": geiping2020_attack(iterations, step=0.1, total_variation=1e-2),
    }


def measure(case: Case, pictures: Pictures, images: int, iterations: int, tell: Callable[[str], None]) -> Ends:
    """Every attack on every picture; no paper's run where ``iterations`` is 0."""
    attacks = {name: attack for name, attack in contenders(case, max(1, iterations)).items() if iterations or name != "paper"}
    ends: Ends = {name: [] for name in attacks}
    for number in range(FIRST_PICTURE, FIRST_PICTURE + images):
        for name, attack in attacks.items():
            ends[name].append(_end(case, pictures, number, attack, NUDGE if name == NUDGED else 0.0))
        tell(
            f"{case.name}: picture {number}, " + ", ".join(f"{name} {found[-1].psnr_db:.2f} dB" for name, found in ends.items())
        )
    return ends


def _end(case: Case, pictures: Pictures, number: int, attack: GradientMatching, nudge: float) -> End:
    attacked = simulate_round(case.experiment(pictures.dataset(case, number), 0, attack), CPU)
    torch.set_num_threads(1)
    truth = attacked.batch.images
    first = 0.5 + nudge * torch.randn(truth.shape, generator=stream(number, "nudge")) if nudge else None
    *_, last = attack.reconstruct(attacked.observation, stream(0, "candidate"), first)
    candidate = last.candidate.clamp(0, 1)
    return End(float(evaluate.psnr_db(candidate, truth).mean()), likeness(candidate, truth))


def markdown(case: Case, ends: Ends) -> str:
    """Mean and median of each attack, and the pictures on which the fast route lost."""
    rows = [
        f"| {name} | {mean(e.psnr_db for e in found):.2f} | {median(e.psnr_db for e in found):.2f} | "
        f"{mean(e.ssim for e in found):.3f} |"
        for name, found in ends.items()
    ]
    return "\n".join(
        [
            f"{case.title}, {len(ends['exact'])} pictures",
            "| attack | mean PSNR, dB | median | mean SSIM |",
            "|---|---|---|---|",
            *rows,
            *(_below(name, ends) for name in ("frozen", NUDGED)),
        ]
    )


def _below(name: str, ends: Ends) -> str:
    gaps = [found.psnr_db - exact.psnr_db for found, exact in zip(ends[name], ends["exact"], strict=True)]
    below = sum(gap < -BEARABLE_DB for gap in gaps)
    return (
        f"More than {BEARABLE_DB} dB below the exact route, {name}: {below} of {len(gaps)} "
        f"(lowest {min(gaps):+.2f} dB, mean {mean(gaps):+.2f} dB)."
    )
