"""A real JupyterHub with its real proxy on loopback, as ``deploy/`` sets it up: three users, each alone in a server."""

import http.client
import os
import subprocess
import sys
import time
from contextlib import closing
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import beside
import jupyter_server
import psutil
import pytest
import websocket
import yaml
from socket_checks import PROTOCOL, withstands
from visiting import free_port, words_of

requests = pytest.importorskip("requests")
pytest.importorskip("jupyterhub", reason="JupyterHub is not installed: pip install .[hub]")

ROOT = Path(__file__).parent.parent
PAGE = "00-meet-the-lab.ipynb"
USERS = ("ada", "ben", "cleo")
PASSWORD = "a password for the three of them"
pytestmark = pytest.mark.slow

SPEC = yaml.safe_load((Path(jupyter_server.__file__).parent / "services" / "api" / "api.yaml").read_text())
METHODS = ("get", "post", "put", "patch", "delete")
TOLD_TO_ALL = "/api/"  # the server's version, by which a hub sees that it is up
DOORS = [(method, path) for path, told in SPEC["paths"].items() for method in METHODS if method in told and path != TOLD_TO_ALL]
"""Whatever a Jupyter server offers by HTTP, in its own words."""
PAGES = ["/", "/lab", "/tree", "/files/diary.txt", "/view/diary.txt", "/nbconvert/html/" + PAGE, "/voila/render/" + PAGE]
DOORS += [("get", page) for page in PAGES]

CONFIG = """
import shutil
from pathlib import Path

c = get_config()
load_subconfig({snippet!r})
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = set({users!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie-secret"
c.JupyterHub.cleanup_servers = True
c.JupyterHub.log_level = "ERROR"
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/homes/{{username}}"
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args += ["--allow-root", "--ServerApp.log_level=ERROR"]
c.Spawner.environment.update(JUPYTER_PATH="{folder}/share/jupyter", JUPYTER_CONFIG_PATH="{folder}/etc/jupyter")


def furnish(spawner):
    home = Path("{folder}/homes", spawner.user.name)
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy({page!r}, home)  # as a machine's /etc/skel or an image's home brings it
    (home / "diary.txt").write_text("secret of " + spawner.user.name)


c.Spawner.pre_spawn_hook = furnish
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The hub as ``deploy/jupyterhub_config.py`` has it, but for accounts of the system and the limits that go with them."""
    proxy = beside.path_of("configurable-http-proxy")
    folder = tmp_path_factory.mktemp("hub")
    subprocess.run([sys.executable, str(ROOT / "binder" / "set_up_voila.py"), str(folder)], cwd=ROOT, check=True, env=path())
    port = free_port()
    ports = {"port": port, "hub_port": free_port(), "api_port": free_port()}
    files = {"snippet": str(ROOT / "deploy" / "jupyterhub_config.py"), "page": str(ROOT / "notebooks" / PAGE), "folder": folder}
    told = CONFIG.format(password=PASSWORD, users=USERS, proxy=proxy, python=sys.executable, **ports, **files)
    (folder / "config.py").write_text(told)
    command = [sys.executable, "-m", "jupyterhub", "--config", str(folder / "config.py")]
    process = psutil.Popen(command, cwd=folder, env=path(), stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: process.poll() is None and answers(f"{address}/hub/health"))
        yield SimpleNamespace(address=address, process=process, folder=folder)
    finally:
        for one in [*family(process), process]:
            one.kill() if one.is_running() else None
        process.wait()


def path():
    return os.environ | {"PYTHONPATH": str(ROOT)}


def answers(address):
    try:
        return requests.get(address, timeout=60).ok
    except requests.ConnectionError:
        return False


def wait(state):
    """Until it is so; whoever never gets there is a failure of the test's timeout."""
    while not state():
        time.sleep(0.2)


def family(process):
    return process.children(recursive=True) if process.is_running() else []


@pytest.fixture(scope="module")
def three(hub):
    """The three of them, logged in, each with a server of their own and the page open in it."""
    people = [Visitor(hub.address, name) for name in USERS]
    for one in people:
        one.log_in()
    for one in people:
        one.open_page()
    yield people
    for one in people:
        one.session.close()


def pairs(three):
    """Each of them, and one whose doors are tried."""
    return zip(three, three[1:] + three[:1], strict=True)


class Visitor:
    """Someone's browser: its cookies, and what its owner knows."""

    def __init__(self, address, name):
        self.address, self.name = address, name
        self.home = f"{address}/user/{name}"
        self.session = requests.Session()

    def log_in(self):
        """By the form, as a browser does; the hub then begins to start a server. And a token, as for scripts."""
        self.session.get(f"{self.address}/hub/login")
        form = {"username": self.name, "password": PASSWORD, "_xsrf": self.cookie("_xsrf", "/hub/")}
        answer = self.session.post(f"{self.address}/hub/login", data=form)
        assert urlsplit(answer.url).path.startswith(("/hub/spawn", f"/user/{self.name}/")), answer.url
        made = self.session.post(
            f"{self.address}/hub/api/users/{self.name}/tokens",
            headers={"X-XSRFToken": self.cookie("_xsrf", "/hub/")},
            json={"note": "for a script"},
        )
        self.token = {"Authorization": f"token {made.json()['token']}"}

    def open_page(self):
        wait(lambda: requests.get(f"{self.address}/hub/api/users/{self.name}", headers=self.token).json()["server"])
        self.page = self.session.get(f"{self.home}/")
        self.kernel = self.own("/api/kernels").json()[0]["id"]

    def cookie(self, name, path):
        return self.session.cookies.get(name, path=path)

    def own(self, path):
        """What one's own server answers."""
        return self.session.get(f"{self.home}{path}", headers=self.token)

    def keys(self, other):
        """All that this one can show at another's door: nothing, cookies, the cookie under the other's name, a token."""
        mine = self.cookie(f"jupyterhub-user-{self.name}", f"/user/{self.name}/")
        renamed = {f"jupyterhub-user-{other.name}": mine, "_xsrf": self.cookie("_xsrf", f"/user/{self.name}/")}
        return {
            "nothing": {},
            "cookies": {"cookies": dict(self.session.cookies.items())},
            "renamed": {"cookies": renamed, "headers": {"X-XSRFToken": renamed["_xsrf"]}},
            "token": {"headers": self.token},
        }


def is_refused(answer):
    """Forbidden, not there, or asked to log in."""
    return answer.status_code in (403, 404) or urlsplit(answer.url).path == "/hub/login"


def filled(path, whose):
    """A path of the description with the names of someone's own things."""
    names = {"path": "diary.txt", "kernel_id": whose.kernel, "section_name": "notebook"}
    return path.format(**names, session=whose.kernel, checkpoint_id="0", terminal_id="1")


def test_each_gets_the_page_from_a_server_of_their_own(three):
    for one in three:
        assert one.page.status_code == 200
        assert urlsplit(one.page.url).path == f"/user/{one.name}/voila/render/{PAGE}"
        assert "skeleton-title" in one.page.text, "the lab's own template"
        assert one.own("/files/diary.txt").text == f"secret of {one.name}"
        assert one.own("/api/me").json()["identity"]["username"] == one.name
        assert one.own("/lab").status_code == 200
        assert {kernel["id"] for kernel in one.own("/api/kernels").json()} == {one.kernel}
    assert len({one.kernel for one in three}) == len(three)


@pytest.mark.parametrize("by", ["proxy", "port"])
def test_nobody_passes_anothers_doors(hub, three, by):
    for one, other in pairs(three):
        home = other.home if by == "proxy" else own_port(hub, other)
        for (what, shown), (method, path) in product(one.keys(other).items(), DOORS):
            answer = requests.request(method, home + filled(path, other), **shown)
            assert is_refused(answer), (one.name, what, method, path, answer.status_code)
            assert "secret of" not in answer.text
        assert other.own("/files/diary.txt").text == f"secret of {other.name}"
        assert other.own(f"/api/kernels/{other.kernel}").ok


def own_port(hub, whose):
    """Where someone's server listens behind the proxy."""
    servers = [process.environ() for process in family(hub.process) if "jupyterhub.singleuser" in words_of(process)]
    return next(told["JUPYTERHUB_SERVICE_URL"] for told in servers if told["JUPYTERHUB_USER"] == whose.name).rstrip("/")


def test_nobody_speaks_with_anothers_kernel(three):
    for one, other in pairs(three):
        assert handshake(other, **other.keys(other)["token"]) == 101
        for what, shown in one.keys(other).items():
            assert handshake(other, **shown) in (403, 404), (one.name, what)


def handshake(whose, headers=None, cookies=None):
    """The status with which the websocket of someone's kernel answers."""
    header = [f"{name}: {value}" for name, value in (headers or {}).items()]
    cookie = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    address = f"{whose.home}/api/kernels/{whose.kernel}/channels".replace("http", "ws", 1)
    try:
        socket = websocket.create_connection(address, header=header, cookie=cookie, subprotocols=[PROTOCOL], timeout=60)
    except websocket.WebSocketBadStatusException as refusal:
        return refusal.status_code
    socket.close()
    return 101


def test_a_users_server_withstands_what_is_no_message(three):
    for one in three:
        withstands(f"{one.home}/api/kernels/{one.kernel}/channels".replace("http", "ws", 1), one.token)
        assert one.own(f"/api/kernels/{one.kernel}").ok


def test_nobody_asks_the_hub_about_another(hub, three):
    for one, other in pairs(three):
        path = f"/hub/api/users/{other.name}"
        doors = [("get", path), ("delete", path), ("patch", path), ("post", f"{path}/tokens"), ("delete", f"{path}/server")]
        doors += [("get", "/hub/api/users"), ("get", "/hub/api/proxy"), ("post", "/hub/api/shutdown"), ("get", "/hub/admin")]
        for (what, shown), (method, door) in product(one.keys(other).items(), doors):
            answer = requests.request(method, hub.address + door, **shown)
            assert is_refused(answer), (one.name, what, method, door, answer.status_code)


def test_ones_own_server_leads_to_no_other_home(three):
    doors = ("files", "view", "api/contents", "voila/render", "voila/files")
    ways = ("..", "%2e%2e", "..%2f..%2fhomes", "%252e%252e", "x/../..", "/..")
    for (one, other), door, way in product(pairs(three), doors, ways):
        status, text = raw(one, f"/{door}/{way}/{other.name}/diary.txt")
        assert status >= 300, (one.name, door, way)
        assert "secret of" not in text


def raw(one, path):
    """One GET whose path nobody tidies up on its way."""
    place = urlsplit(one.home)
    with closing(http.client.HTTPConnection(place.netloc)) as connection:
        connection.request("GET", place.path + path, headers=one.token)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


def test_a_cookie_is_for_its_owners_server_only(three):
    for one in three:
        cookies = {cookie.name: cookie for cookie in one.session.cookies if cookie.path.startswith("/user/")}
        assert f"jupyterhub-user-{one.name}" in cookies
        assert {cookie.path for cookie in cookies.values()} == {f"/user/{one.name}/"}
        login = next(cookie for cookie in one.session.cookies if cookie.name == "jupyterhub-hub-login")
        assert login.path == "/hub/"
        for secret in (cookies[f"jupyterhub-user-{one.name}"], login):
            assert secret.has_nonstandard_attr("HttpOnly")


def test_nothing_is_left_when_the_hub_ends(hub, three):
    """The last of these tests: hub, proxy, servers and kernels are gone."""
    everybody = family(hub.process)
    assert len(everybody) >= 1 + 2 * len(three)
    hub.process.terminate()
    _, left = psutil.wait_procs([hub.process, *everybody], timeout=60)
    assert left == []
