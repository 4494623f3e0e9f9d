"""What helps, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent
from lab.modalities.line_up import Verdict


@dataclass(frozen=True)
class Protect(Scene):
    """What helps, and what it costs."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=8,
            title="Protect",
            text=(
                "The phone now adds noise to every number before it sends it: in all five times as long as the "
                "gradient itself. More shields, and what each costs, stand on the phone's card."
            ),
            question="Does the noise hide the picture?",
            answers=("completely", "to a rough shape", "not at all"),
            right=1,
            expected=Verdict.HINT,
            link="defence=gaussian_noise&defences.0.strength=5",
            because=(
                "A rough shape is left even so. And the network has to learn from the same noisy numbers: what "
                "protects costs accuracy."
            ),
            sentence="Every shield has a price; measure both, against an attacker who knows the shield.",
            shows=(
                "secret",
                "shield",
                "sent",
                "server",
                "attacker",
                "guess",
                "ending",
                "transport",
                "plane",
                "curve",
                "controls",
            ),
            lesson="07-fight-back",
            paper="Geiping et al. 2020, section 7",
            code="lab/client/defences/gaussian_noise.py",
        )
