"""What the page shows when something breaks behind it: a sentence with a next step, and all that was seen."""

import json

import pytest
from failing_page import check_that_a_reload_goes_on, check_that_nothing_seen_is_lost, run, trouble
from visiting import (
    Visitor,
    free_port,
    kernel_id,
    kernel_process,
    primary,
    serving,
    wait_for_frames,
    wait_for_status,
)

from widgets.playback.playback import FOLDER

pytestmark = pytest.mark.browser


@pytest.fixture
def watched(browser, address):
    """A page with a run that is over; what the console says of a broken channel is no fault of the page."""
    visitor = Visitor(browser, address)
    page = visitor.open(query="?seed=3")
    run(page)
    yield page
    for context in visitor.contexts:
        context.close()


def test_a_killed_engine_is_said_and_a_reload_keeps_the_experiment(watched):
    kernel_process(watched).kill()
    trouble(watched, "gone")
    assert "The engine has ended" in watched.locator(".lab-message").inner_text()
    assert primary(watched).is_disabled()
    check_that_nothing_seen_is_lost(watched)
    check_that_a_reload_goes_on(watched)


def test_an_engine_that_stands_still_is_said_and_forgiven(watched):
    engine = kernel_process(watched)
    engine.suspend()
    try:
        trouble(watched, "silent")
        assert watched.get_by_role("button", name="Reload", exact=True).is_visible()
        check_that_nothing_seen_is_lost(watched)
    finally:
        engine.resume()
    trouble(watched, "")
    assert primary(watched).is_enabled()


def test_a_server_that_ends_and_starts_again_is_said_and_a_reload_goes_on(browser):
    port = free_port()
    arguments = ("-m", "widgets.serving", "--no-browser", "--port")
    visitor = Visitor(browser, f"http://localhost:{port}/")
    with serving(*arguments, port=port):
        page = visitor.open(query="?seed=3")
        run(page)
    trouble(page, "gone")
    check_that_nothing_seen_is_lost(page)
    with serving(*arguments, port=port):
        check_that_a_reload_goes_on(page)
        for context in visitor.contexts:
            context.close()


CHANNEL = """
([first, steps]) => {
  %s
  const hear = () => {
    const all = [];
    return { connect: (f) => all.push(f), disconnect: () => {}, emit: () => all.forEach((f) => f()) };
  };
  const kernel = { status: "idle", connectionStatus: first, isDisposed: false,
    statusChanged: hear(), connectionStatusChanged: hear(), disposed: hear() };
  let trouble = "";
  const model = { get: () => "me", widget_manager: { kernel } };
  const channel = channelOf(model, (now) => { trouble = now; }, new AbortController().signal);
  return steps.map(([kind, value]) => {
    if (kind === "asked") for (let i = 0; i < value; i++) channel.asked();
    else if (kind === "heard") channel.heard(value);
    else { kernel[kind] = value; kernel.statusChanged.emit(); kernel.connectionStatusChanged.emit(); }
    return trouble;
  });
}
"""
STORIES = {
    "busy with another cell": [("status", "busy", ""), ("asked", 100, ""), ("status", "idle", "silent"), ("heard", "me", "")],
    "slow": [("asked", 4, ""), ("heard", "me", ""), ("asked", 4, "")],
    "standing still": [("asked", 5, "silent"), ("heard", "me", "")],
    "cut and mended": [("connectionStatus", "connecting", "away"), ("asked", 50, "away"), ("heard", "me", "away"),
                       ("connectionStatus", "connected", "")],
    "cut for good": [("connectionStatus", "connecting", "away"), ("connectionStatus", "disconnected", "gone"),
                     ("connectionStatus", "connected", "gone")],
    "never reached": [("asked", 1, "unreached"), ("asked", 2, "unreached"), ("connectionStatus", "connected", ""),
                      ("connectionStatus", "connecting", "away"), ("isDisposed", True, "gone")],
    "not there any more": [("asked", 1, "unreached"), ("isDisposed", True, "missed")],
    "dead": [("status", "dead", "gone")],
    "restarted under its name": [("status", "autorestarting", "gone"), ("status", "idle", "gone"), ("heard", "me", "gone")],
    "another one answers": [("heard", "somebody", "gone"), ("heard", "me", "gone")],
}  # fmt: skip


NOT_YET = {"never reached", "not there any more"}
"""The stories that begin before the line stands."""


@pytest.mark.parametrize("name", STORIES)
def test_trouble_is_told_by_the_channel_and_not_by_silence(browser, name):
    story, first = STORIES[name], "connecting" if name in NOT_YET else "connected"
    page = browser.new_page()
    script = CHANNEL % (FOLDER / "channel.js").read_text(encoding="utf-8")
    told = page.evaluate(f"({script})({json.dumps([first, [step[:2] for step in story]])})")
    page.close()
    assert told == [step[2] for step in story]


class Closed:
    """What lies between a page and its engine, until it is opened."""

    def __init__(self, page):
        self.closed = True
        page.route("**/api/kernels/**", lambda route: route.abort() if self.closed else route.continue_())
        page.route_web_socket("**/api/kernels/**", lambda socket: socket.close() if self.closed else socket.connect_to_server())

    def open(self):
        self.closed = False


@pytest.fixture
def entering(browser, address):
    """A page that is not there yet, and what keeps it from its engine."""
    page = Visitor(browser, address).enter()
    yield page, Closed(page)
    page.context.close()


def test_a_page_without_its_engine_is_drawn_and_keeps_what_is_asked_for(entering, address):
    page, between = entering
    page.goto(address)
    trouble(page, "unreached")
    page.locator('.lab-server[data-source="recorded"]').wait_for()
    assert page.get_by_role("button", name="Reload", exact=True).is_visible()
    primary(page).click()
    assert "kept" in page.locator(".lab-message").inner_text()
    between.open()
    wait_for_frames(page, 3)


def test_an_engine_that_ended_before_its_page_reached_it_is_said_and_another_one_comes(entering, address):
    page, between = entering
    page.goto(address)
    trouble(page, "unreached")
    first = kernel_id(page)
    kernel_process(page).kill()
    between.open()
    trouble(page, "missed")
    page.wait_for_event("load")
    wait_for_status(page, "ready")
    assert kernel_id(page) != first


def test_a_page_that_is_reloaded_in_the_middle_of_a_run_is_ready_again(browser, address):
    visitor = Visitor(browser, address)
    page = visitor.open(query="?seed=3")
    for _ in range(3):
        wait_for_status(page, "ready")
        primary(page).click()
        wait_for_frames(page, 1)
        page.reload()
    wait_for_status(page, "ready")
    visitor.leave()


def test_a_page_that_breaks_off_says_so(entering, address):
    """Its engine or its server ended while it was being written."""
    page, _ = entering
    page.clock.install()
    page.route(
        address, lambda route: route.fulfill(content_type="text/html", body=route.fetch().text().partition("jupyter-config")[0])
    )
    page.goto(address, wait_until="commit")
    page.locator("[data-late]").wait_for(state="attached")
    page.clock.fast_forward(30_000)
    page.get_by_role("button", name="Reload", exact=True).wait_for()
    assert "has not started" in page.locator("[data-late]").inner_text()
