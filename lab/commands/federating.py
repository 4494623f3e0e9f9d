"""``gradlab federate``: a federation trains, and one client's update is attacked where that is asked for."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from lab.attacks.base import Attack
from lab.client.accountant import USUAL_DELTA, NoAccountantError
from lab.client.datasets.base import Dataset
from lab.client.datasets.published import PublishedSet
from lab.client.defences.base import Defence
from lab.commands.interruption import interruptible
from lab.commands.lasting import lasting
from lab.errors import LabError, quoted
from lab.federated.networks.base import Network
from lab.federated.protocols.base import Protocol
from lab.federation.settings import Federation
from lab.options.text import parse_entry

if TYPE_CHECKING:
    from lab.federation.archive import Played


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
    settings.dataset.check_at_hand(1, 1)
    return settings


def parse_place(text: str) -> tuple[int, int]:
    """``ROUND:CLIENT`` as two numbers. Raises ``LabError`` for anything else."""
    try:
        number, client = (int(part) for part in text.split(":"))
    except ValueError:
        raise LabError(f"--look {quoted(text)} is no round and client; give two whole numbers such as 1:3.") from None
    return number, client


def run(settings: Federation, out: Path, look: tuple[int, int] | None, attack: str | None, delta: float | None = None) -> str:
    """Train to the end, say what is promised, then attack. Raises ``KeyboardInterrupt`` with a sentence after Ctrl-C."""
    chosen = parse_entry(Attack, attack) if attack else None
    if look is None and attack:
        raise LabError("--attack needs an update; name its round and its client by --look, such as --look 1:3.")
    if look is not None:
        _check_place(settings, look)
    with lasting():  # what was typed is checked by now, and only a training needs torch
        from lab.federation.promises import promises
        from lab.federation.shards import Shards
        from lab.federation.training import federate
    try:
        promised = promises(settings, Shards.of(settings), USUAL_DELTA if delta is None else delta)
    except NoAccountantError as missing:  # a training needs no accountant
        promised = [str(missing)]
    found = played = None
    with interruptible() as interruption, tqdm(desc="federate", unit=" rounds", file=sys.stderr, dynamic_ncols=True) as bar:
        bar.total = settings.rounds
        for played in federate(settings, out):
            found = played if look and played.point.number == look[0] else found
            bar.set_postfix(loss=f"{played.point.loss:.3f}", accuracy=f"{100 * played.point.accuracy:.1f} %", refresh=False)
            bar.update()
            if interruption.asked:
                raise KeyboardInterrupt(f"Stopped after round {played.point.number}; the same command goes on from there.")
    assert played is not None, "a federation has at least one round"
    told = (
        f"{settings.clients} clients trained for {settings.rounds} rounds: {100 * played.point.accuracy:.1f} % of the test "
        f"pictures are right (loss {played.point.loss:.3f}). Curves and updates: {out}"
    )
    lines = [told, *promised]
    return "\n".join(lines if found is None or look is None else [*lines, _attacked(settings, found, look[1], chosen)])


def _check_place(settings: Federation, look: tuple[int, int]) -> None:
    number, client = look
    if not (1 <= number <= settings.rounds and 0 <= client < settings.clients):
        place = quoted(f"{number}:{client}")
        raise LabError(
            f"--look {place} is no update of this federation; give a round from 1 to {settings.rounds} and a client from 0 to "
            f"{settings.clients - 1}."
        )


def _attacked(settings: Federation, played: Played, client: int, attack: Attack | None) -> str:
    from lab.commands.running import measures_told
    from lab.evaluation.scores import score
    from lab.experiments.rounds import attack as attacked
    from lab.federation.bounds import bounds_told
    from lab.federation.looking import look
    from lab.federation.shards import Shards
    from lab.modalities.base import modality_of

    shards = Shards.of(settings)
    seen = look(shards, played, client)
    *_, last = attacked(seen.observation, attack, seed=settings.seed)
    scores = score(last, seen)
    told = measures_told(scores, modality_of(seen.observation.modality))
    found = f"Client {client} in round {played.point.number}: {scores.verdict.value}. {told}"
    return "\n".join([found, *bounds_told(shards, client, played.point.number)])
