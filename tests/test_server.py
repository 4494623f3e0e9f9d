"""The server itself, over HTTP and websockets, as browsers and others meet it."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import websockets
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from test_messages import HEADER, malformed, message
from traitlets.config import Config
from visiting import serving, words_of
from voila.execute import VoilaExecutor
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler
from websockets.sync.client import connect

from benchmarks.visitor import PROTOCOL, Visitor
from lab.options.fields import fields_of
from widgets.serving.connection import GuardedConnection
from widgets.serving.serve import _config
from widgets.serving.settings import PUBLIC as PUBLIC_SETTINGS
from widgets.serving.settings import Settings, read

PUBLIC = """
visitors = 2
waiting = 1
unclaimed_seconds = 2
left_seconds = 2
silent_seconds = 8
ready_engines = 1
messages_per_second = 20
"""


@pytest.fixture(scope="module")
def address():
    with serving("-m", "widgets.serving", "--no-browser", "--host", "lab.example", "--port") as address:
        yield address


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A public server with few places and short patience."""
    file = tmp_path_factory.mktemp("settings") / "gradlab.toml"
    file.write_text(PUBLIC)
    with serving("-m", "widgets.serving", "--no-browser", "--public", "--settings", str(file), "--port") as address:
        yield address


LATE = """
import time
def late():
    time.sleep(5)
get_ipython().kernel.iopub_thread.schedule(late)  # what it broadcasts comes long after its reply
print("heard")
"""


def test_the_output_of_a_busy_engine_is_waited_for():
    """Else the page goes out without it, and nothing ever appears."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LATE)])
    config = Config(_config(Settings(), 0, lessons=False, public=False))
    VoilaExecutor(notebook, config=config).execute(notebook, {})
    assert [output["text"] for output in notebook.cells[0].outputs] == ["heard\n"]


def ask(address, path="", method="GET", **headers):
    """Status, headers and text of an answer, whatever it is."""
    request = urllib.request.Request(
        address + path, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    try:
        answer = urllib.request.urlopen(request, timeout=120)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read().decode(errors="replace")


ROUTES = [
    "",
    "health",
    "queue",
    "metrics",
    "voila/static/voila.js",
    "api/kernels/1-1-1-1-1",
    "voila/files/x",
    "nothing",
    "login",
]
FOREIGN = [
    "evil.example",
    "evil.example:8866",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",
    "[::2]",
    "",
    "][",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_name_is_answered_by_nothing_but_a_refusal(address, host):
    for path in ROUTES:
        status, _, text = ask(address, path, Host=host)
        assert status in (400, 403)
        assert "<" not in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "[::1]:80", "LAB.example", "lab.example:443"])
def test_local_names_and_names_that_were_given_are_answered(address, host):
    assert ask(address, "health", Host=host)[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "dest"), [("no-cors", "image"), ("navigate", "iframe"), ("cors", "empty"), ("websocket", "empty")]
)
def test_another_site_starts_no_engine(address, site, mode, dest):
    before = engines(address)
    assert ask(address, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest)[0] == 403
    assert ask(address, Sec_Purpose="prefetch;prerender")[0] == 503
    assert engines(address) == before


def engines(address):
    return json.loads(ask(address, "health")[2])["visitors"]


def test_every_answer_carries_the_policy_and_nothing_that_tells_of_the_server(address):
    for path in ROUTES:
        _, headers, text = ask(address, path)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert headers["Server"] is None
        assert headers["Set-Cookie"] is None
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert str(os.getcwd()) not in text
        assert "Traceback" not in text


def test_an_error_is_one_sentence_for_whatever_is_asked(address):
    """Paths of every odd kind, by methods that nobody expects; none reaches a file or breaks the server."""
    source = random.Random(3)
    pieces = [
        "..",
        "%2e%2e",
        "%00",
        "etc/passwd",
        "voila",
        "files",
        "render",
        "static",
        "api",
        "kernels",
        "~",
        "\\",
        "%ff",
        "x" * 300,
    ]
    for _ in range(150):
        path = "/".join(source.choice(pieces) for _ in range(source.randrange(1, 6)))
        status, _, text = ask(
            address, path.replace("\\", "%5c"), source.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
        )
        assert status >= 400 or "root:" not in text
        assert status < 500, (path, text)
        assert len(text) < 200
        assert "Traceback" not in text


@contextmanager
def socket_of(address, protocols=(PROTOCOL,), page=None):
    """A socket to an engine of its own, as a page opens it."""
    kernel = page or asyncio.run(fetched(address)).kernel
    target = f"{address.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?session_id=1"
    with connect(target, subprotocols=protocols or None, max_size=None, open_timeout=60) as opened:
        yield opened


async def fetched(address):
    visitor = Visitor(address)
    await visitor.fetch()
    return visitor


@pytest.mark.parametrize("protocols", [(), ("v0.kernel",)])
def test_a_socket_that_speaks_no_protocol_is_refused(address, protocols):
    with (
        pytest.raises((websockets.exceptions.InvalidStatus, websockets.exceptions.InvalidHeader)),
        socket_of(address, protocols),
    ):
        pass
    assert ask(address, "health")[0] == 200


def drain(opened):
    """Read until the socket is closed."""
    while True:
        opened.recv(timeout=60)


def test_a_malformed_message_closes_its_socket_and_the_server_goes_on(address):
    """Each kind a few times, and text where bytes belong; another page notices nothing."""
    source = random.Random(5)
    kernel = asyncio.run(fetched(address)).kernel
    bad = [each for _ in range(4) for each in malformed(source)] + ["text", "", json.dumps(HEADER)]
    for each in bad:
        with socket_of(address, page=kernel) as opened:
            opened.send(each)
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                drain(opened)
            assert closed.value.rcvd.code == 1008
        assert ask(address, "health")[0] == 200


RUNS = [
    ("execute_request", {"code": "open('/tmp/gradlab-was-here', 'w')", "silent": False}),
    ("inspect_request", {"code": "open", "cursor_pos": 2}),
    ("complete_request", {"code": "op", "cursor_pos": 2}),
    ("history_request", {"hist_access_type": "tail", "n": 9}),
    ("debug_request", {"type": "request", "command": "evaluate"}),
    ("create_subshell_request", {}),
    ("input_reply", {"value": "x"}),
]


def test_no_message_runs_code_and_what_a_handler_prints_or_raises_stays_here(address):
    with socket_of(address) as opened:
        for channel in ("shell", "control"):
            for kind, content in RUNS:
                opened.send(message(HEADER | {"msg_type": kind, "msg_id": kind}, channel=channel, content=content))
        comm = {"comm_id": "no such", "data": {"method": "update", "state": {"x": [1]}, "buffer_paths": 7}}
        opened.send(message(HEADER | {"msg_id": "comm"}, content=comm))
        opened.send(
            message(HEADER | {"msg_type": "comm_open"}, content={"comm_id": "7", "target_name": "jupyter.widget", "data": 7})
        )
        opened.send(message(HEADER | {"msg_type": "kernel_info_request", "msg_id": "last"}))
        kinds = set()
        while "kernel_info_reply" not in kinds:
            _, (header, parent, _, content, *_) = deserialize_msg_from_ws_v1(opened.recv(timeout=60))
            kinds.add(json.loads(header)["msg_type"])
            assert json.loads(parent).get("msg_id") not in dict(RUNS)
            assert b"Traceback" not in content
    assert not kinds & {"stream", "error", "execute_input", "execute_result", "display_data", "execute_reply"}
    assert not os.path.exists("/tmp/gradlab-was-here")


class Guests(AsyncExitStack):
    """Visitors of a story, whose lines are closed when it ends, however it does."""

    async def arrive(self, address):
        visitor = Visitor(address)
        self.push_async_callback(visitor.leave, politely=False)
        await visitor.fetch()
        await visitor.connect()
        return visitor


def told(story, *arguments):
    """A story with guests, from its beginning to its end."""

    async def whole():
        async with Guests() as guests:
            await story(guests, *arguments)

    asyncio.run(whole())


def test_a_dead_engine_stays_dead_and_its_page_is_told(address):
    async def killed(guests):
        visitor = await guests.arrive(address)
        process = next(p for p in processes() if visitor.kernel in " ".join(words_of(p)))
        process.kill()
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            await visitor.until(lambda: False)
        assert closed.value.rcvd.code == 4001
        while ask(address, f"api/kernels/{visitor.kernel}")[0] != 404:
            await asyncio.sleep(0.1)

    told(killed)


def processes():
    """Every process behind the servers of this test."""
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def kernels():
    return [child for child in processes() if "gradlab kernel" in " ".join(words_of(child))]


def test_a_whole_visit_and_a_polite_end(address):
    async def visit(guests):
        visitor = await guests.arrive(address)
        await visitor.attack()
        assert visitor.verdict == "Recognisable"
        await visitor.leave()
        while ask(address, f"api/kernels/{visitor.kernel}")[0] != 404:
            await asyncio.sleep(0.1)

    told(visit)


def test_places_queue_and_their_return(public):
    """Two come in, one waits with the recorded page, nobody else; an empty place is given to whoever waits."""

    async def crowd(guests):
        while engines(public):
            await asyncio.sleep(0.2)
        inside = [await guests.arrive(public) for _ in range(2)]
        status, _, page = ask(public)
        assert status == 200
        assert "kernelId" not in page
        assert "image/webp;base64" in page
        ticket = page.split('const ticket = "')[1].split('"')[0]
        assert json.loads(ask(public, f"queue?ticket={ticket}")[2])["place"] == 1
        assert ask(public)[0] == 503
        assert ask(public, "queue?ticket=other")[0] == 404
        assert "gradlab_visitors 2.0" in ask(public, "metrics")[2]
        await inside[0].socket.close()
        while json.loads(ask(public, f"queue?ticket={ticket}")[2])["place"]:
            await asyncio.sleep(0.2)
        status, headers, page = ask(public, Cookie=f"gradlab-turn={ticket}")
        assert "kernelId" in page
        assert "Max-Age" in headers["Set-Cookie"] or "expires" in headers["Set-Cookie"]

    told(crowd)


def test_engines_are_freed_that_nobody_connects_to_leaves_or_keeps_awake(public):
    """A page fetched by a machine, a tab closed without a word, a tab asleep: each gives its engine back."""

    async def gone(guests):
        while engines(public):
            await asyncio.sleep(0.2)
        unclaimed = await fetched(public)
        while ask(public, f"api/kernels/{unclaimed.kernel}")[0] != 404:
            await asyncio.sleep(0.2)
        left, asleep = [await guests.arrive(public) for _ in range(2)]
        asleep._pulse.cancel()
        left._pulse.cancel()
        left.socket.transport.abort()
        for visitor in (left, asleep):
            while ask(public, f"api/kernels/{visitor.kernel}")[0] != 404:
                await asyncio.sleep(0.2)
        while engines(public):
            await asyncio.sleep(0.2)

    told(gone)
    text = ask(public, "metrics")[2]
    for reason in ("unclaimed", "left", "silent"):
        assert f'gradlab_visits_total{{reason="{reason}"}}' in text


async def send_too_fast(visitor):
    for _ in range(2000):
        await visitor.say("Playback", {"type": "heartbeat"})
    await visitor.until(lambda: False)


BIG = b"\xff" * 64
CLOSED = {
    "a message with buffers": lambda connection, session: connection.handle_outgoing_message(
        SimpleNamespace(channel="iopub"), [*session.serialize(session.msg("comm_msg", {"data": {}})), BIG]
    ),
    "a message": lambda connection, session: connection.handle_outgoing_message(
        SimpleNamespace(channel="shell"), session.serialize(session.msg("kernel_info_reply", {}))
    ),
    "the end of the engine": lambda connection, session: connection._send_status_message("dead"),
    "what an engine complains of": lambda connection, session: connection.write_stderr("slow down", {"header": {}}),
    "bytes": lambda connection, session: connection.write_message(BIG, binary=True),
}


@pytest.mark.parametrize("say", CLOSED.values(), ids=CLOSED)
def test_nothing_is_written_to_a_socket_that_was_closed_from_here(say, monkeypatch):
    """Its protocol is forgotten, and Voila would read bytes of another as a count."""
    written = []
    monkeypatch.setattr(VoilaKernelWebsocketHandler, "write_message", lambda *message, **how: written.append(message))
    handler = VoilaKernelWebsocketHandler.__new__(VoilaKernelWebsocketHandler)
    handler.ws_connection = None
    connection = GuardedConnection(websocket_handler=handler, kernel_id="of nobody")
    say(connection, connection.session)
    connection.handle_incoming_message(BIG)
    assert written == []


def test_who_sends_too_fast_is_shut_out_and_nobody_else(public):
    async def flood(guests):
        while engines(public):
            await asyncio.sleep(0.2)
        calm, wild = [await guests.arrive(public) for _ in range(2)]
        await wild.say("Transport", {"type": "start"})  # its engine goes on speaking when the socket is closed
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            await send_too_fast(wild)
        assert closed.value.rcvd.code == 4008
        await calm.attack()
        assert calm.verdict == "Recognisable"
        await calm.leave()

    told(flood)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_server_ends_nothing_of_it_is_left(how):
    before = {child.pid for child in processes()}

    async def visiting(guests, address, server):
        visitor = await guests.arrive(address)
        await visitor.say("Transport", {"type": "start"})
        await visitor.until(lambda: visitor.status == "running")
        server.send_signal(how)
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await visitor.until(lambda: False)

    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        server = next(p for p in processes() if p.pid not in before and {"widgets.serving", "--port"} <= set(words_of(p)))
        family = [server, *server.children(recursive=True)]
        told(visiting, address, server)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert [each.cmdline() for each in alive] == []


def test_the_documented_file_holds_every_setting_at_its_default():
    file = Path(__file__).parent.parent / "deploy" / "gradlab.toml"
    assert set(tomllib.loads(file.read_text())) == {field.name for field in fields_of(Settings)}
    assert read(file) == PUBLIC_SETTINGS


SETTINGS = [
    ("visitors = 'many'", "must be a whole number"),
    ("visitors = -1", "out of range"),
    ("visitor = 3", "Did you mean 'visitors'?"),
    ("visitors = ", "not valid TOML"),
    ("waiting = 3\nvisitors = 0", "give visitors as well"),
    ("hosts = 'lab.example'", "must be a list"),
]


@pytest.mark.parametrize(("text", "sentence"), SETTINGS)
def test_settings_that_make_no_sense_are_one_sentence(tmp_path, text, sentence):
    file = tmp_path / "gradlab.toml"
    file.write_text(text)
    ended = served("--public", "--settings", str(file))
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_addresses_and_files_that_are_not_there_are_one_sentence(tmp_path):
    assert "no address of this machine" in served("--listen", "no.such.invalid").stderr
    assert "give --public as well" in served("--settings", "x.toml").stderr
    assert "There is no settings file" in served("--public", "--settings", str(tmp_path / "no.toml")).stderr
    assert "cannot be read" in served("--public", "--settings", str(tmp_path)).stderr


def served(*words):
    return subprocess.run([sys.executable, "-m", "widgets.serving", *words], capture_output=True, text=True, check=False)
