"""The slides: nbconvert makes one file of them that asks nothing of the network, and keys turn them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from accessibility import faults

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks" / "teachers" / "slides"
COUNT = 10

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """The command of the Makefile."""
    recipe = (ROOT / "Makefile").read_text().split("slides: setup\n\t")[1].split("\n\n")[0].replace("\\\n", "").split()[1:]
    folder = tmp_path_factory.mktemp("deck")
    command = [sys.executable, "-m", "jupyter", *recipe]
    command[command.index("course")] = str(folder)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder / "slides.slides.html"


def test_one_file_holds_everything(deck):
    text = deck.read_text(encoding="utf-8")
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?!data:)", text)
    assert "data:image/webp;base64," in text


@pytest.mark.browser
def test_keys_turn_the_slides(deck, browser):
    asked = []
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.on("request", lambda request: asked.append(request.url))
    page.goto(deck.as_uri())
    place = page.get_by_role("navigation").get_by_role("status")
    for number in range(1, COUNT + 1):
        assert place.inner_text() == f"{number} of {COUNT}"
        assert page.locator(".deck > section:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollHeight") <= 720
        page.keyboard.press("ArrowRight")
    assert faults(page) == ""
    page.get_by_role("button", name="Back").click()
    assert place.inner_text() == f"{COUNT - 1} of {COUNT}"
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
