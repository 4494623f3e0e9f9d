"""The duel on the page without a browser: shields, their prices, attackers, and the dots that runs leave."""

import math
from dataclasses import replace

import numpy as np
import pytest
import traitlets
from test_controls import Fake

from lab import Experiment
from lab.attacks.analytic import Analytic
from lab.attacks.recursive import Recursive
from lab.client.accountant import interpretation
from lab.client.defences.clipping import Clipping
from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.pruning import Pruning
from lab.duel import prices
from lab.duel.front import EARLY, LATE, front
from lab.duel.prices import Price, StoredGuarantee, price_of
from lab.experiments.edits import edit, patched
from lab.federated.networks.transformer import Transformer
from lab.options.catalogue import entries
from lab.options.words import percent, rounded
from widgets.form import shields
from widgets.playback.playback import Playback
from widgets.readouts import plane
from widgets.run.frames import Frame
from widgets.run.history import History
from widgets.views.attacker import Attacker
from widgets.views.plane import Plane
from widgets.views.shield import Shield

STRENGTHS = [
    (name, place) for name, entry in sorted(entries("defence").items()) for place in range(1, len(entry.strengths()) + 1)
]
EVERY = pytest.mark.parametrize("name", sorted(entries("defence")))
UNLIKELY = [
    {"defence": "nobody"},
    {"defence": ["pruning"]},
    {"defence": "several"},
    {"strength": 3},
    {"strength": "3"},
    {"strength": True},
    {"strength": 10**30},
    {"attacker": "god"},
    {"attacker": 1},
    {"open": 1},
    {"open": "1"},
    {"open": None},
    {},
    "text",
    None,
]


def worn(*defences, **more):
    return Experiment(defences=defences, **more)


def frame(likeness, iteration=10):
    picture = np.zeros((4, 4, 3), np.uint8)
    numbers = {} if likeness is None else {"likeness": likeness}
    return Frame(1, 1, iteration, 0.1, {"psnr_db": 20.0}, "Taking shape", "1st", picture, 0.5, numbers)


def remembered(*runs):
    """A history of runs, each an experiment with the likeness at its end."""
    past = History()
    for experiment, likeness in runs:
        past.add(experiment, [frame(likeness)], "All iterations are done.", 10)
    return past.runs


class Page(Fake):
    """A session with past runs, which remembers what it was asked to show again."""

    history = traitlets.List()

    def __init__(self, experiment=None):
        super().__init__(experiment)
        self.past = History()

    def restore(self, number):
        self.asked.append(("restore", number))


# --- shields and prices ------------------------------------------------------------------------------


@EVERY
def test_each_defence_is_offered_at_five_strengths_and_comes_back_as_the_one_that_was_put_on(name):
    for place in range(1, 6):
        experiment = shields.shielded(Experiment(batch_size=2), name, place)
        told = shields.shield(experiment)
        assert (told["defence"], told["place"], len(told["steps"])) == (name, place, 5)
        assert {part: told[part] for part in ("value", "told", "promised")} == told["steps"][place - 1]
    assert len({step["value"] for step in told["steps"]}) == 5
    assert shields.shielded(experiment, shields.NONE).defences == ()


@EVERY
def test_a_price_is_the_shipped_one_or_said_to_be_unknown(name):
    for defence, step in zip(
        entries("defence")[name].strengths(),
        shields.shield(shields.shielded(Experiment(batch_size=2), name))["steps"],
        strict=True,
    ):
        price, told = price_of(defence), " ".join(step["told"] + step["promised"])
        if price is None:
            assert told == shields.NOT_PRICED
        elif price.accuracy is None:
            assert told.startswith(shields.DIVERGED)
        else:
            assert f"→ {percent(price.accuracy)} ({len(price.accuracies) + price.diverged} training" in told
        for promise in price.promises if price else ():
            assert (
                f"epsilon {rounded(promise.epsilon, 2)} at delta 1e-05. {interpretation(promise.epsilon, promise.delta)}"
                in told
            )
        assert ("epsilon" in told) == bool(price and price.promises)


WITHOUT = Price(None, 0, (0.9, 0.8), 0, ())
NO_NOISE = (StoredGuarantee("example", "every update", 1e-5, None),)
PROMISES = (StoredGuarantee("client", "every update", 1e-5, 57.1), StoredGuarantee("client", "their mean alone", 1e-5, 2.0))


@pytest.mark.parametrize(
    ("accuracies", "diverged", "promises", "told"),
    [
        ((0.5,), 0, (), ["Accuracy 85 % → 50 % (1 training)."]),
        ((0.5, 0.7), 1, (), ["Accuracy 85 % → 60 % (3 trainings, 1 of them diverged)."]),
        ((), 2, (), [shields.DIVERGED]),
        ((0.5,), 0, NO_NOISE, ["Accuracy 85 % → 50 % (1 training).", "Each example, if"]),
        ((0.5,), 0, PROMISES, ["Accuracy", "Each client, if the server sees every update: epsilon 57 ", "Each client, if the"]),
    ],
)
def test_a_price_in_words(monkeypatch, accuracies, diverged, promises, told):
    price = Price({"name": "pruning"}, 1, accuracies, diverged, promises)
    monkeypatch.setattr(prices, "price_of", lambda defence: price if defence else WITHOUT)
    shield = shields.shield(worn(Pruning()))
    said = shield["told"] + shield["promised"]
    assert len(shield["promised"]) == len(promises), "apart from the price: they are long"
    assert len(said) == len(told)
    assert all(words.startswith(start) for words, start in zip(said, told, strict=True))


def test_epsilon_in_words_promises_little_or_says_how_much():
    large, small = (interpretation(epsilon, 1e-5) for epsilon in (57.1, 2.0))
    assert "promises next to nothing" in large
    assert "more than 7.39 times likelier, but for a chance of 1e-05" in small


def test_what_has_no_price_of_its_own_says_so():
    own = shields.shield(worn(Pruning(strength=0.97)))
    assert (own["value"], own["told"], own["place"]) == ("strength 0.97", [shields.NOT_PRICED], 3)
    assert shields.shield(worn(Clipping(longest=0.2)))["place"] == 3, "a dial that is turned down for more"
    several = shields.shield(worn(Pruning(), Clipping()))
    assert (several["defence"], several["told"], several["steps"]) == (shields.SEVERAL, [shields.OF_SEVERAL], [])
    assert shields.accuracy((Pruning(), Clipping())) is None
    assert shields.shield(Experiment())["told"] == [f"Accuracy without a shield: {percent(price_of(None).accuracy)}."]


def test_a_shield_that_needs_partners_says_so_where_there_are_none():
    alone, together = (shields.shield(shields.shielded(Experiment(batch_size=many), "mixup"))["told"][-1] for many in (1, 2))
    assert "fewer than 2" in alone
    assert "fewer" not in together


def test_what_a_price_is_of_is_read_off_the_shipped_list():
    assert all(words in shields.of_what() for words in ("10 clients", "30 rounds", "small ConvNet", "digits"))


# --- attackers ---------------------------------------------------------------------------------------


def test_without_a_shield_or_a_guess_nobody_is_naive():
    assert shields.attacker(Experiment()) == ""
    assert shields.attacker(replace(worn(Pruning()), attack=Analytic())) == ""


def test_the_attacker_who_knows_is_the_default_and_the_naive_one_differs_in_that_alone():
    knowing = shields.shielded(Experiment(), "pruning", 4)
    naive = shields.attacked_by(knowing, shields.NAIVE)
    assert (shields.attacker(knowing), shields.attacker(naive)) == (shields.KNOWING, shields.NAIVE)
    assert naive == patched(knowing, [("attack.reading", False)])
    assert shields.attacked_by(naive, shields.KNOWING) == knowing
    assert shields.attacker(shields.shielded(naive, "clipping", 1)) == shields.NAIVE, "another shield is met by the same one"


# --- the views -----------------------------------------------------------------------------------------


def test_a_shield_is_put_on_turned_and_taken_off_and_each_is_attacked():
    session = Fake(Experiment(seed=3))
    shield = Shield(Playback(session), session)
    shield._receive(shield, {"defence": "pruning"}, [])
    assert session.experiment == Experiment(seed=3, defences=(Pruning.strengths()[2],))
    shield._receive(shield, {"strength": 5}, [])
    assert session.experiment.defences == (Pruning.strengths()[4],)
    shield._receive(shield, {"defence": "none"}, [])
    assert session.experiment == Experiment(seed=3)
    assert [asked for asked, *_ in session.asked].count("start_if_quick") == 3


def test_a_shield_that_could_not_be_put_on_does_not_stay_on_the_card(monkeypatch):
    session, told = Fake(Experiment()), []
    session.status = "loading"
    monkeypatch.setattr(Shield, "send", lambda view, content: told.append(content))
    shield = Shield(Playback(session), session)
    session.status = "ready"  # of the experiment before: what was asked for could not be prepared
    assert (told, shield.shield["defence"]) == ([{"type": "settled"}], "none")


def test_the_attacker_is_changed_by_his_card():
    session = Fake(worn(Pruning()))
    card = Attacker(Playback(session), session)
    card._receive(card, {"attacker": "naive"}, [])
    assert (card.attacker, session.experiment.attack.reading) == ("naive", False)
    session.experiment = Experiment()
    assert card.attacker == ""


@pytest.mark.parametrize("content", UNLIKELY, ids=repr)
def test_what_makes_no_sense_changes_nothing(content):
    session = Page(Experiment())
    for view in (Shield, Attacker, Plane):
        made = view(Playback(session), session)
        before = session.experiment
        made._receive(made, content, [])
        assert (session.experiment, session.asked) == (before, [])


def test_before_the_lab_is_loaded_nothing_is_told_and_nothing_asked():
    session = Page()
    for view in (Shield, Attacker, Plane):
        made = view(Playback(session), session)
        for content in ({"defence": "pruning"}, {"strength": 2}, {"attacker": "naive"}, {"open": 1}):
            made._receive(made, content, [])
    assert session.asked == []


def test_a_click_on_a_dot_shows_its_run_again_and_on_no_other():
    session = Page(Experiment())
    view = Plane(Playback(session), session)
    for experiment in (Experiment(), worn(Pruning(strength=0.97)), worn(DPSGD.strengths()[4])):
        session.past.add(experiment, [frame(0.5)], "", 10)
    view._remembered(None)
    assert [dot["number"] for dot in view.dots] == [1, 3]
    for number in (1, 2, 3, 4):
        view._receive(view, {"open": number}, [])
    assert session.asked == [("restore", 1), ("restore", 3)]


# --- dots ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "place"), STRENGTHS)
def test_a_run_leaves_a_dot_where_its_shield_has_a_price(name, place):
    experiment = shields.shielded(Experiment(batch_size=2), name, place)
    price = price_of(experiment.defences[0])
    dots, without = plane.visited(remembered((experiment, 0.4)))
    if price is None or price.accuracy is None:
        assert (dots, "Run 1 has no dot" in without) == ([], True)
    else:
        ((dot,), told) = dots, without
        assert (dot["leak"], dot["accuracy"], dot["attacker"], dot["shielded"], told) == (
            0.4,
            price.accuracy,
            "knowing",
            True,
            "",
        )
        assert all(
            words in dot["title"] for words in ("40 % alike", f"{percent(price.accuracy)} right", "who knows the shield")
        )


def test_a_dot_says_who_attacked_and_opposite_shapes_are_no_likeness():
    naive = shields.attacked_by(worn(Pruning.strengths()[0]), shields.NAIVE)
    ((dot,), _) = plane.visited(remembered((naive, -0.3)))
    assert (dot["attacker"], dot["leak"]) == ("naive", 0.0)
    assert "naive attacker" in dot["title"]


def test_a_dot_says_of_no_attacker_what_makes_no_difference():
    """Without a shield there is none to know, and an attack that only solves equations has no such choice."""
    pruned = worn(Pruning.strengths()[0])
    runs = remembered(
        *((each, 0.4) for each in (Experiment(), replace(pruned, attack=Analytic()), replace(pruned, attack=Recursive())))
    )
    dots, _ = plane.visited(runs)
    assert len(dots) == 3
    for dot in dots:
        assert not any(words in dot["title"] for words in plane.ATTACKERS.values())
        assert dot["attacker"] == ""


@pytest.mark.parametrize("likeness", [None, math.nan, math.inf, "0.5"])
def test_what_nobody_can_judge_leaves_no_dot(likeness):
    dots, told = plane.visited(remembered((Experiment(), likeness)))
    assert dots == []
    assert told == "Run 1 has no dot: nobody here knows its truth."


def test_a_run_that_something_else_interrupted_leaves_none():
    past = History()
    past.add(Experiment(), [frame(0.5)], "", 10, ended=False)
    assert plane.visited(past.runs) == ([], "")


# --- the study -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trained", [False, True])
def test_the_studys_dots_are_the_stronger_attackers_and_the_front_is_beaten_by_none(trained):
    points = plane.placed(front().points, LATE if trained else EARLY)
    bouts = {str(point.defence): point.bouts for point in front().points if point.batch_size == 1}
    for point in points:
        found = [bout.likeness for bout in bouts[str(point.defence)] if bout.phase == (LATE if trained else EARLY)]
        assert point.leak == max(0.0, *found)
        beaten = any(
            other.leak <= point.leak
            and other.accuracy >= point.accuracy
            and (other.leak, other.accuracy) != (point.leak, point.accuracy)
            for other in points
        )
        assert point.on_front != beaten
    study = plane.study(Experiment(trained=trained))
    assert [dot["leak"] for dot in study["dots"]] == [point.leak for point in points]
    assert any(dot["front"] for dot in study["dots"])


def test_how_small_the_study_was_is_said_in_its_own_numbers():
    size, told = front().size, plane.study(Experiment())["told"]
    assert all(
        f"{size[name]} {words}" in told for name, words in (("pictures", "picture"), ("seeds", "seed"), ("iterations", "steps"))
    )
    assert "fresh weights" in told
    assert "trained weights" in plane.study(Experiment(trained=True))["told"]


def test_inputs_that_are_no_pictures_stand_beside_no_pictures():
    assert plane.study(edit(Experiment(), "network", Transformer().name)) == {
        "dots": [],
        "told": f"{plane.AXES} {plane.OTHERS}",
    }
