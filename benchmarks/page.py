"""``python -m benchmarks.page``: how the live page keeps its budgets, in a real browser.

* Start visible: from the request until the primary button is drawn, with a preheated kernel and, for the
  visitor who comes right after, without one (cold);
* frames drawn a second and the longest gap, counted in the browser while the default run is shown at its pace;
* Pause visible: from the click until the button says Resume;
* iterations a second lost to the page: the same run as fast as it goes, with the page and in this process
  without one, by turns;
* memory of the visitor's kernel, idle and after the run (Linux's accounting: RSS, and USS, its own share).
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.crowd import served
from lab.experiments.experiment import Experiment
from lab.experiments.rounds import reconstruct, simulate_round
from tests import chromium

TURNS = 5
MEBIBYTE = 2**20
COUNT_FRAMES = """() => {
  const server = document.querySelector('.lab-server');
  const drawnAt = window.drawnAt = [];  // a later run starts a list of its own, and this watch ends
  let before = server.dataset.drawn;
  const look = () => {
    if (server.dataset.drawn !== before) { before = server.dataset.drawn; drawnAt.push(performance.now()); }
    if (window.drawnAt === drawnAt) requestAnimationFrame(look);
  };
  look();
}"""


def open_page(browser: Browser, address: str) -> tuple[Page, float]:
    """A page of its own and the seconds until Start was visible."""
    page = browser.new_context(bypass_csp=True).new_page()  # its measures are read by scripts of our own
    page.set_default_timeout(90_000)
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("button.lab-primary").wait_for()
    return page, time.perf_counter() - began


def starts(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds until Start with a preheated kernel, and for the visitor right behind, whose kernel is cold."""
    time.sleep(12)  # until the pool holds a kernel that has run the notebook
    first, preheated = open_page(browser, address)
    second, cold = open_page(browser, address)
    for page in (first, second):
        leave(page)
    return preheated, cold


def leave(page: Page) -> None:
    """Close the page's kernel, then the page."""
    page.goto("about:blank")
    page.context.close()


def wait(page: Page, *statuses: str) -> None:
    """Until the transport shows one of these states."""
    page.locator(", ".join(f'.lab-transport[data-status="{status}"]' for status in statuses)).wait_for()


def reset(page: Page) -> None:
    """Back to the untouched start of the same experiment."""
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function("document.querySelector('.lab-server').dataset.frames === '0'")
    wait(page, "ready")


def frames(page: Page) -> tuple[float, float]:
    """Frames drawn a second, and the longest gap in seconds, of one run at its pace."""
    reset(page)
    page.evaluate(COUNT_FRAMES)
    page.locator("button.lab-primary").click()
    wait(page, "finished")
    drawn = [moment / 1000 for moment in page.evaluate("window.drawnAt")]
    gaps = [later - earlier for earlier, later in pairwise(drawn)]
    return len(gaps) / (drawn[-1] - drawn[0]), max(gaps)


def pause(page: Page) -> float:
    """Seconds from the click on Pause until the page says so, timed inside the browser."""
    reset(page)
    page.locator("button.lab-primary").click()
    wait(page, "running")
    time.sleep(0.5)
    return page.evaluate("""() => new Promise((done) => {
      const transport = document.querySelector('.lab-transport'), began = performance.now();
      const seen = () => done((performance.now() - began) / 1000);
      const look = () => transport.dataset.status === 'paused' ? seen() : requestAnimationFrame(look);
      document.querySelector('button.lab-primary').click();
      look();
    })""")


def with_page(page: Page) -> float:
    """Iterations a second that the page reports for a run as fast as it goes."""
    reset(page)
    page.locator("button.lab-primary").click()
    wait(page, "finished")
    badge = re.search(r"([\d.]+) iterations/s", page.locator(".lab-transport").inner_text())
    assert badge is not None
    return float(badge[1])


def without_page() -> float:
    """Iterations a second of the same run in this process, driven by the engine alone."""
    experiment = Experiment()
    attacked = simulate_round(experiment)
    began = time.perf_counter()
    done = max(state.iteration for state in reconstruct(experiment, attacked.observation))
    return done / (time.perf_counter() - began)


def kernel(server: psutil.Process, page: Page) -> psutil.Process:
    """The process behind a page, told by its kernel's id."""
    wanted = page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    return next(child for child in server.children(recursive=True) if any(wanted in word for word in _command(child)))


def _command(process: psutil.Process) -> list[str]:
    """A process's words; none where it ended between the listing and the question."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def memory(process: psutil.Process) -> dict[str, float]:
    """RSS and USS in MiB."""
    full = process.memory_full_info()
    return {"rss_mib": full.rss / MEBIBYTE, "uss_mib": full.uss / MEBIBYTE}


def measure(tell: Callable[[str], None]) -> dict[str, Any]:
    """Every figure; some three minutes."""
    found: dict[str, Any] = {}
    with served() as (address, server), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=list(chromium.FLAGS))
        tell("start")
        preheated, cold = zip(*(starts(browser, address) for _ in range(TURNS)), strict=True)
        found |= {"start_preheated_s": list(preheated), "start_cold_s": list(cold)}
        page, _ = open_page(browser, address)
        wait(page, "ready")
        behind = kernel(server, page)
        found["idle"] = memory(behind)
        tell("frames")
        rates, gaps = zip(*(frames(page) for _ in range(3)), strict=True)
        found |= {"frames_per_second": list(rates), "longest_gap_s": list(gaps), "after_run": memory(behind)}
        tell("pause")
        found["pause_s"] = [pause(page) for _ in range(TURNS)]
        tell("iterations")
        page.get_by_role("button", name="As fast as it goes").click()
        without_page()  # the first one warms up
        pairs = [(without_page(), with_page(page)) for _ in range(TURNS)]
        found["iterations_per_second"] = [{"bare": bare, "page": shown} for bare, shown in pairs]
        found["share_lost"] = median(1 - shown / bare for bare, shown in pairs)
        leave(page)
        browser.close()
    return found


if __name__ == "__main__":
    figures = measure(lambda part: print(part, file=sys.stderr, flush=True))
    text = json.dumps(figures, indent=2)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    print(text)
