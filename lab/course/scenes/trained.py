"""What training hides of a picture."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Trained(Scene):
    """What training hides of a picture."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=5,
            title="Trained",
            text=(
                "The small network again, now trained for forty epochs and attacked by its direction, with the "
                "attack that serves it best."
            ),
            question="A trained network has nearly stopped learning from this picture. What comes back?",
            answers=("as clear as before", "a rough shape", "static"),
            right=1,
            expected=Verdict.HINT,
            link="trained=true",
            because=(
                "A rough shape: what the network knows already it says little about. Deeper and smoother networks "
                "move this line either way."
            ),
            sentence="Training makes it harder, and is no protection to rely on.",
            shows=("secret", "sent", "server", "guess", "ending", "transport", "curve"),
            lesson="05-trained-deeper-smoother",
            paper="Geiping et al. 2020, section 5 and Table 1",
            code="lab/attacks/head_start.py",
        )
