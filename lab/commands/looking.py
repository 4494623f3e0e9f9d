"""``gradlab federate --look``: which updates of a federation are attacked afterwards, and what comes out, in sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.attacks.base import Attack
from lab.errors import LabError, quoted
from lab.federation.settings import Federation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lab.evaluation.round import Round
    from lab.federation.archive import Played
    from lab.federation.shards import Shards

PLACE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?:\s*([0-9]{1,9})\s*")


@dataclass(frozen=True)
class Look:
    """One client's updates from a round to another; the one alone where these are the same."""

    first: int
    client: int
    last: int
    dishonest: bool = False
    """Whether the server breaks secure aggregation for it."""

    @classmethod
    def parsed(cls, text: str, *, dishonest: bool = False) -> Look:
        """From ``ROUND:CLIENT`` or ``FIRST-LAST:CLIENT``. Raises ``LabError`` for anything else."""
        found = PLACE.fullmatch(text)
        if found is None:
            raise LabError(
                f"--look {quoted(text)} is no round and client; give two whole numbers such as 1:3, or rounds such as 1-20:3."
            )
        first, last, client = found.groups()
        return cls(int(first), int(client), int(last or first), dishonest)

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.first}:{self.client}" if self.first == self.last else f"{self.first}-{self.last}:{self.client}"

    def check(self, settings: Federation) -> None:
        """Raise ``LabError`` where there is no such update, or the server cannot see it so."""
        if not (1 <= self.first <= self.last <= settings.rounds and 0 <= self.client < settings.clients):
            raise LabError(
                f"--look {quoted(str(self))} is no update of this federation; give a round from 1 to {settings.rounds} and a "
                f"client from 0 to {settings.clients - 1}."
            )
        if self.dishonest and not settings.secure:
            raise LabError("--dishonest breaks secure aggregation to see one client; give --secure with it.")
        if settings.secure and self.first != self.last:
            raise LabError(f"Under masks a sum is of one round; give --look {self.first}:{self.client}.")

    def kept(self, played: Played, settings: Federation) -> Played:
        """What of a round is needed until the attack: under masks all, else the one client's update."""
        own = {client: update for client, update in played.sent.items() if client == self.client}
        return played if settings.secure or self.first == self.last else replace(played, sent=own, memories={})

    def told(self, settings: Federation, rounds: Sequence[Played], attack: Attack | None) -> Iterator[str]:
        """What the server finds; under masks of the sum, or of one client by a trick."""
        from lab.federation.bounds import bounds_told
        from lab.federation.looking import look_over
        from lab.federation.shards import Shards

        shards = Shards.of(settings)
        if settings.secure:
            yield from self._under_masks(shards, rounds[0], attack)
            return
        taken = [played for played in rounds if self.client in played.sent] or list(rounds[:1])
        seen = look_over(shards, taken, self.client)
        where = f"round {self.first}" if len(rounds) == 1 else f"{len(taken)} rounds from {self.first} to {self.last}"
        yield _found(f"Client {self.client} in {where}", seen, attack, settings.seed)
        yield from bounds_told(shards, self.client, self.first, len(taken))

    def _under_masks(self, shards: Shards, played: Played, attack: Attack | None) -> Iterator[str]:
        from lab.federation.looking import look_at_sum, look_inconsistently
        from lab.federation.masking_told import masks_told

        settings, number = shards.settings, played.point.number
        if played.sent:
            yield from masks_told(settings.masking(number), played.sent)
        if not self.dishonest:
            who = f"The sum of {len(played.sent)} clients in round {number}"
            yield _found(who, look_at_sum(shards, played), attack, settings.seed)
            return
        yield (
            f"A dishonest server gives all but client {self.client} a last layer of zeros, so that the sum is that client's "
            "alone."
        )
        seen = look_inconsistently(shards, played, self.client)
        yield _found(f"Client {self.client} in round {number}", seen, attack, settings.seed)


def _found(who: str, seen: Round, attack: Attack | None, seed: int) -> str:
    from lab.commands.running import measures_told
    from lab.evaluation.scores import score
    from lab.experiments.rounds import attack as attacked
    from lab.modalities.base import modality_of

    *_, last = attacked(seen.observation, attack, seed=seed)
    scores = score(last, seen)
    return f"{who}: {scores.verdict.value}. {measures_told(scores, modality_of(seen.observation.modality))}"
