"""What a student reads after a check."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Feedback:
    """The answer to one try: right or not yet, and one sentence."""

    passed: bool
    sentence: str

    @property
    def verdict(self) -> str:
        """Two words before the sentence."""
        return "Right." if self.passed else "Not yet."

    def __repr__(self) -> str:
        return f"{self.verdict} {self.sentence}"

    def _repr_html_(self) -> str:
        """For notebooks: the same words; `code` in the sentence is set as such."""
        sentence = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.sentence))
        return f"<p><strong>{self.verdict}</strong> {sentence}</p>"


class NotYet(AssertionError):  # noqa: N818  (reads like what it says)
    """A graded cell's way to say no: graders see an exception, the reader sees one sentence."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines instead of a traceback."""
        return [str(self)]
