"""Messages of a kernel's websocket, checked before anything parses them.

The one protocol spoken is ``v1.kernel.websocket.jupyter.org`` (jupyter_server): a message is

    n, o_0 ... o_(n-1)      n + 1 numbers of 64 bits, little endian: how many offsets, then the offsets in bytes
    channel                 bytes o_0 to o_1, UTF-8
    parts                   bytes o_i to o_(i+1): header, parent header, metadata and content as JSON, then buffers
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PROTOCOL = "v1.kernel.websocket.jupyter.org"
CHANNELS = frozenset({"shell", "control", "stdin", "iopub"})
WORD = 8
"""Bytes of a number."""
FEWEST_OFFSETS, MAX_OFFSETS = 6, 64
"""Channel, four parts of JSON and the end; beyond these, buffers."""
MAX_BYTES_OF_HEADER = 4096
MAX_BYTES_OF_METADATA = 65_536
LONGEST_TYPE = 64


class BadMessage(Exception):  # noqa: N818  (it is the message that is at fault, not the program)
    """A message that must not be parsed; ``str()`` says what is wrong with it, for the server's log."""


@dataclass(frozen=True)
class Message:
    """What the guard reads of a message; everything else goes on as the bytes that came."""

    channel: str
    type: str


def checked(data: Any) -> Message:
    """The channel and the type of a message as it came from the browser.

    Reads the offsets, the channel and the header alone, in time and memory that do not depend on what the message
    claims of itself. Raises ``BadMessage``.
    """
    offsets = _offsets(data)
    channel = _text(data[offsets[0] : offsets[1]])
    if channel not in CHANNELS:
        raise BadMessage("its channel is none of a kernel's")
    header, parent, metadata = (data[start:end] for start, end in list(pairwise(offsets))[1:4])
    if max(len(header), len(parent)) > MAX_BYTES_OF_HEADER or len(metadata) > MAX_BYTES_OF_METADATA:
        raise BadMessage("its header is too long")
    return Message(channel, _type(header))


def _offsets(data: Any) -> tuple[int, ...]:
    if not isinstance(data, bytes) or len(data) < WORD:
        raise BadMessage("it is not binary, or too short to be a message")
    (count,) = struct.unpack_from("<Q", data)
    if not FEWEST_OFFSETS <= count <= MAX_OFFSETS:
        raise BadMessage("it has too few or too many parts")
    start = WORD * (1 + count)
    if len(data) < start:
        raise BadMessage("it ends before its offsets do")
    offsets = struct.unpack_from(f"<{count}Q", data, WORD)
    if offsets[0] != start or offsets[-1] != len(data) or any(one > other for one, other in pairwise(offsets)):
        raise BadMessage("its offsets do not rise from its first byte to its last")
    return offsets


def _type(header: bytes) -> str:
    try:
        found = json.loads(_text(header))
    except (ValueError, RecursionError):
        raise BadMessage("its header is not JSON") from None
    kind = found.get("msg_type") if isinstance(found, dict) else None
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_TYPE:
        raise BadMessage("its header names no type")
    return kind


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadMessage("it holds bytes that are no text") from None
