"""What a browser says: looked at in one place, where it enters, so that nothing it may say reaches further than it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anywidget

from widgets.door.quiet import TROUBLE, quietly

LONGEST_WORD = 200
LARGEST_WHOLE = 2**53
"""Beyond it a browser's numbers are not whole any more."""
MAX_NAMES, MAX_NUMBERS = 200, 50_000
"""Of one list: more than any view has to say; a molecule of a few too many atoms is still answered in a sentence."""


@dataclass(frozen=True)
class Message:
    """A message of a view's script; whatever is not of the kind that is asked for is as if it were not there."""

    content: dict[Any, Any]
    buffers: tuple[Any, ...] = ()

    @classmethod
    def of(cls, content: Any, buffers: Any) -> Message:
        """Of whatever has arrived."""
        return cls(content if isinstance(content, dict) else {}, tuple(buffers) if isinstance(buffers, list | tuple) else ())

    @property
    def kind(self) -> str:
        """What the message is about."""
        return self.text("type")

    def text(self, name: str, longest: int = LONGEST_WORD) -> str:
        """A text of at most so many characters; empty where there is none."""
        value = self.content.get(name)
        return value if isinstance(value, str) and len(value) <= longest else ""

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self.content.get(name)
        return value if _is_whole(value) else None

    def truth(self, name: str) -> bool | None:
        """True or false."""
        value = self.content.get(name)
        return value if isinstance(value, bool) else None

    def names(self, name: str) -> list[str] | None:
        """A list of texts, each once."""
        values = self._listed(name, MAX_NAMES, lambda value: isinstance(value, str))
        return None if values is None else list(dict.fromkeys(values))

    def numbers(self, name: str) -> list[float] | None:
        """A list of numbers."""
        return self._listed(name, MAX_NUMBERS, lambda value: isinstance(value, float) or _is_whole(value))

    def wholes(self, name: str) -> list[int] | None:
        """A list of whole numbers."""
        return self._listed(name, MAX_NUMBERS, _is_whole)

    def _listed(self, name: str, most: int, fits: Callable[[Any], bool]) -> list[Any] | None:
        """A list of at most so many values, all of which are of the kind."""
        values = self.content.get(name)
        return values if isinstance(values, list) and len(values) <= most and all(map(fits, values)) else None

    def file(self, largest: int) -> bytes | None:
        """The bytes that came with the message, if there are any, and not more than so many."""
        data = self.buffers[0] if self.buffers else None
        if not isinstance(data, bytes | bytearray | memoryview) or memoryview(data).nbytes > largest:
            return None
        return bytes(data)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_WHOLE


class Listener(anywidget.AnyWidget):
    """A widget that its browser talks to by messages alone: its traits are written here and never there."""

    session: Any
    news: set[str] | None = None
    """The traits that have changed since the page was written; None where none was."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(self._receive)

    def notify_change(self, change: Any) -> None:
        """A trait has changed: a page that was written before and joins later is told it again."""
        if self.news is not None and change["name"] in self.keys:
            self.news.add(change["name"])
        super().notify_change(change)

    def _hear(self, message: Message) -> None:
        """Do what a message asks for; what makes no sense is ignored."""

    def _receive(self, _: Any, content: Any, buffers: Any) -> None:
        """Where messages enter. What goes wrong is told in one sentence, and in full on the server's side alone."""
        if not quietly(lambda: self._hear(Message.of(content, buffers))):
            quietly(lambda: self.session.set_trait("message", TROUBLE))

    def _handle_msg(self, msg: Any) -> None:
        """Where the widget's comm enters: ipywidgets' own would let traits be written, and show tracebacks to the page."""
        content = msg.get("content") if isinstance(msg, dict) else None
        data = content.get("data") if isinstance(content, dict) else None
        told = data if isinstance(data, dict) else {}
        if told.get("method") == "custom":
            self._handle_custom_msg(told.get("content"), msg.get("buffers"))
        elif told.get("method") == "request_state":
            quietly(self.send_state)
