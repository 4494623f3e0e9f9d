"""What the page says of a run is said in the words of its inputs, and measured as their modality measures."""

import asyncio
import math
import re
from dataclasses import asdict, is_dataclass

import pytest
from test_session import opened, until

from lab import Experiment, GradientMatching, LabError, Recursive, attack, simulate_round
from lab.experiments.edits import patched
from lab.experiments.recommended import recommended_for_observation
from lab.options.catalogue import entries
from lab.options.plain import to_plain
from widgets.form import steps
from widgets.playback.playback import Playback, frame_data
from widgets.views.chips import Chips
from widgets.views.compare import Compare
from widgets.views.ending import Ending
from widgets.views.secret import Secret

OTHERS = sorted(set(entries("modality")) - {"images"})
OF_PICTURES = re.compile(r"pictur|photo|pixel|psnr|ssim|\bgrey\b|\bimage", re.IGNORECASE)


def usual(name):
    return patched(Experiment(), [("network", entries("modality")[name].network)])


def texts(value):
    """Every text in plain data, keys included: they are what a table or a reader of JSON is told."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        yield from texts(asdict(value))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (*texts(key), *texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def of_pictures(value):
    return [text for text in texts(value) if OF_PICTURES.search(text)]


def scores_of(frame):
    """Its table; that of each input is called as result files have always called it."""
    return {name: value for name, value in frame.numbers.items() if name != "pictures"}


def shown_by(session):
    """What the views are told: traits of those that speak of inputs, the round, the frames and the strip of runs."""
    film = Playback(session, recorded=False)
    views = [kind(film, session) for kind in (Chips, Ending, Secret)]
    compared = Compare(film, session)
    compared.comparison.secrets = [session.round_info]
    yield {
        name: getattr(view, name)
        for view in views
        for name in ("entries", "note", "question", "cause", "mend")
        if view.has_trait(name)
    }
    yield {name: value for name, value in film.round.items() if not isinstance(value, bytes)}
    yield [frame_data(frame) | {"numbers": scores_of(frame)} for frame in session.frames]
    yield [{name: value for name, value in run.items() if name != "pixels"} for run in session.history]
    algebra = session.algebra()
    yield [session.message, algebra.get("conditions", []), algebra["sentence"]]
    assert not algebra["has_body"] or session.experiment.modality.name == "images"
    assert [secret["one"] for secret in compared.secrets] == [session.experiment.modality.one]


@pytest.mark.parametrize("matching", [False, True], ids=["its own attack", "by guessing"])
@pytest.mark.parametrize("name", sorted(entries("modality")))
def test_a_run_is_told_in_the_words_and_measures_of_its_inputs(name, matching):
    modality = entries("modality")[name]()
    experiment = usual(name)
    if matching:
        experiment = patched(experiment, [("attack", to_plain(GradientMatching(priors=(), iterations=3)))])
    elif name == "images":
        experiment = patched(experiment, [("iterations", 3)])

    async def story():
        async with opened(experiment.to_plain()) as session:
            await until(session, "ready")
            session.start()
            await until(session, "finished", "failed")
            assert session.status == "finished", session.message
            last = session.frames[-1]
            assert last.measures.keys() == modality.measures.keys()
            assert math.isfinite(last.measures[modality.main])
            told = session.round_info
            assert (told["one"], told["many"], told["main"]) == (modality.one, modality.many, modality.main)
            assert [each["title"] for each in told["measures"]] == [measure.title for measure in modality.measures.values()]
            assert {each["name"] for each in told["controls"]} <= last.numbers.keys()
            (run,) = session.history
            assert modality.measures[modality.main].told(last.measures[modality.main]) in run["score"]
            found = [word for shown in shown_by(session) for word in of_pictures(shown)]
            assert bool(found) == (name == "images"), found

    asyncio.run(story())


@pytest.mark.parametrize("name", OTHERS)
def test_every_next_step_stays_with_the_inputs_and_can_be_attacked(name):
    present, asked = usual(name), []
    for _ in steps.offered(present):
        step = steps.after(present)
        asked.append(step.key)
        present = steps.made(step, present)
        assert present.modality.name == name
        next(attack(simulate_round(present).observation, present.attack))
    assert asked == [step.key for step in steps.offered(present)]
    assert {"batch", "noise"} <= set(asked)
    assert not of_pictures([steps.offered(present)])


@pytest.mark.parametrize("name", OTHERS)
def test_a_refusal_names_attacks_that_find_such_inputs(name):
    seen = simulate_round(usual(name)).observation
    own = [key for key, entry in entries("attack").items() if entry.modality == name]
    with pytest.raises(LabError) as refused:
        attack(seen, Recursive())
    with pytest.raises(LabError) as shapeless:
        _ = seen.image_shape
    advised = re.split(r", | or ", str(refused.value).rpartition("; take ")[2].rstrip("."))
    assert advised[0] == recommended_for_observation(seen).name
    assert set(advised[: len(own)]) == set(own)
    assert own
    for key in advised:
        attack(seen, entries("attack")[key]()).close()
    assert str(shapeless.value).endswith("lab.attack(seen) takes one that finds them.")
    attack(seen).close()
