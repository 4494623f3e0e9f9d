"""What a lecture needs, in a real browser: side by side, projector, keys, meanings, the camera."""

import pytest
from accessibility import faults, faults_light_and_dark
from visiting import PHONE, keep_picture, primary, wait_for_frames, wait_for_status

from lab.options.catalogue import entries
from widgets.form.contrasts import MAX_SIDES

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOO_SMALL = """() => {
  const found = [], walker = document.createTreeWalker(document.querySelector('.lab'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !node.checkVisibility({ visibilityProperty: true }) || node.closest('.lab-unseen')) continue;
    const scale = node instanceof SVGTextElement ? node.getScreenCTM().a : node.currentCSSZoom;
    const size = parseFloat(getComputedStyle(node).fontSize) * scale;
    if (size < 23.5) found.push([text.slice(0, 30), size]);
  }
  return found;
}"""


def test_two_losses_run_side_by_side_on_one_clock(page):
    page.get_by_role("button", name="Compare two losses").click()
    card = page.locator(".lab-compare-card")
    page.locator('.lab-compare-card[data-status="finished"]').wait_for()
    sides = card.locator(".lab-side[data-verdict]")
    left, right = sides.all()
    assert "1st of 8" in left.inner_text()
    assert "1st of 8" not in right.inner_text()
    assert left.get_attribute("data-verdict") != "Not recognisable"
    assert right.get_attribute("data-verdict") == "Not recognisable"
    assert card.locator("mark").all_inner_texts() == ["cosine", "Euclidean"]
    chosen = [card.get_by_label(name).evaluate("box => box.selectedOptions[0].label") for name in ("Left", "Right")]
    assert chosen == ["cosine", "Euclidean"], "the form says what is compared"
    assert "iteration 200 of 200" in card.locator("output").inner_text()
    slider = card.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    shown = [image.get_attribute("aria-label") for image in sides.get_by_role("img").all()]
    assert len({label.partition("iteration ")[2].partition(":")[0] for label in shown}) == 1, (
        "both sides stand at one iteration"
    )
    assert faults_light_and_dark(page) == ""
    keep_picture(page, "page-compare")
    page.set_viewport_size(PHONE)
    one, other = left.bounding_box(), right.bounding_box()
    assert one["y"] == other["y"], "side by side on a phone, too"
    assert one["x"] + one["width"] < other["x"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    keep_picture(page, "page-compare-phone")
    page.set_viewport_size({"width": 1280, "height": 900})
    chip = page.locator('.lab-chips [data-key="losses"]')
    assert chip.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Close", exact=True).click()
    assert not card.is_visible()
    page.locator('.lab-chips [data-key="losses"][aria-pressed="false"]').wait_for()
    assert page.locator(".lab-note").inner_text() == ""


def test_a_sweep_shows_one_picture_for_each_value(page):
    page.get_by_role("button", name="Side by side").click()
    card = page.locator(".lab-compare-card")
    card.get_by_label("What differs").select_option("distance")
    losses = len(entries("distance"))
    some = f"The first {MAX_SIDES}" if losses > MAX_SIDES else f"All {losses}"
    assert card.get_by_role("button", name=some, exact=True).is_visible()
    card.get_by_label("What differs").select_option("iterations")
    card.get_by_role("button", name="All 5").click()
    card.locator("mark").nth(4).wait_for()
    page.wait_for_function("+document.querySelector('.lab-compare-card').dataset.moments > 3")
    assert card.locator("mark").all_inner_texts() == ["25", "50", "100", "200", "400"]
    page.get_by_role("button", name="Close", exact=True).click()
    primary(page).click()
    wait_for_frames(page, 2)


def test_the_doctor_turns_the_verdict_with_one_click(page):
    page.get_by_text("When attacks fail: causes and cures").click()
    page.get_by_role("button", name="As fast as it goes").click()
    page.get_by_role("button", name="Stopped too early").click()
    page.locator('.lab-case[data-mended="false"]:not([data-verdict=""])').wait_for()
    assert page.locator(".lab-case").get_attribute("data-verdict") != "Recognisable"
    assert faults_light_and_dark(page) == ""
    keep_picture(page, "page-doctor")
    page.get_by_role("button", name="Mend it: take 200 steps").click()  # offered once, under the verdict
    page.locator('.lab-case[data-mended="true"][data-verdict="Recognisable"]').wait_for()
    assert "After the change: recognisable." in page.locator(".lab-case").inner_text()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_role("button", name="Undo", exact=True).click()


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_projector_has_no_small_text(visit, width):
    page = visit(width, 1080, reduced_motion="reduce")
    wait_for_status(page, "ready")
    assert page.evaluate(TOO_SMALL) != []
    page.keyboard.press("b")
    assert page.evaluate(TOO_SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults_light_and_dark(page) == ""
    keep_picture(page, f"page-projector-{width}")


IN_VIEW = """(selector) => {
  const { top, bottom, left, right } = document.querySelector(selector).getBoundingClientRect();
  return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
}"""


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1366, 768), (1920, 1080)])
def test_the_projector_keeps_verdict_and_button_in_view(visit, width, height):
    page = visit(width, height, reduced_motion="reduce")
    wait_for_status(page, "ready")
    page.keyboard.press("b")
    assert page.evaluate(IN_VIEW, ".lab-server .lab-verdict")
    assert page.evaluate(IN_VIEW, "button.lab-primary")
    page.locator("button.lab-primary").click()
    wait_for_status(page, "finished")
    assert page.evaluate(IN_VIEW, ".lab-server .lab-verdict")
    page.locator(".lab-footer").scroll_into_view_if_needed()
    assert page.evaluate(IN_VIEW, "button.lab-primary")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_and_meanings_are_within_reach_of_a_keyboard(page):
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    assert "copy the link" in keys.inner_text()
    assert faults(page) == ""
    page.keyboard.press("Escape")
    asks = page.locator(".lab-ask:visible")
    assert asks.count() >= 3
    for ask in asks.all():
        ask.focus()
        page.keyboard.press("Enter")
        note = page.locator(".lab-meaning-note:popover-open")
        assert note.inner_text().endswith(".")
        box = note.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        page.keyboard.press("Escape")
        assert note.count() == 0


def test_the_camera_gives_a_square_picture_and_goes_out(visit):
    page = visit(permissions=["camera"])
    wait_for_status(page, "ready")
    assert "Do not upload other people's faces" in page.locator(".lab-ethics").inner_text()
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").wait_for()
    assert faults_light_and_dark(page) == ""
    keep_picture(page, "page-camera")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.lab-client canvas').getAttribute('aria-label').includes('inline')")
    assert page.locator("video").evaluate("video => video.srcObject") is None
    assert page.locator(".lab-share").get_by_text("leaves out the pictures").is_visible()


def test_without_a_camera_there_is_a_sentence(visit):
    page = visit()
    wait_for_status(page, "ready")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('none')); }")
    page.get_by_role("button", name="Camera").click()
    page.get_by_text("The camera cannot be used").wait_for()


def test_on_a_phone_nothing_new_needs_sideways_scroll(visit):
    page = visit(390, 844, has_touch=True, reduced_motion="reduce")
    wait_for_status(page, "ready")
    page.get_by_role("button", name="Compare two losses").click()
    page.locator('.lab-compare-card[data-status="finished"]').wait_for()
    page.get_by_role("button", name="QR code").click()
    page.get_by_role("img", name="QR code of this page's link").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    keep_picture(page, "phone-code")
    page.get_by_role("dialog", name="QR code").get_by_role("button", name="Close").click()
    for tab in ("Per-layer match", "History"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    keep_picture(page, "page-phone-new")
    for theme in ("Dark theme", "Light theme"):
        page.get_by_role("button", name=theme).click()
        assert faults(page) == ""
