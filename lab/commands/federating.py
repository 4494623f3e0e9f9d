"""``gradlab federate``: a federation trains, and one client's update is attacked where that is asked for."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lab.attacks.base import Attack
from lab.client.accountant import DEFAULT_DELTA, NoAccountantError
from lab.client.datasets.base import Dataset
from lab.client.datasets.published import PublishedSet
from lab.client.defences.base import Defence
from lab.commands.federation_attack import UpdateSelection
from lab.commands.gc_freeze import frozen_imports
from lab.commands.interruption import interruptible
from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.federated.protocols.base import Protocol
from lab.federation.settings import Federation
from lab.options.text import parse_entry


def prepare(given: dict[str, Any], data: Path | None) -> Federation:
    """The settings from what was typed; None keeps the default. Raises ``LabError``."""
    kinds: dict[str, Any] = {"dataset": Dataset, "network": Network, "protocol": Protocol}
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {name: parse_entry(kinds[name], changes[name]) for name in kinds if name in changes}
    if "defences" in changes:
        changes["defences"] = tuple(parse_entry(Defence, text) for text in changes["defences"])
    settings = Federation(**changes)
    if data is not None and isinstance(settings.dataset, PublishedSet):
        settings = replace(settings, dataset=replace(settings.dataset, root=str(data)))
    settings.dataset.check_available(1, 1)
    return settings


def run(
    settings: Federation,
    out: Path,
    look: UpdateSelection | None,
    attack: str | None,
    delta: float = DEFAULT_DELTA,
    epsilon: float | None = None,
) -> str:
    """Train to the end, say what is promised, then attack; with an epsilon, under as much noise as keeps it.

    Raises ``KeyboardInterrupt`` with a sentence after Ctrl-C.
    """
    chosen = parse_entry(Attack, attack) if attack else None
    if look is None and attack:
        raise LabError("--attack needs an update; name its round and its client by --look, such as --look 1:3.")
    if look is not None:
        look.check(settings)
    with frozen_imports():  # what was typed is checked by now, and only a training needs torch
        from lab.federation.archive import Archive
        from lab.federation.privacy_guarantees import calibrated, guarantee_sentences
        from lab.federation.shards import Shards
        from lab.federation.training import federate
    shards = Shards.of(settings)
    if epsilon is not None:
        settings = calibrated(settings, shards, epsilon, delta)
    try:
        promised = guarantee_sentences(settings, shards, delta)
    except NoAccountantError as missing:  # a training needs no accountant
        promised = [str(missing)]
    played = None
    with interruptible() as interruption, tqdm(desc="federate", unit=" rounds", file=sys.stderr, dynamic_ncols=True) as bar:
        bar.total = settings.rounds
        for played in federate(settings, out):
            bar.set_postfix(loss=f"{played.point.loss:.3f}", accuracy=f"{100 * played.point.accuracy:.1f} %", refresh=False)
            bar.update()
            if interruption.asked:
                raise KeyboardInterrupt(f"Stopped after round {played.point.number}; the same command goes on from there.")
    assert played is not None, "a federation has at least one round"
    told = (
        f"{settings.clients} clients trained for {settings.rounds} rounds: {100 * played.point.accuracy:.1f} % of the test "
        f"pictures are right (loss {played.point.loss:.3f}). Curves and updates: {out}"
    )
    found_out = [] if look is None else look.told(settings, Archive(out), chosen)
    return "\n".join([told, *promised, *found_out])
