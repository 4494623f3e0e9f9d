"""``gradlab federate --look``: which updates of a federation are attacked afterwards, and what comes out, in sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.attacks.base import Attack
from lab.errors import LabError, quoted
from lab.federation.settings import Federation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.evaluation.round import Round
    from lab.federation.archive import Archive, RoundRecord
    from lab.federation.shards import Shards

PLACE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?:\s*([0-9]{1,9})\s*")


@dataclass(frozen=True)
class UpdateSelection:
    """One client's updates from a round to another; the one alone where these are the same."""

    first: int
    client: int
    last: int
    dishonest: bool = False
    """Whether the server breaks secure aggregation for it."""

    @classmethod
    def parsed(cls, text: str, *, dishonest: bool = False) -> UpdateSelection:
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

    def told(self, settings: Federation, archive: Archive, attack: Attack | None) -> Iterator[str]:
        """What the server finds in a federation that was played; under masks of the sum, or of one client by a trick.

        Rounds are read one at a time: however many there are, no more than three are in memory.
        """
        from lab.federation.bounds import bounds_told
        from lab.federation.server_views import observe_client_mean
        from lab.federation.shards import Shards

        shards, points = Shards.of(settings), archive.points(settings)
        if settings.secure:
            yield from self._under_masks(shards, archive.played(points[self.first - 1]), attack)
            return
        rounds = range(self.first, self.last + 1)
        taken = [number for number in rounds if self.client in settings.answering(number)] or [self.first]
        seen = observe_client_mean(shards, (archive.played(points[number - 1]) for number in taken), self.client)
        where = f"round {taken[0]}" if len(taken) == 1 else f"{len(taken)} rounds from {self.first} to {self.last}"
        yield _found(f"Client {self.client} in {where}", seen, attack, settings.seed)
        yield from bounds_told(shards, self.client, taken[0], len(taken))

    def _under_masks(self, shards: Shards, played: RoundRecord, attack: Attack | None) -> Iterator[str]:
        from lab.federation.masking_report import report_masking
        from lab.federation.server_views import observe_by_inconsistency, observe_sum

        settings, number = shards.settings, played.point.number
        if played.sent:
            yield from report_masking(settings.masking(number), played.sent)
        if not self.dishonest:
            who = f"The sum of {len(played.sent)} clients in round {number}"
            yield _found(who, observe_sum(shards, played), attack, settings.seed)
            return
        yield (
            f"A dishonest server gives all but client {self.client} a last layer of zeros, so that the sum is that client's "
            "alone."
        )
        seen = observe_by_inconsistency(shards, played, self.client)
        yield _found(f"Client {self.client} in round {number}", seen, attack, settings.seed)


def _found(who: str, seen: Round, attack: Attack | None, seed: int) -> str:
    from lab.commands.running import measures_told
    from lab.evaluation.scoring import score
    from lab.experiments.rounds import attack as attacked
    from lab.modalities.base import modality_of

    *_, last = attacked(seen.observation, attack, seed=seed)
    scores = score(last, seen)
    return f"{who}: {scores.verdict.value}. {measures_told(scores, modality_of(seen.observation.modality))}"
