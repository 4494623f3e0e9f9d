"""The guided story in a real browser: it asks before it shows, hides the rest, and ends at lessons, paper and code."""

import pytest
from accessibility import faults_light_and_dark
from random_clicks import check
from visiting import PHONE, wait_for_status

from lab.course.scenes.base import in_order
from lab.options.catalogue import entries

pytestmark = pytest.mark.browser
SCENES = in_order(entries("scene"))
IN_SIGHT = """
() => [...document.querySelectorAll("[data-slot]")].filter((slot) => slot.checkVisibility()).map((slot) => slot.dataset.slot)
"""


def begin(page):
    wait_for_status(page, "ready")
    page.get_by_role("button", name="The story").click()


def in_sight(page):
    return set(page.evaluate(IN_SIGHT)) - {"guide", "guess", "ending"}


OVERLAPS = """
() => {
  const all = [...document.querySelectorAll(".lab-guide button, .lab-guide p")];
  const shown = all.filter((node) => node.offsetParent && node.textContent);
  const boxes = shown.map((node) => [node.textContent, node.getBoundingClientRect()]);
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const others = (place) => boxes.slice(place + 1);
  return boxes.flatMap(([one, a], place) => others(place).filter(([, b]) => meet(a, b)).map(([other]) => [one, other]));
}
"""
DESK = pytest.param({"width": 1366, "height": 850}, id="desk", marks=pytest.mark.slow)


@pytest.mark.parametrize("size", [pytest.param(PHONE, id="phone"), DESK])
def test_each_scene_asks_first_shows_then_and_leads_on(visit, size):
    page = visit(**size)
    begin(page)
    told = page.locator(".lab-guide")
    for name, scene in SCENES.items():
        page.locator(f'.lab-guide[data-scene="{name}"]').wait_for()
        wait_for_status(page, "ready")
        assert page.url.endswith(f"#scene={name}")
        assert in_sight(page) == {"secret", "sent"} & set(scene.shows)
        assert page.locator(".lab-cover").is_visible()
        assert scene.because not in told.inner_text()
        assert page.evaluate(OVERLAPS) == []
        page.get_by_role("button", name=scene.answers[scene.right], exact=True).click()
        page.locator(".lab-forward[data-ready]").wait_for()
        assert all(words in told.inner_text() for words in ("Right.", scene.sentence, scene.paper, scene.code, scene.lesson))
        assert in_sight(page) == set(scene.shows) - {"guess", "ending"}
        if scene.expected:
            assert page.locator(".lab-verdict").inner_text().startswith(scene.expected.value)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(OVERLAPS) == []
        assert page.get_by_role("button", name="Free play").count() == 1, "one way out, also where it is the next"
        page.locator(".lab-forward").click()
    told.wait_for(state="hidden")
    assert "chips" in in_sight(page)
    check(page)


def test_a_scene_has_a_link_and_the_keyboard_leads_through_the_story(visit):
    page = visit(query="#scene=eight_pictures")
    page.locator('.lab-guide[data-scene="eight_pictures"]').wait_for()
    page.wait_for_function("() => location.search.includes('batch_size=8')")
    page.get_by_role("button", name="Scene 2", exact=False).focus()
    page.keyboard.press("Enter")
    page.locator('.lab-guide[data-scene="gradient"]').wait_for()
    page.wait_for_function("() => location.search === ''")
    assert page.evaluate("document.activeElement.textContent").startswith("2 of 8")
    wait_for_status(page, "ready")
    assert faults_light_and_dark(page) == ""
    page.get_by_role("button", name="Free play").click()
    assert page.evaluate("document.activeElement.textContent") == "The story"
    assert "#" not in page.url
    check(page)
