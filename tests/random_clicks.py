"""Somebody who clicks at random, seeded: whatever was clicked, form, address and session say the same, and no secret is told.

    python -m tests.random_clicks --paths 30 --clicks 15

walks at the width of a phone, a desk and a wall, each path from a fresh page, and says after which clicks something was wrong.
"""

import argparse
import random
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from visiting import Visitor

from lab import simulate_round
from lab.client.datasets.gallery import credits
from lab.experiments import links
from lab.federated.networks.mlp import MLP
from widgets.form.controls import schema
from widgets.form.steps import lit

WIDTHS = (390, 1366, 2560)
LEFT_OUT = "Camera|Picture \\(PNG|Replay \\(GIF|Run \\(JSON|Undo the layers|Copy link|Reload"
"""What asks for a device, hands out a file or computes for long."""
LARGE = "imagenet|squeezenet|resnet|convnet$|vgg|mobilenet"
"""Networks that take minutes: they are prepared elsewhere."""
SKIPPED = f"{LEFT_OUT}|{LARGE}"


def walk(browser, address, width, *, seed, clicks):
    """One path; raises ``AssertionError`` with all that was clicked where the page is not in order."""
    draws, visitor, path = random.Random(f"{width} {seed}"), Visitor(browser, address), []
    page = visitor.open(width, 850)
    page.evaluate(COUNT)
    try:
        settle(page)
        for _ in range(clicks):
            path.append(back(page) if draws.random() < 0.2 and page.evaluate("left > 0") else click(page, draws))
            settle(page)
            check(page)
    except Exception as error:
        said = page.locator(".lab-transport").inner_text()
        raise AssertionError(f"at {width} pixels, seed {seed}, after {' > '.join(path)}: {error}\n{said}") from error
    visitor.leave()


COUNT = """
() => {
  window.left = 0;
  const push = history.pushState.bind(history);
  history.pushState = (...given) => { window.left++; push(...given); };
}
"""
BACK = """
() => new Promise((done) => {
  window.left--;
  addEventListener("popstate", () => setTimeout(done), { once: true });
  history.back();
})
"""


def back(page):
    page.evaluate(BACK)
    return "the browser's back button"


def click(page, draws):
    """Use one thing that can be seen; returns its name."""
    return page.evaluate(CLICK, [SKIPPED, draws.random(), draws.random(), draws.choice(["1", "2", "-5", "", "1e9"])])


CLICK = """
([skipped, which, choice, number]) => {
  const kinds = ["button", "summary", "select", "input[type=radio]", "input[type=checkbox]", "input[type=number]"];
  const open = document.querySelector("dialog[open]");
  const used = open ? open.querySelectorAll("button") : document.querySelectorAll(kinds.map((kind) => `.lab ${kind}`));
  const seen = (node) => !node.disabled && node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length;
  const name = (node) => {
    const label = node.closest("label")?.innerText ?? "";
    const control = node.closest("[data-control]")?.dataset.control;
    const told = [control, node.getAttribute("aria-label"), label, node.innerText].find(Boolean);
    return `${told?.slice(0, 60)} ${label}`.trim();
  };
  const never = new RegExp(skipped, "i");
  const things = [...used].filter((node) => seen(node) && !never.test(name(node)));
  const thing = things[Math.floor(which * things.length)];
  const told = name(thing);
  if (thing.tagName === "SELECT") {
    thing.selectedIndex = Math.floor(choice * thing.options.length);
    thing.dispatchEvent(new Event("change"));
  } else if (thing.type === "number") {
    thing.value = number;
    thing.dispatchEvent(new Event("change"));
  } else thing.click();
  return told;
}
"""


ANOTHER_PACE = """
() => {
  const other = document.querySelector('.lab-pace button[aria-pressed="false"]');
  other.click();
  return other.dataset.seconds;
}
"""


def settle(page):
    """Until the engine has answered: what is said after all that was sent before is that another pace is chosen."""
    seconds = page.evaluate(ANOTHER_PACE)
    page.locator(f'.lab-pace button[data-seconds="{seconds}"][aria-pressed="true"]').wait_for(state="attached")
    page.wait_for_function("!['loading', 'lost'].includes(document.querySelector('.lab-transport').dataset.status)")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def check(page):
    state = page.evaluate(STATE)
    assert state["status"] in ("ready", "running", "paused", "finished"), state["status"]
    assert state["trouble"] == ""
    link = links.read(urlsplit(page.url).query)
    experiment = link.experiment
    asked = {each["path"]: words(each) for each in schema(experiment) if each["path"] not in link.hidden}
    assert state["form"].keys() == asked.keys(), "the form is that of another experiment"
    for path, shown in state["form"].items():
        assert same(shown, asked[path]), f"the form shows {path} = {shown!r}, the address says {asked[path]!r}"
    sent = (
        replace(experiment, network=MLP(), trained=False) if state["drawn"] and experiment.network.name != "mlp" else experiment
    )
    assert state["numbers"] == numbers(sent), "the session sends the numbers of another experiment"
    step = lit(experiment)
    assert state["chip"] in (step.key if step else "", "losses"), "the chip that is lit is not what there is"
    if state["covered"]:
        check_untold(experiment, f"{page.title()} {unquote(page.url)}\n{state['told']}")


def check_untold(experiment, told):
    """Nothing that can be read or heard beside the form's pictures, all of which are named, says which one is covered."""
    name = getattr(experiment.dataset, "first", "")
    if name not in credits():
        return
    for word in (name, str(credits()[name]["title"]), str(credits()[name]["alt"])):
        found = re.search(rf".*\b{re.escape(word)}\b.*", told, re.IGNORECASE)
        assert found is None, f"the covered secret is told: {found[0]!r}"


def words(control):
    """What the form says of a control's value."""
    if control["kind"] == "number":
        return control["value"]
    if control["kind"] == "gallery":
        return credits()[control["value"]]["title"]
    return next(each["label"] for each in control["options"] if each["value"] == control["value"])


def same(shown, asked):
    return shown == asked if isinstance(asked, str) else float(shown) == pytest.approx(asked)


@cache
def numbers(experiment):
    return sum(tensor.numel() for tensor in simulate_round(experiment).observation.update.values())


STATE = r"""
() => {
  const value = (field) => {
    const kinds = ['input:checked, [data-chosen=true]', '[type=number]', 'select'];
    const [chosen, number, box] = kinds.map((kind) => field.querySelector(kind));
    if (number) return number.value;
    if (box) return box.selectedOptions[0]?.label;
    return chosen?.getAttribute('aria-label') ?? chosen?.nextElementSibling?.firstChild?.textContent ?? '';
  };
  const words = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return [node.textContent];
    if (node.dataset?.control === 'picture' || !node.checkVisibility?.({ visibilityProperty: true })) return [];
    const spoken = ['aria-label', 'title', 'alt', 'aria-valuetext'].map((name) => node.getAttribute(name)).filter(Boolean);
    return [...spoken, ...[...node.childNodes].flatMap(words)];
  };
  const fields = [...document.querySelectorAll('[data-control]')];
  const { status, trouble } = document.querySelector('.lab-transport').dataset;
  const sent = document.querySelector('.lab-sent').textContent.match(/: ([0-9,]+) numbers in/)[1];
  return {
    status, trouble, drawn: document.querySelector('.lab-sent').hasAttribute('data-drawn'),
    form: Object.fromEntries(fields.map((field) => [field.dataset.control, value(field)])),
    numbers: Number(sent.replaceAll(',', '')),
    chip: document.querySelector('.lab-chips [aria-pressed="true"]')?.dataset.key ?? '',
    covered: document.querySelector('.lab').hasAttribute('data-concealed'),
    told: words(document.querySelector('.lab')).join('\n'),
  };
}
"""


def main():
    """Walk all paths asked for; exit status 1 where one of them found something."""
    from chromium import FLAGS, find
    from playwright.sync_api import sync_playwright
    from visiting import serving

    parser = argparse.ArgumentParser(prog="python -m tests.random_clicks")
    parser.add_argument("--paths", type=int, default=30)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--clicks", type=int, default=15)
    asked = parser.parse_args()
    wrong = 0
    with serving("-m", "widgets.serving", "--no-browser", "--port") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        for seed in range(asked.first, asked.first + asked.paths):
            for width in WIDTHS:
                try:
                    walk(browser, address, width, seed=seed, clicks=asked.clicks)
                    sys.stdout.write(f"{width} {seed}: in order\n")
                except AssertionError as error:
                    wrong += 1
                    sys.stdout.write(f"{width} {seed}: {error}\n")
                sys.stdout.flush()
        browser.close()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
