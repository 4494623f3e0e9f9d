"""What a scene is: a state of the page, a question before anything is shown, and the sentence to take along."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from lab.modalities.line_up import Verdict
from lab.options.catalogue import Entry


@dataclass(frozen=True)
class SceneContent:
    """All that the page shows of a scene."""

    place: float
    """Scenes come in this order."""
    title: str
    """One word or two."""
    text: str
    """What to look at, in a sentence or two."""
    question: str
    """Asked before anything is shown."""
    answers: tuple[str, ...]
    right: int
    """Which of the answers it is, counted from 0."""
    because: str
    """Why, said when the run is over, or at once where nothing is run."""
    sentence: str
    """What to take along."""
    shows: tuple[str, ...]
    """The parts of the page that are in sight; all others are away."""
    link: str = ""
    """The experiment, in the words of a link."""
    runs: bool = True
    """Whether an answer sets off the attack."""
    peels: bool = False
    """Whether an answer sets off the way down through the layers instead."""
    expected: Verdict | None = None
    """What the run, or the way down, was seen to come to."""
    lesson: str = ""
    """Name of the lesson's notebook that goes on from here."""
    paper: str = ""
    """The item of the paper."""
    code: str = ""
    """The file in which it happens."""


class Scene(Entry):
    """Base of all scenes."""

    kind: ClassVar[str] = "scene"

    @abstractmethod
    def content(self) -> SceneContent:
        """The scene in words."""


def in_order(scenes: dict[str, type[Entry]]) -> dict[str, SceneContent]:
    """Name -> scene, the first one first."""
    told = {name: scene().content() for name, scene in scenes.items() if issubclass(scene, Scene)}
    return dict(sorted(told.items(), key=lambda each: each[1].place))
