"""What a page in trouble must still do."""

from visiting import primary, wait_for_frames, wait_for_status


def run(page):
    """One whole run, as fast as it goes."""
    wait_for_status(page, "ready")
    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_frames(page, 3)
    wait_for_status(page, "finished")


def trouble(page, kind):
    """Until the page says that this is wrong; "" is nothing."""
    page.locator(f'.lab-transport[data-trouble="{kind}"]').wait_for()


def check_that_nothing_seen_is_lost(page):
    """The run can be wound back and forth without an engine."""
    frames = page.locator(".lab-server").get_attribute("data-frames")
    scrub = page.get_by_role("slider", name="Iteration shown")
    scrub.evaluate("node => { node.value = 0; node.dispatchEvent(new Event('input')); }")
    first = page.locator(".lab-server").get_attribute("data-iteration")
    scrub.evaluate("node => { node.value = node.max; node.dispatchEvent(new Event('input')); }")
    assert page.locator(".lab-server").get_attribute("data-iteration") != first
    assert page.locator(".lab-server").get_attribute("data-frames") == frames


def check_that_a_reload_goes_on(page):
    """The button is there, and leads to the same experiment with another engine."""
    page.get_by_role("button", name="Reload", exact=True).click()
    page.locator(".lab[data-ready]").wait_for()
    wait_for_status(page, "ready", "finished")
    assert "seed=3" in page.url
