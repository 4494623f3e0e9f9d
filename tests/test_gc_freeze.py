"""What is imported for good is out of the collector's sight, and nothing else is."""

import gc
from contextlib import suppress

import pytest

from lab.commands.gc_freeze import frozen_imports


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_rests_and_then_goes_on_as_it_was(collecting):
    try:
        (gc.enable if collecting else gc.disable)()
        kept = []
        with suppress(ImportError), frozen_imports():
            assert not gc.isenabled()
            kept.append(kept)
            raise ImportError
        assert gc.isenabled() is collecting
        assert not any(thing is kept for thing in gc.get_objects())
    finally:
        gc.enable()


def test_what_comes_later_is_collected():
    with frozen_imports():
        pass
    before = gc.get_freeze_count()
    ring = []
    ring.append(ring)
    del ring
    assert gc.collect() > 0
    assert gc.get_freeze_count() <= before, "fewer, where something kept has gone; never more"
