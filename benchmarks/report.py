"""The report: plain data with every sample in it, and where, when and with what it was measured."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lab.errors import LabError
from lab.machine.resources import usable_cores

Report = dict[str, Any]
"""``{"date", "machine", "versions", "threads", "device", "quick", "cases": [...]}``; as JSON and back without loss."""

_PACKAGES = ("inverting-gradients-lab", "torch", "torchvision", "breaching")


def begun(device: torch.device, threads: int, *, quick: bool = False) -> Report:
    """A report without cases."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(device),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "threads": threads,
        "device": device.type,
        "quick": quick,
        "cases": [],
    }


def machine(device: torch.device) -> str:
    """The processor, or the graphics card, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = usable_cores()
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def add(report: Report, name: str, title: str, part: str, found: Any) -> None:
    """Put what was measured of a case ("costs", "memory_bytes" or "race") beside what is there of it."""
    for case in report["cases"]:
        if case["name"] == name:
            case[part] = found
            return
    report["cases"].append({"name": name, "title": title, part: found})


def write(report: Report, path: Path) -> None:
    """Write JSON, whole or not at all. Raises ``LabError`` where that is not possible."""
    draft = path.with_name(f"{path.name}.part")
    try:
        draft.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise LabError(f"The report cannot be written to {path} ({error.strerror}); choose another place.") from None


def read(path: Path) -> Report:
    """A report written before. Raises ``LabError`` for anything else."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict) or "cases" not in report:
        raise LabError(f"{path} is no report of the benchmarks; give a file that --json wrote.")
    return report


def joined(reports: list[Report]) -> Report:
    """One report of several that were made alike; a later one's figures replace an earlier one's.

    Raises ``LabError`` where machine, versions, threads or device differ.
    """
    first = reports[0]
    for other in reports[1:]:
        for key in ("machine", "versions", "threads", "device", "quick"):
            if other[key] != first[key]:
                raise LabError(f"These reports cannot be joined: their {key} differ ({first[key]}, {other[key]}).")
    together = {**first, "date": reports[-1]["date"], "cases": []}
    for case in (case for report in reports for case in report["cases"]):
        for part, found in case.items():
            if part not in ("name", "title"):
                add(together, case["name"], case["title"], part, found)
    return together
