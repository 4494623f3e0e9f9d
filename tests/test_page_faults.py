"""What the page shows when something breaks behind it: a sentence with a next step, and all that was seen."""

import json

import pytest
from troubled import check_that_a_reload_goes_on, check_that_nothing_seen_is_lost, run, trouble
from visiting import Visitor, free_port, kernel_process, primary, serving

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
(steps) => {
  %s
  const hear = () => {
    const all = [];
    return { connect: (f) => all.push(f), disconnect: () => {}, emit: () => all.forEach((f) => f()) };
  };
  const kernel = { status: "idle", connectionStatus: "connected", isDisposed: false,
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
    "dead": [("status", "dead", "gone")],
    "restarted under its name": [("status", "autorestarting", "gone"), ("status", "idle", "gone"), ("heard", "me", "gone")],
    "another one answers": [("heard", "somebody", "gone"), ("heard", "me", "gone")],
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_trouble_is_told_by_the_channel_and_not_by_silence(browser, story):
    page = browser.new_page()
    script = CHANNEL % (FOLDER / "channel.js").read_text(encoding="utf-8")
    told = page.evaluate(f"({script})({json.dumps([step[:2] for step in story])})")
    page.close()
    assert told == [step[2] for step in story]


def test_a_lab_that_does_not_start_says_so(browser, address):
    """The page is there, its engine stands still before anything is drawn."""
    visitor = Visitor(browser, address)
    page = visitor.enter()
    page.route("**/api/kernels/**", lambda route: route.abort())
    page.route_web_socket("**/api/kernels/**", lambda socket: socket.close())
    page.goto(address)
    page.get_by_role("button", name="Reload", exact=True).wait_for()
    assert "has not started" in page.locator("[data-late]").inner_text()
    page.context.close()
