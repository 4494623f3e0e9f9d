"""The self-checks: typical wrong answers each get a hint of their own, and nothing a student does is a traceback."""

import signal
import sys
import threading
import time
from functools import cache

import pytest
import torch
from lessons import LESSONS, solutions
from wrong_answers import WRONG

from lab.course.exercises import Feedback, NotYet, check, checking, deadline, grade
from lab.course.exercises.checking import Allowance, exercises

CASES = [(name, place) for name, wrong in WRONG.items() for place in range(len(wrong))]


@cache
def wrong_feedback(name, place):
    return check(name, WRONG[name][place][0])


def test_every_exercise_has_three_typical_wrong_answers_or_more():
    assert set(WRONG) == set(exercises())
    assert min(len(wrong) for wrong in WRONG.values()) >= 3
    assert all(sum(exercise.lesson == lesson for exercise in exercises().values()) >= 2 for lesson in range(len(LESSONS)))


@pytest.mark.parametrize(("name", "place"), CASES)
def test_a_typical_wrong_answer_gets_its_own_hint(name, place):
    found, words = wrong_feedback(name, place), WRONG[name][place][1]
    assert not found.passed
    assert words in found.sentence
    others = [wrong_feedback(name, other) for other in range(len(WRONG[name])) if other != place]
    assert found.sentence not in [other.sentence for other in others]


@pytest.mark.parametrize("name", exercises())
def test_the_task_names_the_function_and_the_praise_is_a_sentence(name):
    exercise = exercises()[name]
    assert exercise.task.startswith(f"{name}(")
    assert exercise.praise.endswith((".", "?"))


def test_the_same_seed_is_the_same_cases_and_another_seed_others():
    def drawn(seed):
        seen = []
        check("psnr_db", lambda a, b: seen.append(a), seed)
        return seen[0]

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def broken(dW, db):
    return dW[100]


def unfinished(dW, db):
    raise NotImplementedError


def swallowing(dW, db):
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def swallowing_all(dW, db):
    while True:
        try:
            sum(range(1000))
        except:  # noqa: E722
            continue


def standing_still(dW, db):
    row, rows = 0, len(db)
    while row < rows:
        db.abs()
    return dW[0]


def counting_for_ever(dW, db):
    row = 0
    while True:
        row += 1


def too_many_rows(dW, db):
    total = torch.zeros_like(dW[0])
    for _ in range(10**9):
        total += dW.sum(0)
    return total


def one_long_call(dW, db):
    return dW[0] * sum(number % 7 for number in range(10**12))


def asleep(dW, db):
    time.sleep(3600)


def dozing(dW, db):
    while True:
        time.sleep(0.005)


def locked(dW, db):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


WHATEVER = [
    (lambda dW, db: None, "returned nothing"),
    (lambda dW, db: ..., "There is no answer yet"),
    (unfinished, "There is no answer yet"),
    (lambda dW, db: "x", "give a tensor of shape (10,)"),
    (lambda dW, db: dW[0] * float("nan"), "not a number"),
    (lambda dW, db: dW[0][:3], "has the shape (3,) instead of (10,)"),
    (lambda dW: dW, "called with 2 arguments; yours takes 1"),
    (lambda dW, db: dW.mul_(0)[0], "changed what it was given"),
    (broken, "stopped at `return dW[100]` with IndexError: index 100"),
    (torch.ones(3), "Give the function itself"),
]


@pytest.mark.parametrize(("answer", "words"), WHATEVER)
def test_whatever_a_student_gives_is_answered_by_a_sentence(answer, words):
    found = check("invert_fc", answer)
    assert not found.passed
    assert words in found.sentence


LATE = [
    (swallowing, "`while True:`, which never ends"),
    (swallowing_all, "`while True:`, which never ends"),
    (standing_still, "`while row < rows:`, which never ends"),
    (counting_for_ever, "`while True:`, which never ends"),
    (too_many_rows, "still at work at `total += dW.sum(0)`; a right answer takes a moment"),
    (one_long_call, "a right answer takes a moment"),
    (asleep, "waited for 0 s without computing at `time.sleep(3600)`"),
    (dozing, "waited for 0 s without computing"),
    (locked, "waited for 0 s without computing at `lock.acquire()`"),
]


@pytest.mark.parametrize(("answer", "words"), LATE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_never_ends_what_is_too_much_and_what_only_waits_are_told_apart(monkeypatch, answer, words):
    monkeypatch.setattr(checking, "LIMIT_S", 0.6)
    monkeypatch.setattr(deadline, "WAITING_S", 0.3)
    assert words in check("invert_fc", answer).sentence


def test_waiting_does_not_use_up_the_time_to_compute_nor_computing_the_time_to_wait(monkeypatch):
    monkeypatch.setattr(deadline, "WAITING_S", 0.3)
    with deadline.Watch(None, 0.3) as watch:
        time.sleep(0.15)
    assert watch.used_s < 0.1
    with deadline.Watch(None, 60.0) as watch:
        while time.thread_time() < watch.begun + 0.6:
            pass
    assert watch.used_s > 0.5


def test_the_watch_puts_everything_back():
    before, threads = signal.getsignal(signal.SIGPROF), threading.active_count()
    with pytest.raises(deadline.OutOfTime), deadline.Watch(swallowing_all, 0.2):
        swallowing_all(None, None)
    assert signal.getsignal(signal.SIGPROF) is before
    assert threading.active_count() == threads
    assert sys.gettrace() is None or "lab" not in getattr(sys.gettrace(), "__module__", "")


@pytest.fixture
def allowances(monkeypatch):
    """The allowance of every check that is made."""
    kept, begin = [], Allowance.__init__

    def kept_from_the_beginning(allowance):
        begin(allowance)
        kept.append(allowance)

    monkeypatch.setattr(Allowance, "__init__", kept_from_the_beginning)
    return kept


COMPUTING = [name for name in exercises() if name not in ("three_tries", "one_change_that_hides")]
"""The other two only name experiments, which the lab runs."""


@pytest.mark.parametrize("name", COMPUTING)
def test_the_limit_is_four_times_what_the_model_solution_takes(name, allowances):
    assert check(name, solutions()[name]).passed
    assert allowances[0].limit_s >= 4 * allowances[0].used_s


def test_what_takes_long_is_timed_on_this_machine_and_at_this_time(allowances, monkeypatch):
    """Both in processor time of this thread, one after the other: a slow or busy machine is slow for both."""
    check("match_gradient", solutions()["match_gradient"])  # what it uses is imported
    monkeypatch.setattr(checking, "LIMIT_S", 0.01)
    assert check("match_gradient", solutions()["match_gradient"]).passed
    assert allowances[1].limit_s >= 4 * allowances[1].used_s > 0.04


@pytest.mark.parametrize("leave", [exit, sys.exit, quit, lambda: (_ for _ in ()).throw(GeneratorExit)])
def test_a_function_that_leaves_the_program_is_answered_by_a_sentence(leave):
    found = check("invert_fc", lambda dW, db: leave())
    assert not found.passed
    assert "ended the program" in found.sentence or "stopped" in found.sentence


def test_whoever_stops_the_cell_stops_it():
    def stopped(dW, db):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("invert_fc", stopped)


class Odd(list):
    """Looks like a list and cannot be counted."""

    def __len__(self):
        raise ValueError("no")


@pytest.mark.parametrize("name", exercises())
@pytest.mark.parametrize("odd", [Odd(), {1: Odd()}, object(), 10**400, torch.tensor(1j), [[1], [2, 3]], print])
def test_answers_of_any_kind_are_looked_at_without_a_traceback(name, odd):
    assert not check(name, lambda *_: odd).passed


def test_a_check_works_in_any_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(check("label_of", lambda db: int(db.argmin()))))
    thread.start()
    thread.join()
    assert found[0].passed


def test_an_unknown_exercise_suggests_the_nearest():
    assert "Did you mean 'invert_fc'" in check("invert_fd", print).sentence


def test_what_a_reader_sees_is_words_and_no_markup_of_theirs():
    shown = Feedback(False, "use `x < 1` <script>")
    assert repr(shown) == "Not yet. use `x < 1` <script>"
    assert shown._repr_html_() == "<p><strong>Not yet.</strong> use <code>x &lt; 1</code> &lt;script&gt;</p>"


def test_a_grader_sees_an_exception_whose_traceback_is_the_sentence():
    grade("label_of", lambda db: int(db.argmin()), seed=9)
    with pytest.raises(NotYet, match="largest entry") as raised:
        grade("label_of", lambda db: int(db.argmax()), seed=9)
    assert raised.value._render_traceback_() == [str(raised.value)]


def test_student_code_may_draw_from_the_global_generator():
    check("invert_fc", lambda dW, db: torch.randn(3))
