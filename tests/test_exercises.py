"""The self-checks: typical wrong answers each get a hint of their own, and nothing a student does is a traceback."""

import signal
import threading
from functools import cache

import pytest
import torch
from wrong_answers import WRONG

from lab.exercises import Feedback, NotYet, check, checking, grade
from lab.exercises.checking import exercises
from lab.exercises.deadline import TooSlow, deadline

CASES = [(name, place) for name, wrong in WRONG.items() for place in range(len(wrong))]


@cache
def wrong_feedback(name, place):
    return check(name, WRONG[name][place][0])


def test_every_exercise_has_three_typical_wrong_answers_or_more():
    assert set(WRONG) == set(exercises())
    assert min(len(wrong) for wrong in WRONG.values()) >= 3
    assert all(sum(exercise.lesson == lesson for exercise in exercises().values()) == 2 for lesson in range(10))


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


def greedy(dW, db):
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


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


def test_a_loop_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(checking, "LIMIT_S", 0.2)
    assert "still busy" in check("invert_fc", greedy).sentence


def test_the_deadline_puts_the_old_handler_back():
    before = signal.getsignal(signal.SIGPROF)
    with pytest.raises(TooSlow), deadline(0.05):
        greedy(None, None)
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


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
