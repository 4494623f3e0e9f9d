"""Every lesson as a page to read: under Voila, in a real browser, light and dark, wide and on a phone."""

import shutil

import nbformat
import pytest
from accessibility import faults
from lessons import LESSONS, quick, read
from visiting import PHONE, ROOT, Visitor, keep_picture, primary, serving, wait_for_status

PATIENCE_MS = 120_000
FULL_PAGE = "00-meet-the-lab.ipynb"
LAUNCH = (
    "import sys, pathlib, widgets.serving.serve as s; "
    "s.NOTEBOOKS = pathlib.Path(sys.argv[1]); s.serve(int(sys.argv[2]), False, True)"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The lab's own server with the lessons, their parameters cut down to few iterations."""
    folder = tmp_path_factory.mktemp("lessons")
    for path in LESSONS:
        nbformat.write(quick(read(path)), folder / path.name)
    shutil.copy(ROOT / "notebooks" / FULL_PAGE, folder)
    with serving("-c", LAUNCH, str(folder)) as address:
        yield address


@pytest.fixture
def page(browser, address):
    """A reader's page that has to stay without errors and without a request to another host."""
    visitor = Visitor(browser, address)
    page = visitor.enter(reduced_motion="reduce", color_scheme="light")
    page.set_default_timeout(PATIENCE_MS)
    yield page
    visitor.leave()


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_a_page_for_everybody(page, address, path):
    page.goto(f"{address}voila/render/{path.name}")
    page.locator(".lab[data-ready]").wait_for()
    page.wait_for_function("document.querySelector('[data-loading]').textContent === ''")
    assert page.get_by_role("heading", level=1).first.inner_text().startswith(f"{int(path.name[:2])} · ")
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"], .jp-RenderedText:has-text("Error")').count() == 0
    assert page.locator("mjx-math:visible").count() == 0
    keep_picture(page, f"lesson-{path.name[:2]}-light")
    assert faults(page) == ""
    page.get_by_role("button", name="Dark theme").first.click()
    assert page.evaluate("document.body.dataset.labTheme") == "dark"
    assert faults(page) == ""
    page.set_viewport_size(PHONE)
    page.wait_for_function(f"document.documentElement.scrollWidth <= {PHONE['width']}")
    assert faults(page) == ""
    keep_picture(page, f"lesson-{path.name[:2]}-phone-dark")


def test_the_contents_lead_to_the_full_page_and_it_leads_back(page, address):
    page.goto(address)
    assert page.locator("main li a").count() == len(LESSONS)
    assert faults(page) == ""
    page.get_by_role("button", name="Dark theme").click()
    assert faults(page) == ""
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("link", name="The full page").click()
    page.locator(".lab[data-ready]").wait_for()
    assert page.locator(".skeleton").count() == 0, "the page's own template, not that of a lesson"
    page.get_by_role("link", name="Lessons").click()
    page.get_by_role("link", name="Fight back").wait_for()


def test_the_live_part_of_lesson_4_bears_out_its_prose(page, address):
    """By direction the trained network gives the horse away, by length it does not: no head start does the work."""
    page.goto(f"{address}voila/render/04-direction-or-length.ipynb")
    page.locator(".lab[data-ready]").wait_for()
    page.get_by_role("button", name="As fast as it goes").click()
    for cost, verdict in (("cosine", "Recognisable"), ("Euclidean", "Not recognisable")):
        page.get_by_role("radio", name=cost, exact=True).check()
        wait_for_status(page, "ready")
        primary(page).click()
        wait_for_status(page, "running")
        wait_for_status(page, "finished")
        assert page.locator(".lab-server .lab-verdict").inner_text().startswith(verdict)
