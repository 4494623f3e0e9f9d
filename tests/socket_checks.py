"""What a kernel's socket must withstand, whichever server of the lab's it belongs to."""

import random

import pytest
from test_messages import malformed
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from widgets.serving.connection import BAD_MESSAGE
from widgets.serving.messages import PROTOCOL


def withstands(channels, headers):
    """A socket that speaks no protocol is not opened; a message with anything wrong in it closes its own, and that is all."""
    told = {"additional_headers": headers, "max_size": None, "open_timeout": 60}
    with pytest.raises(InvalidStatus), connect(channels, **told):
        pass
    for bad in [*malformed(random.Random(5)), "text"]:
        with connect(channels, subprotocols=[PROTOCOL], **told) as line:
            line.send(bad)
            with pytest.raises(ConnectionClosed) as closed:
                drain(line)
            assert closed.value.rcvd.code == BAD_MESSAGE


def drain(line):
    """Read until the socket is closed."""
    while True:
        line.recv(timeout=60)
