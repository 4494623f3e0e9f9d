"""What a visitor takes away or comes with, in a real browser: links, files, past runs."""

import io
import json

import pytest
from accessibility import faults
from PIL import Image
from visiting import counters, keep_picture, primary, wait_for_frames, wait_for_status

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ANSWERED = ("ready", "running", "finished")
"""A change is attacked a moment after it was made."""


def finished_run(page):
    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_status(page, "running")
    wait_for_status(page, "finished")
    return counters(page)


def saved(page, name):
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return download.value.path().read_bytes()


def test_a_link_restores_the_experiment_in_a_fresh_browser(visit):
    first = visit()
    wait_for_status(first, "ready")
    first.get_by_role("radio", name="LeNet").check()
    first.wait_for_function("location.search.includes('network=lenet')")
    wait_for_status(first, *ANSWERED)
    first.get_by_role("radio", name="Euclidean", exact=True).check()
    first.wait_for_function("location.search.includes('euclidean')")
    query = first.evaluate("location.search")
    sent = first.locator(".lab-wall").text_content()
    assert len(query) <= 300
    second = visit(query=f"{query}&hide=seed,chips&sede=3")
    second.locator(".lab-message").filter(has_text="Did you mean 'seed'").wait_for()
    assert second.get_by_role("radio", name="Euclidean", exact=True).is_checked()
    assert second.locator(".lab-wall").text_content() == sent
    assert second.locator('[data-control="seed"]').count() == 0
    assert not second.locator(".lab-chips").is_visible()
    assert second.evaluate("location.search") == f"{query}&hide=seed,chips"
    assert second.locator(".lab-server").get_attribute("data-source") == "live", "no recording of another experiment"
    keep_picture(second, "page-link")


def test_the_link_is_copied_and_drawn_for_a_phones_camera(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    wait_for_status(page, "ready")
    page.get_by_text("For a lesson: hide controls").click()
    page.get_by_role("checkbox", name="Network").check()
    page.wait_for_function("location.search === '?hide=network'")
    assert page.locator('[data-control="network"]').count() == 0
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("The link is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.get_by_role("button", name="QR code").click()
    code = page.get_by_role("img", name="QR code of this page's link")
    code.wait_for()
    box, window = code.bounding_box(), page.viewport_size
    assert min(box["x"], box["y"]) >= 0
    assert box["y"] + box["height"] <= window["height"]
    assert box["height"] > window["height"] / 2, "the last row's cameras read it"
    keep_picture(page, "page-code")
    assert faults(page) == ""
    page.keyboard.press("Escape")
    code.wait_for(state="hidden")


def test_files_are_saved_and_a_run_comes_back_from_its_file(page, tmp_path):
    shown = finished_run(page)
    assert Image.open(io.BytesIO(saved(page, "Picture (PNG)"))).width > 700
    assert Image.open(io.BytesIO(saved(page, "Replay (GIF)"))).n_frames > 2
    data = saved(page, "Run (JSON)")
    assert json.loads(data)["frames"][-1]["iteration"] == shown["iteration"]
    (tmp_path / "run.json").write_bytes(data)
    (tmp_path / "bad.json").write_text("no run")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function("document.querySelector('.lab-server').dataset.frames === '0'")
    page.locator(".lab-run-file").set_input_files(tmp_path / "bad.json")
    page.get_by_text("This is no run of the lab: it is not JSON").wait_for()
    page.locator(".lab-run-file").set_input_files(tmp_path / "run.json")
    wait_for_status(page, "finished")
    wait_for_frames(page, 2)
    assert counters(page)["iteration"] == shown["iteration"]
    assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")


def test_a_past_run_is_chosen_from_the_strip(page):
    finished_run(page)
    page.get_by_role("radio", name="MLP").check()
    page.wait_for_function("document.querySelector('.lab-sent').innerText.includes('fc 1')")
    wait_for_status(page, *ANSWERED)
    page.get_by_role("tab", name="History").click()
    past = page.locator(".lab-past")
    past.filter(has_text="the default experiment").first.focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "finished")
    wait_for_frames(page, 2)
    assert page.get_by_role("radio", name="small ConvNet").is_checked()
    assert page.locator(".lab-verdict").inner_text().startswith("Recognisable")
    assert faults(page) == ""
    keep_picture(page, "page-history")
