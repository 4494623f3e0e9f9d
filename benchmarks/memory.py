"""Peak memory of a training step and of an attack's iterations, each in a fresh process.

Resident memory is read from the kernel, so everything counts: tensors, graphs, the scratch space of
convolutions. A fresh process for each figure keeps one contender's leftovers out of another's; glibc is told
to map every block above 64 kB by itself, so that what is freed leaves the resident set at once. The figure is
the high-water mark during the first iterations above what the process held before them, once a run of two
has loaded all libraries and filled all caches: weights, picture and shared update are not in it, what an
attack keeps from one iteration to the next is.
Pages are counted, so below about 1 MB it says little. On a graphics card it is the allocator's own peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch

from benchmarks import process_memory
from benchmarks.cases import CASES, Pictures
from benchmarks.costs import CONTENDERS, Stretch, stretches

WARM_UP, MEASURED = 2, 22
"""Long enough for what an attack does every tenth iteration: a second time, beside what the first left behind."""
HONEST_HEAP = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}


def measure(case: str, device: torch.device, threads: int) -> dict[str, int]:
    """Bytes above the idle process for each contender."""
    return {name: _in_fresh_process(case, name, device, threads) for name in CONTENDERS}


def _in_fresh_process(case: str, contender: str, device: torch.device, threads: int) -> int:
    command = [sys.executable, "-m", "benchmarks.memory", case, contender, str(device), str(threads)]
    environment = os.environ | HONEST_HEAP | {"OMP_NUM_THREADS": str(threads)}
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(json.loads(told.splitlines()[-1]))


def peak_above_idle(stretch: Stretch, device: torch.device) -> int:
    """Bytes that the iterations need at most above what is held before them."""
    stretch(WARM_UP)
    process_memory.settle()
    if device.type == "cuda":
        return _peak_on_card(stretch, device)
    before = process_memory.resident()
    process_memory.forget_highest()
    stretch(MEASURED)
    return max(0, process_memory.highest() - before)


def _peak_on_card(stretch: Stretch, device: torch.device) -> int:
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    stretch(MEASURED)
    return torch.cuda.max_memory_allocated(device) - before


def _child(case: str, contender: str, device: str, threads: str) -> None:
    where = torch.device(device)
    running = stretches(CASES[case], Pictures(None), where, int(threads), afresh=True)
    print(json.dumps(peak_above_idle(running[contender], where)))


if __name__ == "__main__":
    _child(*sys.argv[1:])
