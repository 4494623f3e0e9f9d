"""How many numbers one gradient is."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent


@dataclass(frozen=True)
class Gradient(Scene):
    """How many numbers one gradient is."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=2,
            title="Gradient",
            text=(
                "Each strip is a layer of the network; its cells are some of the numbers that were sent for it. The "
                "picture itself is 32 x 32 points in three colours: 3,072 values."
            ),
            question="How many numbers are sent for those 3,072?",
            answers=("10, one for each class", "3,072, one for each value", "97,290, one for each weight"),
            right=2,
            because="Every weight gets its own number, more than thirty for each value of the picture.",
            sentence="There are far more numbers than secrets: enough to ask which picture fits.",
            shows=("secret", "sent"),
            runs=False,
            lesson="01-what-leaves-the-phone",
            paper="Geiping et al. 2020, section 3",
            code="lab/federated/gradients.py",
        )
