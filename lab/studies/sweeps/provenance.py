"""What a result was made of and with: its pictures and trained weights as numbers, the versions; and what a table mixes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lab.lazy import Tensor

from lab.client.batch import Batch

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

FINGERPRINT_LETTERS = 16

Result = dict[str, Any]


def fingerprint(batch: Batch) -> str:
    """A hash of the very inputs and labels: two folders of one name may hold different pictures, or different sizes of them.

    Inputs are those of the file: how they are normalised belongs to the network. One tensor alone is called as it was when
    there were pictures only, so that results of then compare.
    """
    inputs: Mapping[str, Tensor] = batch.inputs if isinstance(batch.inputs, Mapping) else {"images": batch.inputs}
    return _hash([*inputs.items(), ("labels", batch.labels)])


def weights_fingerprint(network: Classifier) -> str:
    """A hash of all weights and statistics and of the normalisation they are for: a file keeps its name when it is replaced."""
    normalise = [(f"normalise.{name}", tensor) for name, tensor in network.normalise.named_buffers()]
    return _hash([*network.state_dict().items(), *normalise])


def _hash(named: Iterable[tuple[str, Tensor]]) -> str:
    taken = sha256()
    for name, tensor in named:
        taken.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        taken.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return taken.hexdigest()[:FINGERPRINT_LETTERS]


def mixed(results: Iterable[Result]) -> list[str]:
    """What these results do not share though a reader takes it for granted, a sentence each; none where they do.

    Results from before a version, the pictures or the weights were kept count as unknown, which is said beside known ones.
    """
    known = list(results)
    said = (
        _versions(known, "inverting-gradients-lab", "the lab"),
        _versions(known, "torch", "torch"),
        _changed(known, "fingerprint", _pictures_asked, "pictures"),
        _changed(known, "weights_fingerprint", _weights_asked, "trained weights"),
    )
    return [sentence for sentence in said if sentence]


def _versions(results: list[Result], package: str, called: str) -> str:
    found = {result.get("versions", {}).get(package, "unknown") for result in results}
    return f"Runs with several versions of {called} stand side by side: {', '.join(sorted(found))}." if len(found) > 1 else ""


def _changed(results: list[Result], kept: str, asked: Callable[[Result], list[Any]], called: str) -> str:
    """Experiments that ask for the same got the same, unless the folder of data was another one."""
    got = defaultdict[str, set[str]](set)
    for result in results:
        if kept in result:
            got[json.dumps(asked(result["experiment"]))].add(result[kept])
    if all(len(prints) == 1 for prints in got.values()):
        return ""
    return f"Runs on different {called} stand side by side: the folder of data changed between them; measure into a new folder."


def _pictures_asked(experiment: Result) -> list[Any]:
    """All that chooses an experiment's pictures."""
    return [experiment.get(name) for name in ("dataset", "batch_size", "image_size", "network", "seed")]


def _weights_asked(experiment: Result) -> list[Any]:
    """All that chooses trained weights, and the channels and classes that they are fitted to."""
    return [experiment.get(name) for name in ("dataset", "network", "weights")]
