"""On a phone the page reads in the story's order, and what a tap sets off is in view."""

import pytest
from visiting import PHONE, primary, wait_for_frames, wait_for_status

pytestmark = pytest.mark.browser
TOPS = """
() => ["secret", "sent", "server", "transport", "curve", "controls"].map((part) => {
  const { top } = document.querySelector(`.lab-slot-${part}`).getBoundingClientRect();
  return top + scrollY;
})
"""
IN_VIEW = """
(name) => {
  const { top, bottom } = document.querySelector(name).getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}
"""
CENTRED = "(name) => document.querySelector(name).scrollIntoView({ block: 'start' })"


@pytest.mark.parametrize("width", [320, 390, 820])
def test_the_cards_stand_in_the_order_of_the_story_and_the_player_is_always_in_reach(visit, width):
    page = visit(width, 844)
    wait_for_status(page, "ready")
    page.evaluate("() => scrollTo(0, document.body.scrollHeight)")  # where nothing floats, all stand in their places
    tops = page.evaluate(TOPS)
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("() => scrollTo(0, 0)")
    if width <= PHONE["width"]:
        assert page.evaluate(IN_VIEW, "button.lab-primary")
        assert page.evaluate(IN_VIEW, ".lab-scrub")
        assert page.evaluate(IN_VIEW, ".lab-loop")
        primary(page).click()
        wait_for_frames(page, 1)
