"""Whatever is clicked in whatever order: form, address and session say the same, nothing is stuck, and no secret is told."""

import os

import pytest
from random_clicks import WIDTHS, walk

pytestmark = pytest.mark.browser
PATHS = int(os.environ.get("CLICK_PATHS", "1"))
"""A short one for each width takes a quarter of a minute; thirty long ones are run by hand, or by ``tests.random_clicks``."""


@pytest.mark.parametrize("seed", range(PATHS))
@pytest.mark.parametrize("width", WIDTHS)
def test_any_path_of_clicks_leaves_the_page_in_order(browser, address, width, seed):
    walk(browser, address, width, seed=seed, clicks=5 if PATHS == 1 else 15)
