"""Whatever is clicked in whatever order: form, address and session say the same, nothing is stuck, and no error is told."""

import os
import random
import re
from dataclasses import replace
from functools import cache
from urllib.parse import urlsplit

import pytest
from visiting import Visitor

from lab import simulate_round
from lab.client.datasets.gallery import credits
from lab.experiments import links
from lab.federated.networks.mlp import MLP
from widgets.form.controls import schema
from widgets.form.steps import lit

pytestmark = pytest.mark.browser
WIDTHS = (390, 1366, 2560)
PATHS = int(os.environ.get("CLICK_PATHS", "1"))
"""A short one for each width takes a quarter of a minute; thirty long ones, half an hour, are asked for by hand."""
KINDS = ("button", "summary", "select", "input[type=radio]", "input[type=checkbox]", "input[type=number]")
CLICKABLE = ", ".join(f".lab {kind}:not(:disabled)" for kind in KINDS)
LEFT_OUT = re.compile("Camera|Picture \\(PNG|Replay \\(GIF|Run \\(JSON|Undo the layers|Copy link|Reload")
"""What asks for a device, hands out a file or computes for long."""
LARGE = re.compile("imagenet|squeezenet|resnet|convnet$", re.IGNORECASE)
"""Networks that take minutes: they are prepared elsewhere."""


@pytest.mark.parametrize("seed", range(PATHS))
@pytest.mark.parametrize("width", WIDTHS)
def test_any_path_of_clicks_leaves_the_page_in_order(browser, address, width, seed):
    walk(browser, address, width, seed=seed, clicks=5 if PATHS == 1 else 15)


def walk(browser, address, width, *, seed, clicks):
    draws, visitor, path = random.Random(seed), Visitor(browser, address), []
    page = visitor.open(width, 850)
    page.evaluate(COUNT)
    settle(page)
    for _ in range(clicks):
        path.append(back(page) if draws.random() < 0.2 and page.evaluate("left > 0") else click(page, draws))
        settle(page)
        try:
            check(page)
        except AssertionError as error:
            raise AssertionError(f"after {' > '.join(path)}: {error}") from None
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
    dialog = page.locator("dialog[open] button")
    things = [each for each in (dialog if dialog.count() else page.locator(CLICKABLE)).all() if each.is_visible()]
    named = [(name, thing) for thing in things if not (LEFT_OUT.search(name := name_of(thing)) or LARGE.search(name))]
    name, thing = draws.choice(named)
    kind = thing.evaluate("node => node.tagName === 'SELECT' ? 'select' : node.type")
    if kind == "select":
        thing.select_option(index=draws.randrange(thing.locator("option").count()))
    elif kind == "number":
        thing.evaluate(TYPE, draws.choice(["1", "2", "-5", "", "1e9"]))
    else:
        thing.evaluate("node => node.click()")
    return name


TYPE = "(node, value) => { node.value = value; node.dispatchEvent(new Event('change')); }"


def name_of(thing):
    return thing.evaluate(NAME)


NAME = """(node) => {
  const label = node.closest('label')?.innerText ?? '';
  const control = node.closest('[data-control]')?.dataset.control;
  const name = [control, node.getAttribute('aria-label'), label, node.innerText].find(Boolean);
  return `${name?.slice(0, 60)} ${label}`;
}"""


def settle(page):
    """Until the engine has answered: what is said after all that was sent before is that another pace is chosen."""
    other = page.locator('.lab-pace button[aria-pressed="false"]').first
    seconds = other.get_attribute("data-seconds")
    other.evaluate("node => node.click()")
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
    return chosen?.getAttribute('aria-label') ?? chosen?.nextElementSibling?.textContent ?? '';
  };
  const fields = [...document.querySelectorAll('[data-control]')];
  const { status, trouble } = document.querySelector('.lab-transport').dataset;
  const sent = document.querySelector('.lab-sent').textContent.match(/: ([0-9,]+) numbers in/)[1];
  return {
    status, trouble, drawn: document.querySelector('.lab-sent').hasAttribute('data-drawn'),
    form: Object.fromEntries(fields.map((field) => [field.dataset.control, value(field)])),
    numbers: Number(sent.replaceAll(',', '')),
    chip: document.querySelector('.lab-chips [aria-pressed="true"]')?.dataset.key ?? '',
  };
}
"""
