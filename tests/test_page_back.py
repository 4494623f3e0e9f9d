"""Whatever one has come to by clicks can be left by the browser's own buttons, and form, address and session agree there."""

import re

import pytest
from test_page_clicks import check, settle
from visiting import wait_for_frames, wait_for_status

pytestmark = pytest.mark.browser
MOVE = """
(way) => new Promise((done) => {
  addEventListener("popstate", () => setTimeout(done), { once: true });
  history.go(way);
})
"""


def go(page, way):
    page.evaluate(MOVE, way)
    settle(page)
    check(page)


def lit(page, place):
    return page.locator(f'{place} [aria-pressed="true"]').get_attribute("data-key" if "chips" in place else "data-name")


def test_back_and_forward_lead_through_chips_presets_and_knobs_and_show_the_runs_again(visit):
    page = visit(1366, 850)
    settle(page)
    start = page.url
    page.get_by_role("button", name="Do it with algebra").click()
    wait_for_frames(page, 1)
    wait_for_status(page, "finished")
    algebra = page.url
    page.get_by_text("From the papers").click()
    page.get_by_role("button", name="Half the loss, the same picture").click()
    page.wait_for_function("address => location.href !== address", arg=algebra)
    settle(page)
    assert "section 4 on cosine similarity" in page.locator(".lab-preset").inner_text()
    page.get_by_role("radio", name="LeNet").check()
    page.wait_for_function("() => location.search.includes('lenet')")
    settle(page)
    check(page)
    assert page.locator('.lab-presets [aria-pressed="true"]').count() == 0
    last = page.url

    go(page, -1)
    assert lit(page, ".lab-presets") == "half_loss"
    go(page, -1)
    assert (page.url, lit(page, ".lab-chips")) == (algebra, "algebra")
    wait_for_status(page, "finished")  # its run is shown again, without another attack
    assert re.search("Past run", page.locator(".lab-server").inner_text())
    go(page, -1)
    assert page.url == start
    go(page, 3)
    assert page.url == last
    page.get_by_role("button", name="Undo", exact=True).click()
    page.wait_for_function("address => location.href !== address", arg=last)
    settle(page)
    check(page)
