"""No guessing at all: one division."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Algebra(Scene):
    """No guessing at all: one division."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=7,
            title="Algebra",
            text=(
                "In a fully connected layer each weight's number is the bias's number times one value of the input. "
                "Both are sent."
            ),
            question="How many guesses does the server need?",
            answers=("none", "one for each value", "as many as before"),
            right=0,
            expected=Verdict.RECOGNISABLE,
            link="preset=analytic_mlp",
            because="It divides one by the other, 3,072 times. Below stand the numbers of this very gradient.",
            sentence="A fully connected first layer does not resist at all: it is a division.",
            shows=("secret", "server", "ending", "transport", "panel"),
            lesson="02-one-layer-gives-it-away",
            paper="Geiping et al. 2020, Proposition 3.1",
            code="lab/attacks/analytic.py",
        )
