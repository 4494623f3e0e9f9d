"""No guessing at all: a division, and equations."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Algebra(Scene):
    """No guessing at all: a division, and equations."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=7,
            title="Algebra",
            text=(
                "In the last layer each weight's number is the bias's number times one value of what entered it; "
                "both are sent. Below it, what entered each layer solves equations."
            ),
            question="How many guesses does the server need?",
            answers=("none", "one for each value", "as many as before"),
            right=0,
            runs=False,
            peels=True,
            expected=Verdict.RECOGNISABLE,
            because=(
                "It divides one by the other, 4,096 times, and then takes three layers off by their equations. "
                "Only the picture is left."
            ),
            sentence="A gradient is no riddle to be guessed: it is a system of equations.",
            shows=("secret", "sent", "server", "panel"),
            lesson="02-one-layer-gives-it-away",
            paper="Geiping et al. 2020, Proposition 3.1",
            code="lab/attacks/recursive.py",
        )
