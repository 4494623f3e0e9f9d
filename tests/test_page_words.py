"""How the page says numbers and times, for all of them."""

import math
import random

import pytest
from visiting import wait_for_status

from widgets.views.base import FOLDER

pytestmark = pytest.mark.browser
SIZES = [
    0.0,
    *(sign * mantissa * 10.0**exponent for sign in (1, -1) for mantissa in (1, 4.99, 5, 9.96) for exponent in range(-12, 7)),
]


@pytest.fixture(scope="module")
def say(browser):
    """Calls a helper of all views for many values."""
    page = browser.new_page()
    common = (FOLDER / "common.js").read_text(encoding="utf-8")
    yield lambda call, values: page.evaluate(f"(values) => {{ {common}; return values.map((value) => {call}); }}", values)
    page.close()


@pytest.mark.parametrize("digits", [0, 1, 2, 3, 4, 5])
def test_zeros_alone_are_said_of_zero_alone(say, digits):
    for value, text in zip(SIZES, say(f"short(value, {digits})", SIZES), strict=True):
        assert (not set(text) - set("0.−")) == (value == 0), f"{value} is said to be {text}"
        assert text.startswith("−") == (value < 0)


def test_a_time_is_said_in_words_that_are_near_it(say):
    draws = random.Random(0)
    seconds = [0.0, *(10 ** draws.uniform(-6, 5) for _ in range(300))]
    units = {"s": 1, "min": 60, "h": 3600}
    for value, text in zip(seconds, say("lasting(value)", seconds), strict=True):
        assert "·" not in text
        if text.startswith("under"):
            assert value < 0.01
            continue
        number, unit = text.split()
        assert len(number) <= 4
        assert math.isclose(float(number) * units[unit], value, rel_tol=0.34, abs_tol=0.005)


def test_what_is_no_number_is_a_dash(say):
    assert set(say("lasting(value)", [None]) + say("short(value)", [None])) == {"–"}


HELD = """
window.held = [];
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  addEventListener(kind, listener) {
    super.addEventListener(kind, kind !== "message" ? listener : (event) => {
      const text = new TextDecoder().decode(event.data);
      if (!text.includes('"type": "frame"') && !text.includes('"type":"frame"')) listener(event);
    });
  }
};
"""


def test_nothing_asks_for_an_attack_while_one_runs(browser, address):
    """Its frames are held back on the way, so that the page is seen as it is before the first."""
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.add_init_script(HELD)
    page.goto(address + "?seed=3")
    wait_for_status(page, "ready")
    assert "Press Attack it live" in page.locator(".lab-server").inner_text()
    page.locator("button.lab-primary").click()
    wait_for_status(page, "running")
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert "press attack" not in page.locator(".lab-page").inner_text().lower(), tab.inner_text()
    context.close()
