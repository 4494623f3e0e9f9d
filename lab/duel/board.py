"""The scoreboard of the bench: who was entered, with which text of the file, on which versions, and how it did.

Another text of the same file, or another version of the lab or of torch, is another line; the file itself is kept beside, as
the rules have it: whoever attacks a defence has its source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.duel.contender import Submission
from lab.duel.front import ParetoFront, Point
from lab.errors import LabError
from lab.files import json_text
from lab.files.atomic import write_atomically

LISTING = "scoreboard.json"
RULES = (
    "The attacker has the defence's source: the one who knows reads off the update what the defence did, and a file that "
    "brings both a defence and an attack pits its attack against it.",
    "The stronger attacker of each network and phase counts.",
    "The price is the accuracy of the default federation: of a defence in the file over three seeds, of the catalogue's over "
    "as many as ship.",
    "Leak and price stand side by side, of every strength; a mean over strengths is no result.",
)


@dataclass(frozen=True)
class Score:
    """One contender on one set of versions and at one size of the study."""

    name: str
    kind: str
    """defence, attack, or both."""
    mark: str
    """The file's hash."""
    versions: Mapping[str, str]
    date: str
    size: Mapping[str, Any]
    points: tuple[Mapping[str, Any], ...]
    """Leak and price of each defence and strength."""

    @classmethod
    def of(cls, own: Submission, front: ParetoFront) -> Score:
        """That of a file whose bouts are these."""
        kind = "both" if own.defence and own.attack else "defence" if own.defence else "attack"
        points = tuple(map(_shortly, front.points))
        return cls(own.source.name, kind, own.source.mark, front.versions, front.date, front.size, points)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it a line of its own; one that was stopped and went on is the same."""
        asked = {name: value for name, value in self.size.items() if name not in ("runs", "networks")}
        return (
            self.name,
            self.mark,
            json.dumps(dict(self.versions), sort_keys=True),
            json.dumps(asked, sort_keys=True),
        )


def _shortly(point: Point) -> dict[str, Any]:
    kept = ("defence", "strength", "accuracy", "leak", "low", "high", "of")
    return {name: value for name, value in asdict(point).items() if name in kept}


@dataclass(frozen=True)
class Scoreboard:
    """A folder with the scores and the files behind them."""

    folder: Path

    def scores(self) -> tuple[Score, ...]:
        """All of them. Raises ``LabError`` where the file is damaged."""
        path = self.folder / LISTING
        try:
            data: Any = json_text.read(path, "a scoreboard, and cannot be read; give another folder by --out")
            found = tuple(Score(**{**line, "points": tuple(line["points"])}) for line in data["scores"])
            _ = table(found), listing(found), {one.identity for one in found}  # what these cannot take is damaged, too
            return found
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise LabError(f"{path} is no scoreboard, or damaged; delete it, or give another folder by --out.") from None

    def enter(self, own: Submission, score: Score) -> tuple[Score, ...]:
        """Add a line, or put it in the place of the same contender's on the same versions; all lines. Raises ``LabError``."""
        kept = (*(one for one in self.scores() if one.identity != score.identity), score)
        try:
            write_atomically(self.folder / "own" / own.source.mark / f"{own.source.name}.py", own.source.text.encode())
            write_atomically(self.folder / LISTING, listing(kept).encode())
            write_atomically(self.folder / "scoreboard.md", table(kept).encode())
        except OSError as error:
            raise LabError(
                f"The folder {self.folder} cannot be written ({error.strerror}); give another one by --out."
            ) from None
        return kept


def listing(scores: Sequence[Score]) -> str:
    """The scoreboard for programs. Raises ``ValueError`` where it holds what JSON has no name for."""
    lines = ",\n".join(json.dumps(asdict(one), allow_nan=False) for one in scores)
    return f'{{"rules": {json.dumps(RULES)},\n"scores": [\n{lines}\n]}}\n'


def table(scores: Sequence[Score]) -> str:
    """The scoreboard to read."""
    head = "| contender | file | versions | size | against | strength | leak | accuracy |\n|---|---|---|---|---|---|---|---|"
    return "\n".join(["# Scoreboard of the duel", "", *(f"- {rule}" for rule in RULES), "", head, *_lines(scores), ""])


def _lines(scores: Sequence[Score]) -> list[str]:
    return [_line(score, point) for score in scores for point in score.points]


def _line(score: Score, point: Mapping[str, Any]) -> str:
    size = f"{score.size['pictures']} pictures, {score.size['seeds']} seeds, {score.size['runs']} of {score.size['of']} runs"
    made = ", ".join(f"{name} {number}" for name, number in score.versions.items())
    against = "no defence" if point["defence"] is None else point["defence"]["name"]
    price = "" if point["accuracy"] is None else f"{100 * point['accuracy']:.1f} %"
    leak = f"{100 * point['leak']:.0f} % [{100 * point['low']:.0f}, {100 * point['high']:.0f}]"
    cells = (score.name, score.mark, f"{made}, {score.date}", size, against, str(point["strength"]), leak, price)
    return f"| {' | '.join(cells)} |"
