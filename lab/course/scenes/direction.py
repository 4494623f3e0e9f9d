"""Why the direction of the gradient tells more than its length."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Direction(Scene):
    """Why the direction of the gradient tells more than its length."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=4,
            title="Direction",
            text=(
                "This network has been trained, so its gradients are short. The guess is now compared by direction "
                "and length together, as the first attacks did."
            ),
            question="Does the picture still come back?",
            answers=("yes, as before", "no"),
            right=1,
            expected=Verdict.HIDDEN,
            link="preset=euclidean_trained",
            because=(
                "Length misleads: it shrinks as training goes on. Choose cosine among the losses in free play, and "
                "the same attack finds the picture."
            ),
            sentence="What to change is in the direction, how much in the length: the attack needs the direction.",
            shows=("secret", "sent", "server", "guess", "ending", "transport", "curve"),
            lesson="04-direction-or-length",
            paper="Geiping et al. 2020, section 4 and Table 1",
            code="lab/attacks/matching/distances/cosine.py",
        )
