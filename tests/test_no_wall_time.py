"""A test waits for a state and judges by counts: how fast the machine is, and whether it stands still, decides nothing.

Read off the tests' own source. What the clock may still do is named here, each with its reason.
"""

import ast
from pathlib import Path

import pytest

CLOCKS = {"time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns", "default_timer", "now"}
WALLS = {"time", "timeit", "datetime"}
ALLOWED = {
    ("test_page_away.py", "test_a_page_that_sleeps_on_ones_own_machine_goes_on_where_it_was"): (
        "how long the page is asleep is what is tried; it goes on after any such time"
    ),
    ("test_server.py", "late"): "an engine that is heard long after its reply, and after any such time",
    ("test_exercises.py", "asleep"): "a wrong answer that sleeps",
    ("test_exercises.py", "dozing"): "a wrong answer that sleeps again and again",
    ("test_exercises.py", "test_waiting_does_not_use_up_the_time_to_compute_nor_computing_the_time_to_wait"): (
        "what is watched has to wait for a while; judged is the processor time alone"
    ),
}
HERE = Path(__file__)
FILES = {path.name: path.read_text() for path in HERE.parent.glob("*.py") if path != HERE}
"""All but the examples below."""


def faults(source):
    """(function, line, what) of each fixed wait, and each look at the clock on the wall; calls in a text count as well."""
    return [fault for found in _trees(source) for fault in _faults_in(found)]


def _trees(source):
    tree = ast.parse(source)
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "sleep(" in node.value:
            try:
                yield ast.parse(node.value)
            except SyntaxError:  # no program, only words
                continue


def _faults_in(node, function="", polls=False):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            called = child.func.attr
            if called == "wait_for_timeout" or (called == "sleep" and not polls):
                yield function, child.lineno, "a wait for so long, and not for a state"
            if (
                called in CLOCKS
                and isinstance(child.func.value, ast.Name)
                and child.func.value.id in ("time", "timeit", "datetime")
            ):
                yield function, child.lineno, "the clock on the wall"
        named = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _faults_in(child, named, _polls(child, polls))


def _polls(node, polls):
    """Inside ``while state:`` a sleep is how long until the next look; ``while True`` and ``for`` wait for nothing."""
    if isinstance(node, ast.While):
        return not isinstance(node.test, ast.Constant) or _leaves(node)
    return polls and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _leaves(loop):
    return any(isinstance(node, ast.Return | ast.Break) for node in ast.walk(loop))


@pytest.mark.parametrize("name", FILES)
def test_no_outcome_depends_on_speed(name):
    assert [fault for fault in faults(FILES[name]) if (name, fault[0]) not in ALLOWED] == []


def test_what_is_allowed_is_there():
    found = {(name, function) for name, source in FILES.items() for function, *_ in faults(source)}
    assert set(ALLOWED) <= found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(page):\n    page.wait_for_timeout(400)", 1),
        ("async def f():\n    while busy():\n        page.wait_for_timeout(4)", 1),
        ("async def f():\n    await asyncio.sleep(0.3)", 1),
        ("async def f():\n    for _ in range(9):\n        await asyncio.sleep(0.3)", 1),
        ("def f():\n    while True:\n        time.sleep(1)", 1),
        ("def f():\n    while True:\n        if done():\n            return\n        time.sleep(1)", 0),
        ("def f():\n    while not done():\n        time.sleep(0.1)", 0),
        ("def f():\n    while not done():\n        def g():\n            time.sleep(0.1)", 1),
        ("def f():\n    began = time.monotonic()\n    assert time.perf_counter() - began < 1", 2),
        ("def f():\n    assert time.thread_time() < 1", 0),
        ("def f():\n    run('import time; time.sleep(1)')", 1),
        ("def f():\n    '''It may sleep(1) or not.'''", 0),
    ],
)
def test_a_fixed_wait_is_told_from_a_look_at_a_state(source, count):
    assert len(faults(source)) == count
