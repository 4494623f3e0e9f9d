"""``python binder/point_badges.py OWNER/REPOSITORY``: shows the README's Binder badges, pointed at a copy on GitHub.

Until then they are a comment: a badge that leads nowhere is worse than none.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
PLACE = re.compile(r"(mybinder\.org/v2/gh/)[^/\s]+/[^/\s]+(/HEAD)")
NOWHERE = "OWNER/REPOSITORY"
HIDDEN, SHOWN = ("<!-- binder:\n", "\n-->"), ("<!-- binder -->\n", "\n<!-- /binder -->")


def pointed(text: str, repository: str) -> str:
    """The text with every badge's link leading to ``repository``, and shown unless that is ``NOWHERE``.

    Raises ``ValueError`` for what is no OWNER/REPOSITORY.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"{repository!r} names no repository on GitHub; give OWNER/REPOSITORY.")
    before, after = (SHOWN, HIDDEN) if repository == NOWHERE else (HIDDEN, SHOWN)
    for old, new in zip(before, after, strict=True):
        text = text.replace(old, new)
    return PLACE.sub(rf"\g<1>{repository}\g<2>", text)


if __name__ == "__main__":
    try:
        README.write_text(pointed(README.read_text(encoding="utf-8"), "".join(sys.argv[1:])), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))
