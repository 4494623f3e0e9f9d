"""Every test sees shapes checked, one thread, and no global randomness."""

import gc
import os

os.environ["OMP_NUM_THREADS"] = "1"

import shape_checks

shape_checks.install()

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)

pytest_plugins = ["visiting", "nudging"]


def pytest_collection_modifyitems(items):
    """On a busy machine a browser may run out of time: such a test is tried once more, and the summary counts it."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))


def pytest_unconfigure():
    """What commands kept out of the collector's sight is looked through at the end: else libraries report it as leaked."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def shapes_are_checked_anew():
    """Each test checks the first calls of every function."""
    shape_checks.CALLS.clear()


@pytest.fixture(autouse=True)
def no_global_randomness():
    """The lab draws from its own streams: whatever it does leaves torch's global generator untouched."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "something drew from torch's global random numbers"


@pytest.fixture(autouse=True)
def one_thread():
    """``simulate_round`` may raise the thread count for a large network; tests go on with one."""
    yield
    torch.set_num_threads(1)
