"""The duel in a browser: a shield is put on, its price is told, and each run leaves a dot that leads back to it."""

import pytest
from accessibility import faults_light_and_dark
from visiting import is_heard, keep_picture, wait_for_status

from lab.client.defences.pruning import Pruning
from lab.duel.prices import price_of
from lab.options.words import percent

pytestmark = pytest.mark.browser
OUT = "() => document.documentElement.scrollWidth - innerWidth"


@pytest.mark.parametrize("width", [390, 1366, 2560])
def test_a_shield_has_its_price_and_each_run_leaves_a_dot(visit, width):
    page = visit(width, 850, reduced_motion="reduce")
    wait_for_status(page, "ready")
    page.get_by_role("button", name="As fast as it goes").click()
    is_heard(page)
    page.get_by_role("button", name="As fast as it goes").click()
    card, plane = page.locator(".lab-shield"), page.locator(".lab-plane")
    assert not page.get_by_role("group", name="Attacker").is_visible()
    assert plane.get_attribute("open") is None
    card.get_by_role("combobox", name="Shield of the phone").select_option("pruning")
    dots = plane.get_by_role("button", name="Show it again")
    dots.first.wait_for()

    dial = card.get_by_role("slider", name="Strength of the shield")
    assert dial.get_attribute("aria-valuetext") == "3 of 5: strength 0.9"
    dial.press("ArrowRight")
    price = percent(price_of(Pruning.strengths()[3]).accuracy)
    card.get_by_text(f"→ {price}").wait_for()
    plane.get_by_role("button", name="strength 0.99").wait_for()
    wait_for_status(page, "finished")

    page.get_by_role("group", name="Attacker").get_by_role("button", name="naive").press("Enter")
    plane.get_by_role("button", name="a naive attacker").wait_for()
    assert dots.count() == 3
    assert page.evaluate(OUT) <= 0
    assert faults_light_and_dark(page) == ""
    keep_picture(page, f"page-plane-{width}")

    dots.first.press("Enter")
    page.locator('.lab-server[data-source="kept"]').wait_for()
    card.get_by_text("strength 0.9", exact=True).wait_for()
    assert (
        page.get_by_role("group", name="Attacker").get_by_role("button", name="knows").get_attribute("aria-pressed") == "true"
    )


def test_what_a_shield_promises_is_folded_and_whole(visit):
    page = visit(1366, 850, reduced_motion="reduce")
    wait_for_status(page, "ready")
    client = page.locator(".lab-client")
    before = client.bounding_box()["height"]
    page.get_by_role("combobox", name="Shield of the phone").select_option("dp_sgd")
    summary = page.locator(".lab-notes summary")
    summary.wait_for()
    assert not page.get_by_text("Opacus' RDP accountant").is_visible()
    assert client.bounding_box()["height"] <= before + 120
    summary.click()
    assert page.get_by_text("Opacus' RDP accountant").is_visible()
    promises = page.locator(".lab-shield details")
    promises.locator("summary").press("Enter")
    assert "epsilon" in promises.inner_text()


NATURAL = """(list) => {
  const room = list.clientWidth;
  list.style.flex = "none";
  const wanted = list.clientWidth;
  list.style.flex = "";
  return [wanted, room];
}"""


def test_every_shield_is_read_whole_and_a_teacher_takes_the_attacker_away(visit):
    page = visit(1280, 850, query="?defence=gaussian_noise&hide=attack.reading")
    wait_for_status(page, "ready")
    card = page.locator(".lab-shield")
    assert card.get_by_role("slider", name="Strength of the shield").is_visible()
    wanted, room = card.get_by_role("combobox", name="Shield of the phone").evaluate(NATURAL)
    assert 0 < wanted <= room
    assert not page.get_by_role("group", name="Attacker").is_visible()
    keep_picture(page, "page-shield-1280")
