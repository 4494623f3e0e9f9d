"""A phone trains on a private picture, and the picture stays where it is."""

from __future__ import annotations

from dataclasses import dataclass

from lab.course.scenes.base import Scene, SceneContent


@dataclass(frozen=True)
class Secret(Scene):
    """A phone trains on a private picture, and the picture stays where it is."""

    def content(self) -> SceneContent:
        """The scene in words."""
        return SceneContent(
            place=1,
            title="Secret",
            text=(
                "A phone trains a network on one private picture, for everybody's benefit. The picture is covered: "
                "you see what the server sees."
            ),
            question="What leaves the phone?",
            answers=("the picture, made small", "only numbers: how the network should change", "nothing at all"),
            right=1,
            because=(
                "It sends the gradient: for each number of the network, which way to change it so that the picture is"
                " told better."
            ),
            sentence="Federated learning keeps the picture on the phone and shares a gradient.",
            shows=("secret", "sent"),
            runs=False,
            lesson="01-what-leaves-the-phone",
            paper="Geiping et al. 2020, section 1",
            code="lab/federated/protocols/fedsgd.py",
        )
