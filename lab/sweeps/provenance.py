"""What a result was made of and with: its pictures as numbers, the versions; and whether a table mixes several."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from lab.types import Batch

FINGERPRINT_LETTERS = 16

Result = dict[str, Any]


def fingerprint(batch: Batch) -> str:
    """A hash of the very pixels and labels: two folders of one name may hold different pictures, or different sizes of them."""
    taken = sha256(repr(tuple(batch.images.shape)).encode())
    for tensor in (batch.images, batch.labels):
        taken.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return taken.hexdigest()[:FINGERPRINT_LETTERS]


def mixed(results: Iterable[Result]) -> list[str]:
    """What these results do not share though a reader takes it for granted, a sentence each; none where they do.

    Results from before a version or the pictures were kept count as unknown, which is said beside known ones.
    """
    known = list(results)
    said = (_versions(known, "inverting-gradients-lab", "the lab"), _versions(known, "torch", "torch"), _pictures(known))
    return [sentence for sentence in said if sentence]


def _versions(results: list[Result], package: str, called: str) -> str:
    found = {result.get("versions", {}).get(package, "unknown") for result in results}
    return f"Runs with several versions of {called} stand side by side: {', '.join(sorted(found))}." if len(found) > 1 else ""


def _pictures(results: list[Result]) -> str:
    """Experiments that ask for the same pictures got the same, unless the folder of data was another one."""
    got = defaultdict[str, set[str]](set)
    for result in results:
        if "fingerprint" in result:
            got[_asked(result["experiment"])].add(result["fingerprint"])
    if all(len(prints) == 1 for prints in got.values()):
        return ""
    return "Runs on different pictures stand side by side: the folder of data changed between them; measure into a new folder."


def _asked(experiment: Result) -> str:
    """All that chooses an experiment's pictures."""
    return json.dumps([experiment.get(name) for name in ("dataset", "batch_size", "image_size", "network", "seed")])
