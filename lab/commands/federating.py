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
    from collections.abc import Iterator

    from lab.evaluation.round import Round
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


def run(
    settings: Federation,
    out: Path,
    look: tuple[int, int] | None,
    attack: str | None,
    delta: float | None = None,
    *,
    dishonest: bool = False,
) -> str:
    """Train to the end, say what is promised, then attack. Raises ``KeyboardInterrupt`` with a sentence after Ctrl-C."""
    chosen = parse_entry(Attack, attack) if attack else None
    if look is None and attack:
        raise LabError("--attack needs an update; name its round and its client by --look, such as --look 1:3.")
    if dishonest and not (settings.secure and look):
        raise LabError("--dishonest breaks secure aggregation to see one client; give --secure and --look, such as --look 1:3.")
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
    found_out = [] if found is None or look is None else _attacked(settings, found, look[1], chosen, dishonest=dishonest)
    return "\n".join([told, *promised, *found_out])


def _check_place(settings: Federation, look: tuple[int, int]) -> None:
    number, client = look
    if not (1 <= number <= settings.rounds and 0 <= client < settings.clients):
        place = quoted(f"{number}:{client}")
        raise LabError(
            f"--look {place} is no update of this federation; give a round from 1 to {settings.rounds} and a client from 0 to "
            f"{settings.clients - 1}."
        )


def _attacked(
    settings: Federation, played: Played, client: int, attack: Attack | None, *, dishonest: bool = False
) -> Iterator[str]:
    """What the server finds of one client; under masks of the sum, or of one client by another trick."""
    from lab.federation.bounds import bounds_told
    from lab.federation.looking import look, look_at_sum, look_inconsistently
    from lab.federation.masking_told import masks_told
    from lab.federation.shards import Shards

    shards, number = Shards.of(settings), played.point.number
    if settings.secure and played.sent:
        yield from masks_told(settings.masking(number), played.sent)
    if settings.secure and not dishonest:
        yield _found(f"The sum of {len(played.sent)} clients in round {number}", settings, look_at_sum(shards, played), attack)
        return
    looked = look_inconsistently if dishonest else look
    who = f"Client {client} in round {number}"
    if dishonest:
        yield f"A dishonest server gives all but client {client} a last layer of zeros, so that the sum is that client's alone."
    yield _found(who, settings, looked(shards, played, client), attack)
    yield from bounds_told(shards, client, number)


def _found(who: str, settings: Federation, seen: Round, attack: Attack | None) -> str:
    from lab.commands.running import measures_told
    from lab.evaluation.scores import score
    from lab.experiments.rounds import attack as attacked
    from lab.modalities.base import modality_of

    *_, last = attacked(seen.observation, attack, seed=settings.seed)
    scores = score(last, seen)
    return f"{who}: {scores.verdict.value}. {measures_told(scores, modality_of(seen.observation.modality))}"
