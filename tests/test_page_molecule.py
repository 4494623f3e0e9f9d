"""Whoever draws a molecule sees the server follow it, by pointer or by keys, and gets a link to it; a twin stands beside."""

from urllib.parse import urlsplit

import pytest
from visiting import PHONE, wait_for_status

pytestmark = pytest.mark.browser
FOLLOWED = '.lab-server[data-sketched="true"]'


def said(page):
    return page.locator(".lab-molecule-said").inner_text()


def read_as(page, told):
    """Wait until the server reads this of what is being drawn."""
    page.locator(f'{FOLLOWED} canvas[aria-label*="{told}"]').wait_for()


def test_a_molecule_is_drawn_by_finger_and_by_keys_followed_and_attacked(visit):
    page = visit(**PHONE, query="?network=gcn&hide=share", has_touch=True)
    wait_for_status(page, "ready")
    page.get_by_role("button", name="Draw your own").tap()
    paper = page.locator(".lab-molecule")
    assert page.evaluate("document.activeElement.classList.contains('lab-molecule')")
    box = paper.bounding_box()

    def tap(x, y):
        page.touchscreen.tap(box["x"] + box["width"] * x, box["y"] + box["height"] * y)

    tap(0.3, 0.5)
    tap(0.5, 0.5)
    assert said(page) == "C, atom 2 of 2 added, bound to C, atom 1."
    read_as(page, "2 C, 1 bond")
    page.keyboard.press("o")
    for _ in range(3):
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+z")
    assert "Taken back" in said(page)
    page.keyboard.press("Control+z")
    read_as(page, "2 C, 1 O, 2 bonds")
    page.keyboard.press("b")
    assert "choose the other atom and press B" in said(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("b")
    page.keyboard.press("Delete")
    assert "removed" in said(page)
    page.get_by_role("button", name="Clear").tap()
    tap(0.5, 0.5)
    for _ in range(4):
        page.keyboard.press("Enter")
        tap(0.5, 0.5)  # choose the middle one again
    page.keyboard.press("Enter")
    assert said(page) == "An atom takes at most 4 bonds; remove one, or bind another atom."
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator(".lab-transport").get_attribute("data-status") == "ready", "no key has started anything"
    read_as(page, "5 O, 4 bonds")
    page.get_by_role("button", name="Attack my molecule").tap()
    wait_for_status(page, "finished")
    page.locator(".lab-verdict", has_text="Recognisable").wait_for()
    assert "dataset=molecule:line=O(O)(O)(O)O" in urlsplit(page.url).query


def test_the_other_graph_with_the_same_gradient_stands_beside_the_answer(visit):
    """Decalin, whose gradient is bicyclopentyl's, too."""
    page = visit(query="?network=gcn&dataset=molecule:line=C1CCC2CCCCC2C1")
    wait_for_status(page, "ready")
    page.get_by_role("button", name="As fast as it goes").click()
    page.locator("button.lab-primary").click()
    wait_for_status(page, "finished")
    server = page.locator(".lab-server")
    assert "another graph with the same gradient" in server.inner_text()
    assert server.locator("canvas").get_attribute("aria-label").count("10 C, 11 bonds") == 2
    assert "Read off, neighbourhood by neighbourhood" in page.locator(".lab-readings").inner_text()
    canvas = server.locator("canvas")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    page.get_by_role("button", name="Dark theme").click()
    page.wait_for_function("before => document.querySelector('.lab-server canvas').toDataURL() !== before", arg=before)
