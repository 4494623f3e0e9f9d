"""Where to compute: CUDA, Apple's MPS or the CPU."""

from __future__ import annotations

from lab.lazy import nn, torch

from lab.errors import LabError, unknown_name
from lab.machine.threads import threads_for

NAMES = ("auto", "cpu", "cuda", "mps")


def choose(name: str = "auto") -> torch.device:
    """The device called ``name`` ("auto", "cpu", "cuda", "mps"). Raises ``LabError`` where it is not there."""
    check_name(name)
    available = available_devices()
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise LabError(f"The device {name!r} is not available on this machine; choose one of: auto, {', '.join(available)}.")
    return torch.device(name)


def check_name(name: str) -> None:
    """Raise ``LabError`` for what is the name of no kind of device."""
    if name not in NAMES:
        raise unknown_name("device", name, NAMES)


def available_devices() -> list[str]:
    """The devices of this machine, fastest first."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def describe(device: torch.device, network: nn.Module) -> str:
    """The device on which this network is attacked, in words a reader knows: "CPU, 1 thread" or the graphics card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU"
    threads = threads_for(network)
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def can_fall_back(error: RuntimeError, device: torch.device) -> bool:
    """Whether the error says that an accelerator's memory ran out, so that the CPU can take over."""
    return device.type != "cpu" and "out of memory" in str(error).lower()
