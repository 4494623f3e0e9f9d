"""The page and lessons in JupyterLab and in Notebook 7, in a real browser.

Two lessons stand for the ten; ``GRADLAB_ALL_LESSONS=1`` opens all of them.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from lessons import LESSONS, quick, read
from visiting import free_port, stop

from notebooks.course.lesson import lessons
from notebooks.course.student import student

ROOT = Path(__file__).parent.parent
NOTEBOOK = "00-meet-the-lab.ipynb"
SLUGS = [path.stem for path in LESSONS]
CHOSEN = SLUGS if os.environ.get("GRADLAB_ALL_LESSONS") else ["02-one-layer-gives-it-away", "05-trained-deeper-smoother"]
PATIENCE_MS = 90_000

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a Jupyter server of our own on copies of the page and of lessons as students get them, few iterations.

    It has the settings that ``make setup`` gives the lab's own JupyterLab, the guard of its sockets among them.
    JupyterLab opens again what its workspace held: each test of it has a workspace of its own.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / NOTEBOOK).write_bytes((ROOT / "notebooks" / NOTEBOOK).read_bytes())
    for lesson in lessons():
        nbformat.write(quick(student(lesson)), folder / f"{lesson.slug}.ipynb")
    prefix = tmp_path_factory.mktemp("prefix")
    set_up = [sys.executable, str(ROOT / "binder" / "set_up_voila.py"), str(prefix)]
    subprocess.run(set_up, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    port = free_port()
    options = [
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.workspaces_dir={tmp_path_factory.mktemp('workspaces')}",
        f"--port={port}",
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=told",
    ]
    environment = os.environ | {"JUPYTER_CONFIG_PATH": f"{prefix}/etc/jupyter"}
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if re.search(r"is running at", line):
            break
    yield f"http://localhost:{port}"
    stop(process, signal.SIGTERM)


@pytest.fixture(autouse=True)
def no_kernel_stays(server):
    """One kernel at a time: each holds PyTorch."""
    yield
    for kernel in json.load(urllib.request.urlopen(f"{server}/api/kernels?token=told")):
        request = urllib.request.Request(f"{server}/api/kernels/{kernel['id']}?token=told", method="DELETE")
        urllib.request.urlopen(request).close()


def run_all_cells(page):
    """Run cells by the menu, once the notebook has its kernel: asked earlier, JupyterLab wants one chosen."""
    page.locator(".jp-KernelName", has_text="Python 3").first.wait_for()
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
    assert page.locator(".jp-Dialog").all_inner_texts() == []
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


@pytest.fixture
def page(browser):
    """A tall window, so that no cell is left out of sight."""
    page = browser.new_page(viewport={"width": 1400, "height": 10_000})
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


@pytest.mark.parametrize("place", ["lab/workspaces/{}/tree", "notebooks"], ids=["lab", "notebook"])
@pytest.mark.parametrize("slug", CHOSEN)
def test_a_students_lesson_runs_and_its_checks_answer(server, page, slug, place):
    page.goto(f"{server}/{place.format(slug)}/{slug}.ipynb?token=told")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    answers = page.locator(".jp-OutputArea-output").get_by_text("There is no answer yet")
    run_all_cells(page)
    answers.nth(1).wait_for()
    page.locator(".lab[data-ready]").wait_for()
    assert answers.count() == 2
    text = "".join(cell.source for cell in read(LESSONS[SLUGS.index(slug)]).cells if cell.cell_type == "markdown")
    assert page.locator("mjx-container").count() >= text.count("$") // 8
    assert page.locator('[data-mime-type="application/vnd.jupyter.stderr"], [data-mime-type*="error"]').count() == 0
    assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
