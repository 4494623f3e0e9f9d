"""How many pixels a picture claims to have: read off its header, before anything is unpacked."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence


def declared_pixels(data: bytes, formats: Sequence[str]) -> int:
    """Pixels by the header of a file of one of Pillow's ``formats``. Raises ``ValueError`` where there is no such header."""
    from PIL import Image

    from lab.files.global_state import GLOBAL_STATE_LOCK

    try:
        with GLOBAL_STATE_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of bombs and odd metadata; whoever counts decides
            with Image.open(io.BytesIO(data), formats=list(formats)) as image:
                return image.width * image.height
    except Exception as error:  # Pillow fails on foreign bytes in many ways, its bomb errors among them
        raise ValueError(f"no such picture ({type(error).__name__})") from None
