"""``python -m lab.commands.flowering FOLDER``: the federation of a folder once more, by Flower, in its own environment.

The weights after the last round go to ``flower.safetensors`` in that folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lab.errors import LabError
from lab.federation.archive import Archive
from lab.federation.in_flower import simulate
from lab.files.atomic import writing

KEPT = "flower.safetensors"


def main(folder: Path) -> None:
    """Train and keep. Raises ``LabError``."""
    from safetensors.torch import save_file

    found = dict(simulate(Archive(folder).settings()))
    with writing(folder, KEPT) as drafts:
        save_file(found, drafts / KEPT)


if __name__ == "__main__":
    try:
        if len(sys.argv) != 2:
            raise LabError("Give one folder, in which gradlab federate has kept a federation, such as runs/federation.")
        main(Path(sys.argv[1]))
    except LabError as problem:
        sys.exit(str(problem))
