"""What each network of the menu comes to by one click from the default experiment: ``python -m widgets.landscape.menu``.

Untrained and trained, one seed, one core; with names behind the command those networks alone. What the map tells is not
computed twice.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widgets.landscape.cells import Outcome, outcome
from widgets.landscape.grids import NETWORKS
from widgets.landscape.recording import WORDS

if TYPE_CHECKING:
    from lab import Experiment

FILE = Path(__file__).parent / "recorded" / "menu.json"
Click = tuple[str, bool]
"""Which network, and whether it is trained."""


def clicks() -> list[Click]:
    """Every network that the map leaves out, untrained and, where trained weights ship, trained."""
    from lab.client.checkpoints import card
    from lab.options.catalogue import entries

    told = {name for _, name in NETWORKS}
    every = [(name, trained) for name in sorted(entries("network")) if name not in told for trained in (False, True)]
    return [click for click in every if not click[1] or card(clicked(click).network)]


def clicked(click: Click) -> Experiment:
    """What the click makes of the default experiment. Raises ``LabError`` where it is refused."""
    from lab import Experiment
    from widgets.form.admission import edited

    name, trained = click
    return edited(Experiment(), (("network", name), ("trained", trained)))


@cache
def menu() -> dict[Click, tuple[Outcome, float]]:
    """What ships: each outcome, and the rate of the machine that computed it."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return {(one["network"], one["trained"]): (Outcome(**{word: one[word] for word in WORDS}), one["rate"]) for one in told}


def record(click: Click) -> None:
    """Compute one, and write it beside the others."""
    from lab.experiments.cost.products import products_per_second
    from lab.machine.threads import computing

    with computing(1):
        found = outcome(clicked(click))
    _save(menu() | {click: (found, products_per_second())})
    menu.cache_clear()
    sys.stdout.write(f"{click}: {found}\n")
    sys.stdout.flush()


def _save(found: dict[Click, tuple[Outcome, float]]) -> None:
    told: list[dict[str, Any]] = [
        {"network": name, "trained": trained, "rate": rate} | asdict(each)
        for (name, trained), (each, rate) in sorted(found.items())
    ]
    FILE.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each_click in clicks():
        if each_click[0] in sys.argv[1:] or len(sys.argv) == 1:
            record(each_click)
