"""Weights on disk: our own files (``.safetensors`` with a card beside it) and foreign ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lab.checkpoints.card import Card, write_card
from lab.errors import LabError


def save(folder: Path, name: str, network: nn.Module, card: Card, *, half: bool = False) -> Path:
    """Write ``name.safetensors`` (float32; with ``half`` all but buffers in float16) and ``name.json`` into ``folder``.

    Returns the path of the first. Raises ``LabError`` where the folder cannot be written.
    """
    halved = {key for key, _ in network.named_parameters()} if half else set[str]()
    kept = {key: value.half() if key in halved else value for key, value in network.state_dict().items()}
    weights = {key: value.detach().cpu().contiguous() for key, value in kept.items()}
    path = folder / f"{name}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, path)
        write_card(path.with_suffix(".json"), card)
    except OSError as error:
        raise LabError(f"The weights cannot be written to {folder} ({error.strerror}); choose another folder.") from None
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a ``.safetensors`` or PyTorch file by name, floats as float32. No code in the file is run.

    Raises ``LabError`` for a file that is missing or holds no weights.
    """
    if not path.is_file():
        raise LabError(f"There is no file of weights {path}; give the path of a .safetensors or .pth file.")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception:  # torch.load fails on foreign bytes in many ways, KeyError among them
        raise LabError(f"{path} holds no weights that can be read safely; give a .safetensors or .pth file.") from None
    return _tensors(content, path)


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dictionary, also where it is wrapped as ``{"state_dict": ...}``."""
    inner = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(inner, dict) or not inner or not all(isinstance(value, Tensor) for value in inner.values()):
        raise LabError(f"{path} is not a dictionary of tensors by name; save it by torch.save(network.state_dict(), path).")
    return {str(name): value.float() if value.is_floating_point() else value for name, value in inner.items()}
