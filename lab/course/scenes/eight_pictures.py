"""Eight pictures in one gradient."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class EightPictures(Scene):
    """Eight pictures in one gradient."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=6,
            title="Eight",
            text="The phone now averages the gradients of eight pictures and sends one. Nothing else is changed.",
            question="Does the average hide them?",
            answers=("yes, they blur into one", "no, all eight come back"),
            right=1,
            expected=Verdict.RECOGNISABLE,
            link="batch_size=8",
            because=("There are still four numbers for each value of all eight pictures. It takes longer, and that is all."),
            sentence="Averaging over a few pictures is not privacy.",
            shows=("secret", "sent", "server", "ending", "transport", "curve"),
            lesson="06-more-steps-more-pictures",
            paper="Geiping et al. 2020, section 6, Figure 6",
            code="lab/client/batch.py",
        )
