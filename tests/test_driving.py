"""The one loop that asks an attack for its states."""

import pytest
import torch

from lab.attacks.base import AttackState
from lab.experiments import driving
from lab.experiments.driving import Driven


class Clock:
    """A clock that only the attack's computing moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def computing(clock, each, closed):
    try:
        for number in range(3):
            clock.now += each
            yield AttackState(number, 2, torch.zeros(1, 1, 2, 2), 0.0)
    finally:
        closed.append(True)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(driving, "perf_counter", clock)
    monkeypatch.setattr(driving, "process_time", lambda: 3 * clock.now)
    return clock


def test_only_the_attacks_own_computing_is_timed(clock):
    closed = []
    with Driven(computing(clock, 2.0, closed)) as attack:
        for number, state in enumerate(attack, 1):
            assert attack.state is state
            assert (attack.seconds, attack.cpu_seconds) == (2.0 * number, 6.0 * number)
            clock.now += 100.0
        assert attack.finish().iteration == 2
    assert closed == [True]


def test_an_attack_left_under_way_is_closed(clock):
    closed = []
    attack = Driven(computing(clock, 1.0, closed))
    with attack:
        next(attack)
        assert not closed
    assert closed == [True]
    assert attack.state is not None
