"""The guard before the parser: every message that the real one makes passes, and nothing else costs anything."""

import json
import random
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from widgets.serving.messages import CHANNELS, MAX_OFFSETS, BadMessage, checked

HEADER = {"msg_id": "1", "msg_type": "comm_msg", "session": "s", "username": "", "date": "", "version": "5.3"}


def message(header=None, *buffers, channel="shell", metadata=None, content=None):
    parts = [json.dumps(part).encode() for part in (HEADER if header is None else header, {}, metadata or {}, content or {})]
    return serialize_msg_to_ws_v1([*parts, *buffers], channel)


def written(count, offsets, body=b""):
    """A message that claims ``count`` offsets and lists these."""
    return struct.pack(f"<Q{len(offsets)}Q", count, *offsets) + body


@given(st.sampled_from(sorted(CHANNELS)), st.text(max_size=20), st.lists(st.binary(max_size=200), max_size=20))
@settings(deadline=None, max_examples=100)
def test_what_jupyters_own_session_writes_passes(channel, word, buffers):
    session = Session()
    sent = session.msg("comm_msg", {"comm_id": word, "data": {"method": "custom", "content": {"type": word}}})
    parts = [session.pack(sent[part]) for part in ("header", "parent_header", "metadata", "content")]
    found = checked(serialize_msg_to_ws_v1([*parts, *buffers], channel))
    assert (found.channel, found.type) == (channel, "comm_msg")


def malformed(random):
    """Messages with something wrong in them, each kind drawn anew; every one is another."""
    whole = message(HEADER, random.randbytes(random.randrange(40)))
    count = struct.unpack_from("<Q", whole)[0]
    place = random.randrange(count)
    offsets = list(struct.unpack_from(f"<{count}Q", whole, 8))
    body = whole[8 * (1 + count) :]
    yield whole[: random.randrange(len(whole))]
    yield whole + random.randbytes(random.randrange(1, 9))
    yield written(random.choice([0, 1, 5, MAX_OFFSETS + 1, random.getrandbits(40), random.getrandbits(64) | 2**63]), offsets)
    yield written(count, [*offsets[:place], random.getrandbits(64) | 2**40, *offsets[place + 1 :]], body)
    yield written(count, [offsets[0], *reversed(offsets[1:-1]), offsets[-1]], body)
    yield written(count, [*offsets[:place], offsets[place] - 8 * (1 + count), *offsets[place + 1 :]], body)
    yield message(channel=random.choice(["", "shel", "SHELL", "iopub\0", "x" * random.randrange(100, 9000)]))
    yield message(
        random.choice([[], "text", 3, None, {}, {"msg_type": None}, {"msg_type": ["comm_msg"]}, {"msg_type": ""}]) or 0
    )
    yield message(HEADER | {"username": "x" * random.randrange(5000, 50_000)})
    yield message(metadata={"x": "y" * random.randrange(70_000, 90_000)})
    deep = b"[" * random.randrange(1200, 3900)
    yield serialize_msg_to_ws_v1([deep, b"{}", b"{}", b"{}"], "shell")
    yield serialize_msg_to_ws_v1([random.randbytes(50) + b"\xff", b"{}", b"{}", b"{}"], "shell")
    yield random.randbytes(random.randrange(200))


def test_nothing_malformed_passes_nor_costs_more_than_its_own_bytes():
    """Of each kind several hundred; the memory that a refusal takes does not depend on what a message claims."""
    source, seen, dearest = random.Random(1), set(), 0
    tracemalloc.start()
    for _ in range(300):
        for bad in malformed(source):
            seen.add(bad)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(BadMessage):
                checked(bad)
            dearest = max(dearest, tracemalloc.get_traced_memory()[1] - before - 2 * len(bad))
    tracemalloc.stop()
    assert len(seen) > 3000
    assert dearest < 100_000, "a refusal allocates by the message's own size, not by its claims"


@pytest.mark.parametrize("wrong", [None, "", "text", 5, [], {}, b"", b"\0" * 7, memoryview(b"abc")])
def test_what_is_not_binary_is_refused(wrong):
    with pytest.raises(BadMessage, match="not binary"):
        checked(wrong)
