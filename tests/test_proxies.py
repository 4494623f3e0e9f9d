"""Caddy and nginx as ``deploy/`` sets them up, before a small server of the test's own: what they pass on, what they stop."""

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path

import beside
import psutil
import pytest
import tornado.web
import tornado.websocket
import websocket
from certipy import Certipy
from visiting import free_port

DEPLOY = Path(__file__).parent.parent / "deploy"
NAME = "lab.example.org"
PROTOCOL = "v1.kernel.websocket.jupyter.org"


class Mirror(tornado.web.RequestHandler):
    """Says under which name it was asked, and how much it was sent."""

    def get(self):
        self.write({"host": self.request.host, "bytes": len(self.request.body), "headers": sorted(self.request.headers)})

    post = get


class Echo(tornado.websocket.WebSocketHandler):
    def select_subprotocol(self, subprotocols):
        return subprotocols[0]

    def on_message(self, message):
        self.write_message(message, binary=True)


@pytest.fixture(scope="module")
def upstream():
    """The port of a server that stands for the lab."""
    port = free_port()
    ready, loop = threading.Event(), asyncio.new_event_loop()

    def run():
        asyncio.set_event_loop(loop)
        server = tornado.web.Application([("/echo", Echo), (".*", Mirror)]).listen(port, "127.0.0.1")
        loop.call_soon(ready.set)
        loop.run_forever()
        server.stop()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(60)
    yield port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@contextmanager
def running(command, port, **options):
    """A server in a process of its own, as soon as it listens."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        while not listens(port):
            assert process.poll() is None, f"{command[0]} ended"
        yield
    finally:
        process.terminate()
        process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Front:
    """What stands before the lab: how to speak with it."""

    def __init__(self, port, tls=None):
        self.port, self.tls = port, tls

    def dial(self, name=NAME):
        """A connection, of which TLS says for whom it is."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return self.tls.wrap_socket(plain, server_hostname=name) if self.tls else plain

    def ask(self, path="/", method="GET", body=None, headers=(), name=NAME):
        """Status, headers and body of an answer."""
        with closing(HTTPConnection(name, self.port)) as connection:
            connection.sock = self.dial(name)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode()

    def open_socket(self, origin=None):
        """A websocket, as a page of ``origin`` would open it; of the lab's own unless said."""
        line = websocket.WebSocket()
        address = f"ws://{NAME}:{self.port}/echo"
        line.connect(address, socket=self.dial(), subprotocols=[PROTOCOL], origin=origin)
        return line


MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def changed(text, changes):
    """A file's text with what a test must have otherwise, and nothing else."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    """nginx with the file of ``deploy/``, but for its ports, certificate, rates and the folders of a system."""
    program, folder, port = beside.path_of("nginx"), tmp_path_factory.mktemp("nginx"), free_port()
    authority = Certipy(store_dir=str(folder))
    ca = authority.create_ca("authority")
    files = authority.create_signed_pair("lab", "authority", alt_names=[f"DNS:{NAME}"])["files"]
    changes = {
        f"/etc/letsencrypt/live/{NAME}/fullchain.pem": files["cert"],
        f"/etc/letsencrypt/live/{NAME}/privkey.pem": files["key"],
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8866": f"127.0.0.1:{upstream}",
        "rate=200r/s": "rate=1r/s",
        "burst=4000": "burst=300",
    }
    (folder / "site.conf").write_text(changed((DEPLOY / "nginx.conf").read_text(), changes))
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is ours alone
    (folder / "main.conf").write_text(MAIN.format(folder=folder, user=user))
    command = [program, "-p", str(folder), "-c", "main.conf", "-e", str(folder / "error.log")]
    said = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert "[warn]" not in said.stderr
    with running(command, port):
        yield Front(port, ssl.create_default_context(cafile=ca["files"]["cert"]))


@pytest.fixture(scope="module")
def caddy(upstream, tmp_path_factory):
    """Caddy with the file of ``deploy/``, without a certificate: it would ask for one beyond this machine."""
    program, folder, port = beside.path_of("caddy"), tmp_path_factory.mktemp("caddy"), free_port()
    told = {"GRADLAB_SITE": f"http://{NAME}:{port}", "GRADLAB_UPSTREAM": f"127.0.0.1:{upstream}"}
    environment = os.environ | told | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    said = subprocess.run([program, "fmt", DEPLOY / "Caddyfile"], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout == (DEPLOY / "Caddyfile").read_text()
    file = folder / "Caddyfile"
    file.write_text(changed((DEPLOY / "Caddyfile").read_text(), {"admin off": "admin off\n\tdefault_bind 127.0.0.1"}))
    options = ["--config", str(file), "--adapter", "caddyfile"]
    said = subprocess.run([program, "validate", *options], capture_output=True, text=True, env=environment, check=False)
    assert said.returncode == 0, said.stderr
    with running([program, "run", *options], port, env=environment):
        yield Front(port)


@pytest.fixture(params=["nginx", "caddy"])
def front(request):
    return request.getfixturevalue(request.param)


def test_the_page_comes_under_its_own_name_and_nothing_tells_versions(front):
    status, headers, body = front.ask()
    assert status == 200
    assert json.loads(body)["host"].split(":")[0] == NAME
    assert not any(character.isdigit() for character in headers.get("Server", ""))
    assert int(headers["Strict-Transport-Security"].removeprefix("max-age=")) >= 180 * 24 * 3600


def test_a_websocket_passes_with_its_protocol(front):
    with closing(front.open_socket()) as line:
        assert line.subprotocol == PROTOCOL
        for length in (1, 100_000):
            line.send_binary(bytes(length))
            assert line.recv() == bytes(length)


def test_a_page_from_elsewhere_opens_no_websocket(front):
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        front.open_socket(origin="https://elsewhere.example.org")


def test_what_is_too_large_does_not_pass(front):
    assert front.ask("/", "POST", bytes(60_000))[0] == 200
    status, _, _ = front.ask("/", "POST", bytes(70_000))
    assert status in (413, 502)  # Caddy 2.6 only knows that it could not pass it on
    status, _, _ = front.ask(headers={"X-Long": "x" * 100_000})
    assert status in (400, 431, 494)


def test_what_never_ends_is_ended(nginx, caddy):
    headers, body = (
        f"GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Never: ",
        f"POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9\r\n\r\nx",
    )
    with ExitStack() as lines:
        opened = []
        for front, beginning in product((nginx, caddy), (headers, body)):
            line = lines.enter_context(closing(front.dial()))
            line.sendall(beginning.encode())
            opened.append(line)
        for line in opened:
            while line.recv(65536):
                pass  # an answer such as 408, then the end


def test_measurements_are_for_whoever_runs_it(front):
    assert front.ask("/metrics")[0] == 404


def test_another_name_is_not_answered(front):
    try:
        _, _, body = front.ask(name="other.example.org")
    except ssl.SSLError:
        return
    assert "host" not in body, "it did not reach the lab"


def test_nginx_has_room_for_a_class_behind_one_address():
    """Thirty pages at once; how many files a page has, and connections to a host a browser opens, with a socket beside."""
    text = (DEPLOY / "nginx.conf").read_text()
    assert int(re.search(r"burst=(\d+)", text).group(1)) >= 30 * 129
    assert int(re.search(r"limit_conn gradlab_address (\d+)", text).group(1)) >= 30 * (6 + 1)


def test_nginx_stops_a_flood(nginx):
    """The last of these tests: after it, the limit of its address is reached. The test's nginx has a smaller one."""
    with closing(HTTPConnection(NAME, nginx.port)) as connection:
        connection.sock = nginx.dial()
        statuses = [status_of(connection) for _ in range(600)]
    assert set(statuses[:250]) == {200}
    assert 429 in statuses[250:]


def status_of(connection):
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    return answer.status
