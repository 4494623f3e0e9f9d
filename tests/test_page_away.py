"""What becomes of a page, and of the engine behind it, when the browser or the line to it is away for a while or for ever."""

import contextlib
import select
import socket
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import chromium
import psutil
import pytest
from failing_page import check_that_a_reload_goes_on, check_that_nothing_seen_is_lost, run, trouble
from visiting import Visitor, free_port, kernel_id, primary, serving, wait_for_frames, wait_for_status, words_of

pytestmark = pytest.mark.browser
SHORT = """
unclaimed_seconds = 30
left_seconds = 2
silent_seconds = 8
ready_engines = 1
"""


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A server for strangers that waits for nobody for long."""
    file = tmp_path_factory.mktemp("settings") / "gradlab.toml"
    file.write_text(SHORT)
    with serving("-m", "widgets.serving", "--no-browser", "--public", "--settings", str(file), "--port") as address:
        yield address


@pytest.fixture
def enter(browser):
    """Opens the page of an address; what the console says of a broken line is no fault of the page."""
    visitors = []

    def opened(address):
        visitors.append(Visitor(browser, address))
        return visitors[-1].open(query="?seed=3")

    yield opened
    for visitor in visitors:
        for context in visitor.contexts:
            context.close()


class Line:
    """A line to a server that can be cut: every connection goes through one port of this object's own."""

    def __init__(self, address):
        self.port, self._target = free_port(), ("localhost", urlsplit(address).port)
        self._ends, self._listener = [], None
        self.mend()

    @property
    def address(self):
        return f"http://localhost:{self.port}/"

    def mend(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def cut(self):
        """Whatever goes through it ends, and nothing can begin."""
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def _listen(self, listener):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    @staticmethod
    def _carry(near, far):
        with contextlib.suppress(OSError, ValueError):
            while True:
                for end in select.select([near, far], [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return near.close(), far.close()
                    (far if end is near else near).sendall(data)


def freed(address, kernel):
    """Wait until the server has ended an engine."""
    while is_there(address, kernel):
        time.sleep(0.2)


def is_there(address, kernel):
    try:
        urllib.request.urlopen(f"{address}api/kernels/{kernel}", timeout=60).close()
    except urllib.error.HTTPError as error:
        return error.code != 404
    return True


def test_a_line_cut_for_a_moment_is_said_and_mends_by_itself(enter, address):
    line = Line(address)
    page = enter(line.address)
    run(page)
    line.cut()
    trouble(page, "away")
    check_that_nothing_seen_is_lost(page)
    line.mend()
    trouble(page, "")
    page.get_by_role("button", name="Reset", exact=True).click()
    run(page)
    line.cut()


def test_a_line_cut_for_long_frees_the_engine_and_a_reload_goes_on(enter, public):
    line = Line(public)
    page = enter(line.address)
    run(page)
    line.cut()
    trouble(page, "away")
    freed(public, kernel_id(page))
    line.mend()
    trouble(page, "gone")
    check_that_nothing_seen_is_lost(page)
    check_that_a_reload_goes_on(page)
    line.cut()


def test_an_offline_browser_keeps_its_page_and_is_served_again_once_online(enter, address):
    page = enter(address)
    run(page)
    page.context.set_offline(True)
    check_that_nothing_seen_is_lost(page)
    page.context.set_offline(False)
    trouble(page, "")
    page.get_by_role("button", name="Reset", exact=True).click()
    run(page)


@pytest.fixture
def own(browser):
    """A browser of the test's own, and its processes by what they do."""
    before = set(psutil.Process().children(recursive=True))
    launched = browser.browser_type.launch(executable_path=chromium.find(), args=list(chromium.FLAGS))
    yield launched, lambda kind="": processes_since(before, kind)
    launched.close()


def processes_since(before, kind):
    """A browser's processes; "renderer" are those that run pages."""
    started = set(psutil.Process().children(recursive=True)) - before
    words = {process: words_of(process) for process in started}
    return [
        process
        for process in started
        if "chrom" in "".join(words[process][:1]) and f"--type={kind}" in " ".join([*words[process], "--type="])
    ]


def stand_still(processes):
    """As a system does with tabs that nobody looks at: their line stays open, and no script runs."""
    for process in processes:
        process.suspend()


def go_on(processes):
    for process in processes:
        process.resume()


def test_a_page_that_sleeps_on_ones_own_machine_goes_on_where_it_was(own, address):
    browser, processes = own
    page = Visitor(browser, address).open()
    primary(page).click()
    wait_for_frames(page, 3)
    pages = processes("renderer")
    stand_still(pages)
    time.sleep(5)  # longer than a beat, so that some are missing
    go_on(pages)
    wait_for_status(page, "finished")
    trouble(page, "")


def test_a_page_that_sleeps_for_long_gives_its_engine_back_and_says_so_when_it_wakes(own, public):
    browser, processes = own
    page = Visitor(browser, public).open(query="?seed=3")
    run(page)
    kernel, pages = kernel_id(page), processes("renderer")
    stand_still(pages)
    freed(public, kernel)
    go_on(pages)
    trouble(page, "gone")
    check_that_nothing_seen_is_lost(page)
    check_that_a_reload_goes_on(page)


def test_a_browser_that_is_killed_leaves_no_engine_behind(own, address):
    """By the settings that are shipped; in the middle of a run, and without a word."""
    browser, processes = own
    page = Visitor(browser, address).open()
    kernel = kernel_id(page)
    primary(page).click()
    wait_for_frames(page, 1)
    for process in processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    freed(address, kernel)
