"""``python -m benchmarks budgets``: what a visitor on one core waits for, and how much memory a visitor takes.

Four figures, each against its budget:

* the default experiment's seconds of attack until SSIM 0.8 and the first place in the line-up, over many seeds;
* how far the attack on the trained small ConvNet is after a second;
* the import of the lab's public names (``import lab`` alone loads none of them), without torch's own import: fresh
  processes by turns, with torch alone and with the lab after it;
* memory of a process that has imported the lab and simulated a round, and its peak in the default run.

Resident memory (RSS) counts pages of libraries that processes share, and PyTorch's CUDA build maps several
hundred MB more of them than its CPU build even where there is no graphics card; USS is what a process has
for itself, and what one more visitor costs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

from benchmarks import process_memory, report, tables, trained
from benchmarks.cases import Pictures
from benchmarks.clock import Laps
from benchmarks.tuning import RECOGNISABLE
from lab.evaluation.scoring import score
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from lab.modalities.line_up import Verdict

CPU = torch.device("cpu")
WITHIN_S = 1.0

_IMPORTS = {
    "torch": "import torch; start = clock(); stop = clock()",
    "lab": "import torch; start = clock(); from lab import Experiment, reconstruct, score, simulate_round; stop = clock()",
}


@dataclass(frozen=True)
class Attacked:
    """The default experiment with one seed."""

    seed: int
    recognisable_s: float | None
    """Seconds of attack until SSIM 0.8 and the first place in the line-up."""
    whole_s: float
    ssim: float
    psnr_db: float
    line_up_rank: int
    verdict: str

    @property
    def kept(self) -> bool:
        """Whether the budget was kept, and the picture is recognisable in the end."""
        in_time = self.recognisable_s is not None and self.recognisable_s <= WITHIN_S
        return in_time and self.line_up_rank == 1 and self.verdict == Verdict.RECOGNISABLE.value


def attack(seed: int) -> Attacked:
    """One run; its processor seconds without those that scoring takes."""
    experiment = Experiment(seed=seed)
    attacked = simulate_round(experiment, CPU)
    laps, first, scores = Laps(CPU), None, None
    for state in reconstruct(experiment, attacked.observation):
        laps.lap()
        scores = score(attacked, state)
        if first is None and scores.ssim >= RECOGNISABLE and scores.line_up_rank == 1:
            first = laps.total().cpu_s
        laps.resume()
    assert scores is not None
    return Attacked(seed, first, laps.total().cpu_s, scores.ssim, scores.psnr_db, scores.line_up_rank, scores.verdict.value)


def importing(turns: int) -> dict[str, list[float]]:
    """Seconds of whole fresh processes that import torch alone, or the lab after it, by turns; and of that import alone."""
    found: dict[str, list[float]] = {"torch_process_s": [], "lab_process_s": [], "lab_after_torch_s": []}
    for _ in range(turns):
        for name in _IMPORTS:
            whole, part = _imported(name)
            found[f"{name}_process_s"].append(whole)
            if name == "lab":
                found["lab_after_torch_s"].append(part)
    return found


def _imported(name: str) -> tuple[float, float]:
    code = "\n".join(
        (
            "from time import process_time as clock",
            _IMPORTS[name].replace("; ", "\n"),
            "print(clock(), stop - start)",
        )
    )
    whole, part = _fresh("-c", code).split()
    return float(whole), float(part)


def memory() -> dict[str, dict[str, int]]:
    """Bytes (RSS and USS) of a fresh process when idle, and at the peak of the default run."""
    return json.loads(_fresh("-m", "benchmarks.budgets").splitlines()[-1])


def _fresh(*arguments: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return child.stdout


def _own_memory() -> dict[str, dict[str, int]]:
    """Run in a fresh process: idle after a round, then the highest of the default run."""
    experiment = Experiment()
    attacked = simulate_round(experiment, CPU)
    process_memory.settle()
    idle = {"rss": process_memory.resident(), "uss": process_memory.own()}
    process_memory.forget_highest()
    uss = max(process_memory.own() for _ in reconstruct(experiment, attacked.observation))
    return {"idle": idle, "peak": {"rss": process_memory.highest(), "uss": uss}}


def measure(seeds: int, turns: int, images: int, pictures: Pictures, tell: Callable[[str], None]) -> dict[str, Any]:
    """All of it, as plain data with every sample."""
    runs = []
    attack(seed=seeds)
    for seed in range(seeds):
        runs.append(attack(seed))
        tell(f"default experiment, seed {seed}: {runs[-1]}")
    return {
        **{key: value for key, value in report.begun(CPU, 1).items() if key not in ("cases", "quick")},
        "kept": sum(run.kept for run in runs),
        "default": [asdict(run) for run in runs],
        "trained": trained.measure(pictures, images, tell),
        "import": importing(turns),
        "memory": memory(),
    }


def markdown(found: dict[str, Any]) -> str:
    """Each budget with what was found."""
    runs, imports = found["default"], found["import"]
    times = [run["recognisable_s"] for run in runs if run["recognisable_s"] is not None]
    extra = median(lab - torch_ for lab, torch_ in zip(imports["lab_process_s"], imports["torch_process_s"], strict=True))
    idle, peak = found["memory"]["idle"], found["memory"]["peak"]
    rows = [
        (
            "default experiment on one core: SSIM 0.8, line-up rank 1, recognisable",
            "1 s, 19 of 20 seeds",
            f"{found['kept']} of {len(runs)} seeds; median {tables.number(median(times) if times else None)} s, "
            f"longest {tables.number(max(times, default=None))} s",
        ),
        trained.row(found["trained"]),
        (
            "import of the lab's public names, without torch's own",
            "0.3 s",
            f"{tables.number(median(imports['lab_after_torch_s']))} s (difference of whole processes {tables.number(extra)} s)",
        ),
        ("memory when idle", "400 MB", f"RSS {_mb(idle['rss'])}, USS {_mb(idle['uss'])}"),
        ("peak of the default run", "600 MB", f"RSS {_mb(peak['rss'])}, USS {_mb(peak['uss'])}"),
    ]
    return f"{tables.table(('what', 'budget', 'found'), rows)}\n\n{tables.circumstances(found)}\n"


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(_own_memory()))
