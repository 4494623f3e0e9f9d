"""Open an update, in a real browser: a file that lab.capture wrote where a client trains, attacked on the page."""

import json
import re
import struct

import pytest
import torch
from accessibility import faults
from test_imported_update import Foreign
from torch.nn import functional
from visiting import keep_picture, primary, wait_for_status

from lab.capture import FORMAT, capturing
from lab.client.datasets.gallery import Gallery
from lab.randomness import stream

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def update(tmp_path_factory):
    """What a client sent that never heard of the lab: Flower's net under its own names, one picture, one step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Foreign()
    batch = Gallery().load(1, 32, stream(0, "data"))
    path = tmp_path_factory.mktemp("client") / "round-1-client-0.safetensors"
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    with capturing(model, path, mean=0.5, std=0.5):
        functional.cross_entropy(model((batch.images - 0.5) / 0.5), batch.labels).backward()
        optimiser.step()
    return path


@pytest.mark.parametrize("width", [1366, 390])
def test_an_update_is_opened_attacked_and_taken_away(visit, update, width, tmp_path):
    page = visit(width=width, height=768 if width > 400 else 844)
    wait_for_status(page, "ready")
    if width < 400:
        page.locator("summary").filter(has_text="Change the experiment").click()
    chooser = page.get_by_label("An update that a client sent")
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 40 * 2**30]}
    header = json.dumps({"__metadata__": {"format": FORMAT, "recipe": "{}"}, "weights/a": entry}).encode()
    chooser.set_input_files({"name": "x", "mimeType": "", "buffer": struct.pack("<Q", len(header)) + header})
    page.locator(".lab-error").filter(has_text="declares 40.0 GiB").wait_for()
    assert page.locator(".lab-client").get_by_text("Unknown").count() == 0

    chooser.set_input_files(update)
    page.locator(".lab-client").get_by_text("Unknown", exact=True).wait_for(state="attached")  # a phone has but its lock
    wait_for_status(page, "ready")
    assert page.get_by_role("radio", name="Flower's net").is_checked()
    for gone in ("Reveal it", "Try a trained network"):
        assert not page.get_by_role("button", name=gone).is_visible()
    doctor = page.locator(".lab-findings")
    doctor.get_by_text("It looks like 1 picture.").wait_for()
    assert faults(page) == ""
    keep_picture(page, f"page-update-{width}")

    page.get_by_role("button", name="As fast as it goes").click()
    primary(page).click()
    wait_for_status(page, "finished")
    page.locator(".lab-verdict").get_by_text(re.compile("^Explains it")).wait_for()
    assert page.get_by_text("PSNR", exact=True).filter(visible=True).count() == 0
    page.get_by_role("tab", name="Numbers").click()
    page.get_by_role("rowheader", name="Residual").wait_for()
    assert page.get_by_role("rowheader", name="Line-up").count() == 0
    for tab in ("Algebra", "Difference", "Per-layer match", "History"):
        page.get_by_role("tab", name=tab).click()
    assert "keep them" in page.locator(".lab-share").text_content()
    assert len(page.evaluate("location.search")) <= 300
    with page.expect_download() as download:
        page.get_by_role("button", name="Run (JSON)").click()
    download.value.save_as(tmp_path / "run.json")
    keep_picture(page, f"page-update-end-{width}")

    page.get_by_role("button", name="Undo", exact=True).click()
    page.locator('.lab-client:not(:has-text("Unknown"))').wait_for()
    wait_for_status(page, "ready", "running", "finished")  # what the step back has brought is attacked a moment later
    page.get_by_label("Open a run").set_input_files(tmp_path / "run.json")
    page.locator(".lab-verdict").get_by_text(re.compile("^Explains it")).wait_for()
