"""Whoever draws sees the server follow, and a friend gets the drawing as a covered secret."""

from urllib.parse import urlsplit

import pytest
from visiting import PHONE, Visitor, is_heard, primary, wait_for_frames, wait_for_status

from lab.client.datasets.drawing import SIDE

pytestmark = pytest.mark.browser
FOLLOWED = '.lab-server[data-sketched="true"]'
SAME = """
() => {
  const bytes = (name) => document.querySelector(name).getContext("2d").getImageData(0, 0, 32, 32).data;
  const [drawn, read] = [bytes(".lab-paper"), bytes(".lab-server .lab-picture")];
  const isRead = document.querySelector(".lab-server .lab-picture").width === 32;
  return isRead && drawn.every((value, index) => Math.abs(value - read[index]) <= 1);
}
"""


def draw(page, *corners):
    """A stroke from corner to corner, in cells."""
    box = page.locator(".lab-paper").bounding_box()
    places = [(box["x"] + box["width"] * column / SIDE, box["y"] + box["height"] * row / SIDE) for column, row in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def open_pad(page):
    page.locator(".lab-draw:not([disabled])").click()
    page.locator(".lab-paper").wait_for()


def test_four_clicks_lead_from_arrival_to_a_drawing_that_was_read_and_a_friend_gets_it_covered(browser, address):
    visitor = Visitor(browser, address)
    page = visitor.open()
    open_pad(page)  # one
    draw(page, (6, 6), (25, 6), (25, 25), (6, 25), (6, 6))  # two: a stroke
    page.locator(FOLLOWED).wait_for()
    page.wait_for_function(SAME)
    page.get_by_role("button", name="Attack my drawing").click()  # three
    wait_for_frames(page, 2)
    wait_for_status(page, "finished")
    page.locator(".lab-verdict", has_text="Recognisable").wait_for()
    assert not page.locator(".lab-paper").is_visible()
    link = page.url
    assert "dataset=drawing:code=" in link
    page.get_by_role("button", name="Send it as a secret").wait_for()

    friend = visitor.open(PHONE["width"], PHONE["height"], query=f"?{urlsplit(link).query}")
    wait_for_status(friend, "ready")
    assert friend.locator(".lab-client canvas").first.get_attribute("aria-label") == "The private picture, hidden."
    assert friend.locator(".lab-cover").is_visible()
    assert friend.locator("input[data-chosen]:checked").count() == 0
    assert friend.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    primary(friend).click()
    wait_for_status(friend, "finished")
    friend.locator(".lab-verdict", has_text="Recognisable").wait_for()
    visitor.leave()


def test_the_pad_works_by_keyboard_takes_back_and_stamps_letters(page):
    open_pad(page)
    assert page.evaluate("document.activeElement.classList.contains('lab-paper')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    page.keyboard.press("Control+z")
    page.keyboard.press("Enter")
    page.wait_for_function(SAME)
    ink = "() => document.querySelector('.lab-paper').getContext('2d').getImageData(17, 16, 1, 1).data[0] < 60"
    assert page.evaluate(ink), "the pen was at the middle, one cell to the right"
    page.keyboard.press("Control+z")
    assert not page.evaluate(ink)
    assert page.get_by_role("button", name="Attack my drawing").is_disabled(), "an empty paper is no secret"
    page.get_by_role("textbox", name="Letters or emoji to stamp").fill("R2")
    page.keyboard.press("Enter")
    page.wait_for_function(SAME)
    assert page.locator(".lab-transport").get_attribute("data-status") == "ready", "no key of the pad has started anything"
    page.locator(".lab-pad").get_by_role("button", name="Close").click()
    page.locator(FOLLOWED).wait_for(state="detached")
    is_heard(page)


COVERED = """
() => [...document.querySelectorAll(".lab button:not(:disabled), .lab input, .lab summary")].filter((node) => {
  if (!node.checkVisibility()) return false;
  node.scrollIntoView({ block: "center" });
  const { left, top, width, height } = node.getBoundingClientRect();
  const hit = document.elementFromPoint(left + width / 2, top + height / 2);
  return hit?.classList.contains("lab-arrow");
}).map((node) => node.getAttribute("aria-label") ?? node.textContent)
"""


PICTURE_IS_SEEN = """
() => {
  const { left, top, width, bottom } = document.querySelector(".lab-server .lab-frame").getBoundingClientRect();
  const seen = (y) => document.elementFromPoint(left + width / 2, y)?.closest(".lab-server");
  return Boolean(seen(top + 2) && seen(bottom - 2));
}
"""


def test_no_arrow_between_the_cards_of_a_phone_lies_over_what_is_tapped(visit):
    page = visit(**PHONE)
    open_pad(page)
    draw(page, (6, 6), (25, 25))
    page.locator(FOLLOWED).wait_for()
    assert page.evaluate(COVERED) == []
    page.get_by_role("button", name="Attack my drawing").click()
    wait_for_frames(page, 1)
    page.wait_for_function(PICTURE_IS_SEEN)


NOTHING_OF_A_RUN = """
() => {
  const drawn = document.querySelector(".lab-sent").hasAttribute("data-drawn");
  const guesses = [...document.querySelectorAll(".lab-loop .lab-guess-strip")].filter((strip) => !strip.hidden);
  const lines = [...document.querySelectorAll(".lab-curve .lab-line")].filter((line) => line.getAttribute("d"));
  return drawn && guesses.length + lines.length === 0 && document.querySelector(".lab-readout").hidden;
}
"""
FIRST_STRIP = """
() => [...document.querySelector(".lab-loop .lab-sent-strip").children].map((cell) => cell.style.opacity).join()
"""


def test_while_one_draws_no_view_shows_an_earlier_run_and_what_is_sent_follows_the_pen(page):
    primary(page).click()
    wait_for_status(page, "finished")
    open_pad(page)
    draw(page, (6, 6), (25, 6))
    page.wait_for_function(NOTHING_OF_A_RUN)
    before = page.evaluate(FIRST_STRIP)
    draw(page, (3, 20), (28, 28))
    page.wait_for_function(f"before => ({FIRST_STRIP})() !== before", arg=before)
    page.locator(".lab-pad").get_by_role("button", name="Close").click()
    page.wait_for_function("() => +document.querySelector('.lab-curve').dataset.points > 0")
    assert page.locator(".lab-sent[data-drawn]").count() == 0
    is_heard(page)
