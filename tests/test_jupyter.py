"""The page and a lesson in JupyterLab and in Notebook 7, in a real browser."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from visiting import free_port, stop

from notebooks.course.lesson import lessons
from notebooks.course.student import student

ROOT = Path(__file__).parent.parent
NOTEBOOK = "00-meet-the-lab.ipynb"
LESSON = "02-one-layer-gives-it-away"
PATIENCE_MS = 90_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a Jupyter server of our own on copies of the page and of a lesson as students get it.

    JupyterLab opens again what its workspace held: each test of it has a workspace of its own.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / NOTEBOOK).write_bytes((ROOT / "notebooks" / NOTEBOOK).read_bytes())
    chosen = next(lesson for lesson in lessons() if lesson.slug == LESSON)
    nbformat.write(student(chosen), folder / f"{LESSON}.ipynb")
    port = free_port()
    options = [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.workspaces_dir={tmp_path_factory.mktemp('workspaces')}",
        f"--port={port}",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=told",
    ]
    process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if re.search(r"is running at", line):
            break
    yield f"http://localhost:{port}"
    for kernel in json.load(urllib.request.urlopen(f"http://localhost:{port}/api/kernels?token=told")):
        request = urllib.request.Request(f"http://localhost:{port}/api/kernels/{kernel['id']}?token=told", method="DELETE")
        urllib.request.urlopen(request).close()
    stop(process, signal.SIGTERM)


def run_all_cells(page):
    """Run cells by the menu, once the kernel is there."""
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    assert page.locator(".jp-Dialog").all_inner_texts() == []
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.fixture
def page(browser):
    """A tall window, so that no cell is left out of sight."""
    page = browser.new_page(viewport={"width": 1400, "height": 6000})
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


@pytest.mark.parametrize("place", ["lab/workspaces/page/tree", "notebooks"])
def test_the_page_opens_and_attacks(server, page, place):
    page.goto(f"{server}/{place}/{NOTEBOOK}?token=told")
    run_all_cells(page)
    page.locator(".lab[data-ready]").wait_for()
    page.locator('.lab-transport[data-status="ready"]').wait_for()
    page.locator("button.lab-primary").click()
    page.locator('.lab-transport[data-status="finished"]').wait_for()
    assert "Recognisable" in page.locator(".lab-server").inner_text()


@pytest.mark.parametrize("place", ["lab/workspaces/lesson/tree", "notebooks"])
def test_a_students_lesson_runs_and_its_checks_answer(server, page, place):
    page.goto(f"{server}/{place}/{LESSON}.ipynb?token=told")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    answers = page.locator(".jp-OutputArea-output").get_by_text("There is no answer yet")
    run_all_cells(page)
    answers.nth(1).wait_for()
    page.locator(".lab[data-ready]").wait_for()
    assert answers.count() == 2
    assert page.locator("mjx-container").count() > 10
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
