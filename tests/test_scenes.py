"""What every scene of the guided story promises; a new file is covered without a new test."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab import Verdict, reconstruct, score, simulate_round
from lab.attacks.recursive import Recursive
from lab.client.checkpoints import card
from lab.course.scenes.base import in_order
from lab.experiments import links
from lab.experiments.edits import patched
from lab.modalities.base import modality_of
from lab.options.catalogue import entries
from widgets.form.admission import admitted
from widgets.form.part_names import EVERYTHING
from widgets.readouts.layers_inverted import way_down

ROOT = Path(__file__).parent.parent
SCENES = in_order(entries("scene"))
EVERY = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
LONGEST = 260


def test_the_story_goes_from_what_is_shared_to_what_helps():
    assert len(SCENES) >= 6
    places = [scene.place for scene in SCENES.values()]
    assert len(set(places)) == len(places), "no two scenes have one place"
    assert (next(iter(SCENES)), list(SCENES)[-1]) == ("secret", "protect")


@EVERY
def test_a_scene_asks_answers_and_leads_to_what_there_is(scene):
    assert len(set(scene.answers)) == len(scene.answers) >= 2
    assert 0 <= scene.right < len(scene.answers)
    for words in (scene.title, scene.text, scene.question, scene.because, scene.sentence, scene.paper):
        assert 0 < len(words) <= LONGEST
    assert scene.question.endswith("?")
    assert scene.sentence.endswith(".")
    assert {*scene.shows} <= {*EVERYTHING, "panel"}
    assert not (scene.runs and scene.peels)
    assert not (scene.runs or scene.peels) or "server" in scene.shows
    assert (scene.runs or scene.peels) == (scene.expected is not None)
    assert (ROOT / "notebooks" / f"{scene.lesson}.ipynb").is_file()
    assert (ROOT / scene.code).is_file()


@EVERY
def test_the_link_of_a_scene_is_read_without_a_fault_and_fits_an_address(scene):
    link = links.read(scene.link, admitted)
    assert link.notices == ()
    assert links.read(links.write(link.experiment)).experiment == link.experiment


@EVERY
@pytest.mark.slow
def test_a_scene_comes_to_the_verdict_that_its_words_are_about(scene):
    if scene.runs or scene.peels:
        experiment = links.read(scene.link).experiment
        attacked = simulate_round(experiment)
        experiment = replace(experiment, attack=Recursive()) if scene.peels else experiment
        *_, last = reconstruct(experiment, attacked.observation)
        assert score(attacked, last).verdict is scene.expected


def played(scene):
    """The round of a scene, and every state of its attack."""
    experiment = links.read(SCENES[scene].link).experiment
    attacked = simulate_round(experiment)
    return attacked, list(reconstruct(experiment, attacked.observation))


@pytest.mark.slow
def test_the_guess_is_known_after_fewer_than_ten():
    attacked, states = played("guess")
    known = next(state.iteration for state in states if score(attacked, state).verdict is Verdict.RECOGNISABLE)
    assert known < 10
    assert SCENES["guess"].answers[SCENES["guess"].right] == "fewer than ten"


@pytest.mark.slow
def test_where_length_misleads_cosine_finds_the_picture():
    """The same attack but for that; a balanced Euclidean distance, which differs from its cosine in length alone, fails."""
    experiment = links.read(SCENES["direction"].link).experiment
    attacked = simulate_round(experiment)
    for distance, finds in (("cosine", True), ("balanced_cosine", True), ("balanced_euclidean", False)):
        *_, last = reconstruct(patched(experiment, [("distance", distance)]), attacked.observation)
        assert (score(attacked, last).verdict is Verdict.RECOGNISABLE) == finds, distance


def test_the_algebra_divides_and_takes_off_as_many_layers_as_the_scene_says():
    scene = SCENES["algebra"]
    experiment = links.read(scene.link).experiment
    *_, end = way_down(experiment, simulate_round(experiment), lambda: False)
    assert f"{end['division']['count']:,} times" in scene.because
    assert (len(end["layers"]), "three layers" in scene.because) == (3, True)
    assert end["picture"]["psnr_db"] >= 100


@pytest.mark.slow
def test_all_eight_come_back():
    attacked, states = played("eight_pictures")
    thresholds = modality_of("images").thresholds
    verdicts = [thresholds.verdict(one.line_up_rank, one.likeness) for one in score(attacked, states[-1]).by_input]
    assert verdicts == [Verdict.RECOGNISABLE] * 8
    numbers = sum(tensor.numel() for tensor in attacked.observation.update.values())
    assert round(numbers / attacked.batch.images.numel()) == 4


def test_the_trained_network_was_trained_for_forty_epochs():
    assert "forty epochs" in SCENES["trained"].text
    assert card(links.read(SCENES["trained"].link).experiment.network).recipe.epochs == 40
