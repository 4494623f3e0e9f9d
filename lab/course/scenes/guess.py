"""The loop: guess, compare, nudge, until the numbers agree."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Guess(Scene):
    """The loop: guess, compare, nudge, until the numbers agree."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=3,
            title="Guess",
            text=(
                "The server starts from a grey square, asks which numbers that would send, and nudges it until they "
                "agree with what was sent. Watch the two strips of each layer meet."
            ),
            question="After how many guesses could one tell what it is?",
            answers=("fewer than ten", "about a hundred", "never"),
            right=0,
            expected=Verdict.RECOGNISABLE,
            because="The line-up of eight pictures knew it after a handful of guesses; the rest is detail.",
            sentence="Here, where the numbers agree, the guess is the secret.",
            shows=("secret", "sent", "server", "guess", "ending", "transport", "curve"),
            lesson="03-guess-until-it-matches",
            paper="Geiping et al. 2020, section 4, equation 4",
            code="lab/attacks/gradient_matching.py",
        )
