"""How far the attack on the trained small ConvNet is after one processor second."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from typing import Any

import torch

from benchmarks.cases import CASES, Pictures
from benchmarks.contenders import Ours, simulate
from benchmarks.race import FIRST_PICTURE
from benchmarks.runs import follow

CASE = CASES["trained_small_convnet"]
WITHIN_S = 1.0
WANTED = 0.75


def measure(pictures: Pictures, images: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The SSIM of each picture after a second and at the end, one run each."""
    found: dict[str, Any] = {"pictures": pictures.source, "ssim_in_time": [], "final_ssim": []}
    for number in range(FIRST_PICTURE, FIRST_PICTURE + images):
        experiment = CASE.experiment(pictures.dataset(CASE, number), seed=0)
        attacked = simulate(experiment, torch.device("cpu"), 1)
        run = follow(Ours(experiment, attacked.observation), attacked.batch.images, getattr(experiment.attack, "iterations", 1))
        found["ssim_in_time"].append(run.ssim_at(WITHIN_S))
        found["final_ssim"].append(run.final_ssim)
        tell(f"trained small ConvNet, picture {number}: SSIM {run.ssim_at(WITHIN_S):.3f}, at the end {run.final_ssim:.3f}")
    return found


def row(found: dict[str, Any]) -> tuple[str, str, str]:
    """What, budget and finding, for the table of the budgets."""
    seen = found["ssim_in_time"]
    return (
        f"trained small ConvNet, {found['pictures']}: mean SSIM after {WITHIN_S:g} s",
        f"{WANTED}",
        f"{mean(seen):.3f} over {len(seen)} pictures (lowest {min(seen):.2f}; at the end {mean(found['final_ssim']):.3f})",
    )
