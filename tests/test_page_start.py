"""How the page comes to stand: from its own bytes, without a shift, and by the protocol that Jupyter's own code speaks."""

import json
from pathlib import Path

import pytest
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from visiting import Visitor, kernel_process, primary, wait_for_status

from widgets.pages.written import MIME
from widgets.playback.playback import FOLDER as PLAYBACK
from widgets.serving.messages import checked
from widgets.views.base import FOLDER as VIEWS
from widgets.views.base import delivered
from widgets.views.page import THEME

pytestmark = pytest.mark.browser
TEMPLATE = Path(__file__).parent.parent / "widgets" / "template" / "voila" / "templates" / "gradlab"
MAX_BYTES = 250_000
"""Of all scripts and styles of the page, our own and whatever else it needs."""
AT_REST = 450 * 2**20
STILL = 0.01
"""A shift of the layout that nobody sees, as browsers count it (share of the window moved, times how far)."""

WATCH_SHIFTS = """
window.shifts = [];
const keep = (list) => window.shifts.push(...list.getEntries());
new PerformanceObserver(keep).observe({ type: "layout-shift", buffered: true });
"""


def script(name):
    return (TEMPLATE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1366, 2560])
def test_the_page_is_drawn_from_its_own_bytes_and_stands_still(browser, address, width):
    visitor = Visitor(browser, address)
    page = visitor.enter(width, 850)
    page.add_init_script(WATCH_SHIFTS)
    page.goto(address, wait_until="commit")
    primary(page).wait_for()
    assert [url for url in visitor.requests if not url.startswith(("blob:", "data:"))] == [address]
    wait_for_status(page, "ready")
    page.locator(".lab-thumb").first.wait_for(state="attached")  # of the form, which the engine sends later
    assert page.evaluate("shifts.reduce((sum, { value }) => sum + value, 0)") <= STILL
    visitor.leave()


def test_scripts_and_styles_of_the_page_are_few():
    """All there are, in whatever folder: views and player without the lines that only comment, the template's as they are."""
    files = [file for folder in (VIEWS, PLAYBACK) for kind in ("*.js", "*.css") for file in folder.rglob(kind)]
    sent = [delivered(file) for file in (*files, THEME)] + [
        script(file.name) for file in TEMPLATE.iterdir() if file.suffix in (".js", ".css")
    ]
    assert sum(len(text.encode()) for text in sent) <= MAX_BYTES


@pytest.mark.parametrize(
    "file", [file for folder in (VIEWS, PLAYBACK) for file in folder.rglob("*.js")], ids=lambda file: file.name
)
def test_a_line_that_is_left_out_is_a_comment(file):
    """No text runs over several lines, within which a line might look like a comment."""
    assert all(line.count("`") % 2 == 0 for line in file.read_text(encoding="utf-8").splitlines())


def test_an_engine_at_rest_takes_little_memory(visit):
    """Its share of memory, what it shares with others divided among them."""
    page = visit()
    wait_for_status(page, "ready")
    assert kernel_process(page).memory_full_info().pss <= AT_REST


FORGET = """
(mime) => {
  const parse = JSON.parse;
  JSON.parse = (...given) => { const read = parse(...given); delete read?.data?.[mime]; return read; };
}
"""


def test_a_page_with_nothing_written_in_it_is_left_to_voila(browser, address):
    visitor = Visitor(browser, address)
    page = visitor.enter()
    page.add_init_script(f"({FORGET})({json.dumps(MIME)})")
    page.goto(address)
    wait_for_status(page, "ready")
    assert any(url.endswith("voila.js") for url in visitor.requests)
    visitor.leave()


HEADER = {
    "msg_id": "1",
    "msg_type": "comm_msg",
    "session": "2",
    "username": "",
    "date": "2026-01-01T00:00:00Z",
    "version": "5.3",
}
SAID = {"comm_id": "3", "data": {"method": "custom", "content": {"type": "α “quoted” </script>"}}}
BUFFERS = [[], [b""], [b"\x00\xff" * 9, b"", bytes(range(256))]]


@pytest.mark.parametrize("buffers", BUFFERS, ids=["none", "an empty one", "several"])
def test_a_message_is_what_jupyter_takes_for_one(browser, buffers):
    page = browser.new_page()
    packed = page.evaluate(
        f"([parts, buffers]) => {{ {script('engine.js')};"
        " return [...packed('shell', [...parts, ...buffers.map((each) => new Uint8Array(each))])]; }",
        [[HEADER, {}, {}, SAID], [list(each) for each in buffers]],
    )
    page.close()
    message = checked(bytes(packed))
    assert (message.channel, message.type) == ("shell", "comm_msg")
    channel, parts = deserialize_msg_from_ws_v1(bytes(packed))
    assert channel == "shell"
    assert [json.loads(part) for part in parts[:4]] == [HEADER, {}, {}, SAID]
    assert [bytes(each) for each in parts[4:]] == buffers


@pytest.mark.parametrize("buffers", BUFFERS, ids=["none", "an empty one", "several"])
def test_what_jupyter_sends_is_understood(browser, buffers):
    parts = [json.dumps(part).encode() for part in (HEADER, {}, {}, SAID)]
    sent = serialize_msg_to_ws_v1([*parts, *buffers], "iopub")
    page = browser.new_page()
    told = page.evaluate(
        f"(data) => {{ {script('engine.js')}; const {{ type, content, buffers }} = unpacked(new Uint8Array(data).buffer);"
        " return [type, content, buffers.map((each) => [...each])]; }",
        list(sent),
    )
    page.close()
    assert told == ["comm_msg", SAID, [list(each) for each in buffers]]
