"""The fixtures and gestures of the browser tests: Voila serves the real page, Chromium shows it."""

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import chromium
import psutil
import pytest

from benchmarks.page import kernel as kernel_behind

ROOT = Path(__file__).parent.parent
OUT = ROOT / "out"
PATIENCE_MS = 90_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def address():
    """The address of the lab's own server, on a free port, as ``gradlab serve`` starts it."""
    with serving("-m", "widgets.serving", "--no-browser", "--port") as address:
        yield address


@contextmanager
def serving(*arguments, port=None):
    """The address of a server that Python starts from these arguments and a free port after them, or the one given."""
    port = port or free_port()
    command = [sys.executable, *arguments, str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = server.stdout.readline()
        assert f"http://localhost:{port}/" in line, line
        yield f"http://localhost:{port}/"
    finally:
        stop(server)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(server, how=signal.SIGINT):
    """End a server as Ctrl-C would; one that a busy machine keeps for over a minute is killed."""
    server.send_signal(how)
    try:
        server.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def browser():
    """One browser a module: playwright's event loop runs as long as it does, and other tests want their own."""
    from playwright.sync_api import sync_playwright

    path = chromium.find()
    if path is None and not chromium.is_required():
        pytest.skip(chromium.MISSING)
    assert path is not None, chromium.MISSING
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(chromium.FLAGS))
        yield running
        running.close()


class Visitor:
    """Someone with a browser; remembers every error in the console and every request."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        self.contexts, self.problems, self.requests = [], [], []

    def enter(self, width=1280, height=900, **options):
        """An empty page that is watched; what a test evaluates in it is no part of the page, and its policy allows none."""
        options = {"bypass_csp": True} | options
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    def open(self, width=1280, height=900, query="", **options):
        """The lab's page, ready."""
        page = self.enter(width, height, **options)
        page.goto(self.address + query)
        page.locator(".lab[data-ready]").wait_for()
        return page

    def leave(self):
        """No error may stand in the console, and no request may have left the host."""
        for context in self.contexts:
            for page in context.pages:
                page.goto("about:blank")  # the page closes its kernel as it goes
            context.close()
        assert self.problems == []
        assert [url for url in self.requests if not url.startswith((self.address, "data:", "blob:"))] == []


@pytest.fixture
def visit(browser, address):
    visitor = Visitor(browser, address)
    yield visitor.open
    visitor.leave()


@pytest.fixture(scope="module")
def desk(browser, address):
    """One page that several tests use one after another."""
    visitor = Visitor(browser, address)
    yield visitor.open()
    visitor.leave()


@pytest.fixture
def page(desk):
    """That page, ready for an attack from the beginning, at a pace that leaves time to press keys."""
    wait_for_status(desk, "ready", "running", "paused", "finished")
    desk.get_by_role("button", name="Watchable, 6 s").click()
    desk.get_by_role("button", name="Reset", exact=True).click()
    desk.wait_for_function("document.querySelector('.lab-server').dataset.frames === '0'")
    wait_for_status(desk, "ready")
    desk.evaluate("document.activeElement.blur()")
    return desk


def primary(page):
    return page.locator("button.lab-primary")


def wait_for_status(page, *statuses):
    wanted = ", ".join(f'.lab-transport[data-status="{status}"]' for status in statuses)
    page.locator(wanted).wait_for(state="attached")  # a scene of the story may have no player


SETTLED = 6
"""So many frames, 0.1 s apart or more and each drawn before the next comes, after the main button has changed it is pressed."""


def is_heard(page):
    """Wait until the engine has heard all that the page said before: it takes another pace and says so."""
    other = page.locator('.lab-pace button[aria-pressed="false"]').first
    seconds = other.get_attribute("data-seconds")
    other.click()
    page.locator(f'.lab-pace button[data-seconds="{seconds}"][aria-pressed="true"]').wait_for()


def counters(page):
    """Frames held, frames drawn, iteration shown, points on the curve."""
    server, curve = page.locator(".lab-server"), page.locator(".lab-curve")
    names = ("frames", "drawn", "iteration")
    return {name: int(server.get_attribute(f"data-{name}") or 0) for name in names} | {
        "points": int(curve.get_attribute("data-points"))
    }


def wait_for_frames(page, count):
    """Until so many frames of a run are there, which the recording is not."""
    data = "const {source, frames} = document.querySelector('.lab-server').dataset"
    page.wait_for_function(f"count => {{ {data}; return source !== 'recorded' && +frames >= count }}", arg=count)


def wait_for_iteration(page, iteration):
    page.locator(f'.lab-server[data-iteration="{iteration}"]').wait_for()


def kernel_id(page):
    return page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")


def words_of(process):
    """The command that a process runs; none where it has ended since it was listed."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def kernel_process(page):
    """The process behind this page, a child of the server that the tests started."""
    return kernel_behind(psutil.Process(), page)


def keep_picture(page, name):
    OUT.mkdir(exist_ok=True)
    page.screenshot(path=OUT / f"{name}.png", full_page=True)
