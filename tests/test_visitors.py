"""Places, queue and ends of visits, on a clock of the test's own."""

import random

from widgets.serving.settings import Settings
from widgets.serving.visitors import FORGOTTEN_S, Visitors

TOLD = Settings(visitors=3, waiting=4, unclaimed_seconds=15, left_seconds=20, silent_seconds=60)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def begin(**changes):
    clock = Clock()
    return Visitors(Settings(**(vars(TOLD) | changes)), clock), clock


def arrive(visitors, kernel="k"):
    visit = visitors.enter()
    visit.kernel = kernel
    visitors.delivered(visit)
    return visit


def test_without_a_limit_everybody_comes_in():
    visitors, _ = begin(visitors=0, waiting=0)
    assert all(visitors.enter() for _ in range(100))


def test_who_finds_no_place_waits_in_turn_and_is_told_place_and_time():
    visitors, clock = begin()
    inside = [arrive(visitors, str(number)) for number in range(3)]
    assert visitors.enter() is None
    first, second = visitors.queue_up(), visitors.queue_up()
    assert visitors.place(first)[0] == 1
    assert visitors.place(second)[0] == 2
    clock.now = 10
    visitors.end(inside[0])
    assert visitors.place(second)[0] in (1, 2)
    assert visitors.place(first) == (0, 0.0)
    assert visitors.place(second)[0] == 1
    assert 0 < visitors.place(second)[1] <= 10 / 3 + 1
    assert visitors.enter() is None, "the free place belongs to whoever was called"
    assert visitors.enter(second) is None, "and to nobody else"
    assert visitors.enter(first) is not None
    assert visitors.enter(first) is None, "a ticket is good for one visit"


def test_a_full_queue_and_unknown_tickets():
    visitors, _ = begin()
    for number in range(3):
        arrive(visitors, str(number))
    tickets = [visitors.queue_up() for _ in range(4)]
    assert len(set(tickets)) == 4
    assert visitors.queue_up() is None
    assert visitors.place("no ticket of ours") is None


def test_whoever_closes_the_waiting_room_loses_the_place_to_the_next():
    visitors, clock = begin()
    inside = [arrive(visitors, str(number)) for number in range(3)]
    gone, patient = visitors.queue_up(), visitors.queue_up()
    clock.now = FORGOTTEN_S - 1
    visitors.place(patient)
    clock.now = FORGOTTEN_S + 1
    assert visitors.place(patient)[0] == 1
    assert visitors.place(gone) is None
    visitors.end(inside[0])
    assert visitors.place(patient)[0] == 0
    clock.now += FORGOTTEN_S + 1
    assert arrive(visitors), "a turn that nobody takes passes on"


def test_when_a_visit_is_over():
    visitors, clock = begin()
    waiting = visitors.enter()
    clock.now = 100
    assert visitors.over(waiting) == "", "its page is still being made"
    waiting.kernel = "k"
    visitors.delivered(waiting)
    clock.now = 114
    assert visitors.over(waiting) == ""
    clock.now = 116
    assert visitors.over(waiting) == "unclaimed"
    visitors.connected("k")
    clock.now = 150
    visitors.heard("k")
    clock.now = 209
    assert visitors.over(waiting) == ""
    clock.now = 211
    assert visitors.over(waiting) == "silent"
    visitors.heard("k")
    visitors.connected("k")
    visitors.disconnected("k")
    clock.now = 240
    assert visitors.over(waiting) == "", "one socket is left"
    visitors.disconnected("k")
    clock.now = 259
    assert visitors.over(waiting) == ""
    clock.now = 261
    assert visitors.over(waiting) == "left"


def test_a_page_that_may_sleep_is_kept_as_long_as_it_is_connected():
    visitors, clock = begin(silent_seconds=0)
    visit = arrive(visitors)
    visitors.connected("k")
    clock.now = 10**6
    assert visitors.over(visit) == ""


def test_any_coming_and_going_keeps_to_the_limits_and_lets_everybody_in_at_last():
    """Two thousand random moves: never more visits than places, nobody overtakes, and no place is lost."""
    for seed in range(20):
        source = random.Random(seed)
        visitors, clock = begin()
        waiting, called = [], []
        for number in range(100):
            clock.now += source.random()
            if source.random() < 0.6:
                visit = visitors.enter()
                if visit is None and (ticket := visitors.queue_up()):
                    waiting.append(ticket)
                else:
                    assert visit is None or not waiting, "a newcomer has overtaken the queue"
            elif visitors.visits:
                visitors.end(source.choice(visitors.visits))
            for ticket in list(waiting):
                if visitors.place(ticket)[0] == 0:
                    assert ticket == waiting[0], f"{seed}, {number}"
                    waiting.remove(ticket)
                    called.append(ticket)
            while called:
                assert visitors.enter(called.pop(0)) is not None
            assert len(visitors.visits) <= TOLD.visitors
            assert len(visitors.queue) <= TOLD.waiting
