"""Whatever one has come to by clicks can be left by the browser's own buttons, and form, address and session agree there."""

import re

import pytest
from random_clicks import check, settle
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


def test_back_and_forward_lead_from_scene_to_scene_and_out_of_the_story(visit):
    """Also from one whose question was answered, and to one with another experiment."""
    page = visit(1366, 850)
    settle(page)
    start, scenes = page.url, ["secret", "gradient", "guess", "direction"]
    page.get_by_role("button", name="The story").click()
    for name in scenes:
        page.locator(f'.lab-guide[data-scene="{name}"]').wait_for()
        settle(page)
        if name == "gradient":
            page.locator(".lab-guide [role=group] button").first.click()
        if name != scenes[-1]:
            page.locator(".lab-forward").click()
    page.wait_for_function("() => location.search.includes('euclidean')")
    at = len(scenes) - 1
    for way in (-1, -1, -1, 1, 1, 1, -1, -1, -1):
        go(page, way)
        at += way
        assert page.url.endswith(f"#scene={scenes[at]}")
        assert page.locator(f'.lab-guide[data-scene="{scenes[at]}"]').is_visible()
    go(page, -1)
    assert page.url == start
    assert page.locator(".lab-guide").is_hidden()
