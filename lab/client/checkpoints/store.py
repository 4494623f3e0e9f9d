"""The lab's own weights on disk: ``.safetensors`` with a card beside it."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from lab.client.checkpoints.card import Card, write_card
from lab.errors import LabError
from lab.files.atomic import writing


def save(folder: Path, name: str, network: nn.Module, card: Card, *, half: bool = False) -> Path:
    """Write ``name.safetensors`` (float32; with ``half`` all but buffers in float16) and ``name.json`` into ``folder``.

    Returns the path of the first. Raises ``LabError`` where the folder cannot be written.
    """
    from safetensors.torch import save_file

    halved = {key for key, _ in network.named_parameters()} if half else set[str]()
    kept = {key: value.half() if key in halved else value for key, value in network.state_dict().items()}
    weights = {key: value.detach().cpu().contiguous() for key, value in kept.items()}
    path, beside = folder / f"{name}.safetensors", folder / f"{name}.json"
    try:
        with writing(folder, path.name, beside.name) as drafts:
            save_file(weights, drafts / path.name)
            write_card(drafts / beside.name, card)
    except OSError as error:
        raise LabError(f"The weights cannot be written to {folder} ({error.strerror}); choose another folder.") from None
    return path
