"""The form and the wire without a browser: schema, edits, and what a stranger may send."""

import io
from dataclasses import replace

import numpy as np
import pytest
import segno
import traitlets
from PIL import Image

from lab import Experiment, simulate_round
from lab.attacks.analytic import Analytic
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.client.datasets.drawing import Drawing
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.inline import Inline
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.pruning import Pruning
from lab.experiments.edits import edit
from lab.experiments.failures import FAILURES
from lab.experiments.presets import PRESETS
from lab.federated.networks.lenet import LeNet
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from widgets.door.messages import Listener
from widgets.form.admission import change, edited
from widgets.form.controls import IN_SIGHT, schema
from widgets.form.costs import PRICED, QUICK_S, TOLD, Costs, costs_of
from widgets.form.steps import STEPS
from widgets.landscape.known import outcome_of
from widgets.pages.written import catch_up, written
from widgets.playback import recording
from widgets.playback.playback import Playback
from widgets.run.frames import Frame, describe_round
from widgets.run.session import Session
from widgets.surroundings import NAMES, OWN_ADDRESS
from widgets.views.chips import Chips
from widgets.views.controls import Controls
from widgets.views.doctor import Doctor
from widgets.views.ending import Ending
from widgets.views.guess import Guess
from widgets.views.page import Page
from widgets.views.panel import Panel
from widgets.views.presets import Presets
from widgets.views.share import Share, reachable
from widgets.views.transport import Transport

PROMISED = {"picture", "network", "trained", "distance", "local_steps", "batch_size", "tv", "iterations", "seed"}


class Fake(traitlets.HasTraits):
    """A session that only remembers what it was asked for."""

    status = traitlets.Unicode("ready")
    message = traitlets.Unicode("")
    experiment = traitlets.Any(None, allow_none=True)
    round_info = traitlets.Any(None, allow_none=True)
    device = traitlets.Unicode("CPU, 1 thread")
    pace_seconds = traitlets.Float(6.0)
    iterations = traitlets.Int(200)
    hidden = traitlets.List()
    only = traitlets.List()
    attack_seconds = iterations_per_second = 1.0
    seconds_left = None
    numbers = None
    run = 1
    source = "live"
    can_undo = False
    costs = Costs()

    def __init__(self, experiment=None):
        super().__init__(experiment=experiment)
        self.asked, self.frames, self.callback = [], [], None

    def on_frame(self, callback):
        self.callback = callback

    @property
    def wanted(self):
        return self.experiment

    def take(self, step):
        self.show(step(self.experiment))

    change = Session.change

    def show(self, experiment):
        self.asked.append(("show", experiment))
        self.experiment = experiment

    def once_loaded(self, make):
        self.early = make

    def load(self, experiment):
        self.experiment = self.early(experiment)

    def algebra(self, row):
        self.asked.append(("algebra", row))
        return {"readable": True, "rows": 10, "slopes": np.zeros(10)}

    def __getattr__(self, name):
        if name in (
            "start",
            "start_if_quick",
            "pause",
            "reset",
            "step",
            "undo",
            "upload",
            "acknowledge",
            "heartbeat",
            "open_link",
        ):
            return lambda *arguments: self.asked.append((name, *arguments)) or ""
        raise AttributeError(name)


@pytest.fixture
def session():
    return Fake(Experiment())


@pytest.fixture
def film(session):
    return Playback(session)


def by_path(experiment):
    return {control["path"]: control for control in schema(experiment)}


def test_the_form_offers_what_the_page_promises():
    controls = by_path(Experiment())
    assert set(controls) >= PROMISED
    assert not any(controls[path]["advanced"] for path in PROMISED)
    assert {option["value"] for option in controls["network"]["options"]} == set(entries("network"))
    assert {option["value"] for option in controls["distance"]["options"]} == set(entries("distance"))
    assert all(control["help"] for control in controls.values())


@pytest.mark.parametrize("name", sorted(entries("network")))
def test_every_control_of_every_network_takes_its_own_value_back(name):
    experiment = edit(Experiment(), "network", name)
    for path, control in by_path(experiment).items():
        again = edit(experiment, path, control["value"])
        assert by_path(again)[path]["value"] == control["value"], path


@pytest.mark.parametrize("name", sorted(entries("network")))
def test_every_choice_of_every_control_is_allowed(name):
    experiment = edit(Experiment(), "network", name)
    for path, control in by_path(experiment).items():
        for option in control.get("options", ()):
            assert edit(experiment, path, option["value"])


@pytest.mark.parametrize("name", sorted(entries("modality")))
def test_the_form_offers_what_serves_inputs_of_the_kind_and_a_way_back_to_pictures(name):
    modality = entries("modality")[name]()
    experiment = edit(Experiment(), "network", modality.network)
    controls = by_path(experiment)
    assert controls["batch_size"]["title"] == f"{modality.many.capitalize()} in the batch"
    offered = {option["value"] for option in controls["attack"]["options"]}
    assert experiment.attack.name in offered
    assert {entries("attack")[each].modality for each in offered} <= {"", name}
    assert ("picture" in controls) == (name == Gallery.modality)
    assert not [path for path, control in controls.items() if control["value"] == ""]
    matched = by_path(edit(experiment, "attack", "gradient_matching"))
    assert ("tv" in matched) == (name == TotalVariation.modality)
    assert edit(experiment, "network", Experiment().network.name) == Experiment()


def test_a_closed_form_has_no_loss_and_no_budget():
    controls = by_path(Experiment(attack=Analytic()))
    assert not {"distance", "tv", "iterations", "attack.optimiser"} & set(controls)


def test_the_emphasis_of_a_loss_stands_under_advanced():
    on_convnet = edit(Experiment(), "network", "convnet")
    found = {control["path"]: control for control in schema(on_convnet)}["attack.distance.emphasis"]
    assert (found["title"], found["value"], found["advanced"]) == ("Emphasis of the loss", 1000.0, True)
    assert edit(on_convnet, found["path"], 10.0).attack.distance.emphasis == 10.0


def test_bounds_come_from_the_options():
    controls = by_path(Experiment())
    assert (controls["batch_size"]["low"], controls["batch_size"]["high"]) == (1, 100)
    assert controls["iterations"]["log"]
    assert controls["seed"]["whole"]


def test_several_edits_are_one_change(session):
    assert change(session, (("batch_size", 2), ("network", "mlp"))) == ""
    ((_, shown),) = session.asked
    assert (shown.batch_size, shown.network.name) == (2, "mlp")


def test_a_bad_edit_changes_nothing_and_says_why(session):
    sentence = change(session, (("batch_size", 2), ("seed", -1)))
    assert "seed = -1 is out of range" in sentence
    assert session.asked == []


def test_edits_wait_for_the_engine():
    assert "loading" in change(Fake(None), (("seed", 1),))


def test_a_guess_draws_a_secret_that_the_reader_has_not_seen(session, film):
    guess = Guess(film, session)
    guess._receive(guess, {"type": "begin"}, [])
    assert session.experiment.dataset.first not in ("", Experiment().dataset.first)
    assert session.experiment.batch_size == 1


def test_a_guess_begun_while_the_lab_loads_draws_a_secret_afterwards():
    session = Fake(None)
    guess = Guess(Playback(session), session)
    guess._receive(guess, {"type": "begin"}, [])
    session.load(Experiment())
    assert session.experiment.dataset.first not in ("", Experiment().dataset.first)


def small_png():
    file = io.BytesIO()
    Image.effect_noise((40, 40), 70).save(file, "PNG")
    return file.getvalue()


PRESENT = {
    "the default": Experiment(),
    "another network and seed": Experiment(network=LeNet(), seed=3),
    "another secret": Experiment(dataset=Gallery(first="owl")),
    "a drawing": Experiment(dataset=Drawing()),
    "one's own": Experiment(dataset=Inline.from_bytes([(small_png(), "mine.png")], 32)),
    **{f"after {step.key}": edited(Experiment(), step.edits) for step in STEPS},
}


@pytest.mark.parametrize("present", PRESENT.values(), ids=PRESENT)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.key)
def test_every_step_starts_from_what_is_known_runs_at_once_and_is_lit(step, present):
    """Whatever there was, but for the secret, which is the reader's own wherever one picture is asked for."""
    session = Fake(present)
    chips = Chips(Playback(session), session)
    chips._receive(chips, {"choose": step.key}, [])
    usual = edited(Experiment(), step.edits)
    secret = present.dataset if usual.batch_size == 1 else usual.dataset
    assert session.experiment == replace(usual, dataset=secret)
    assert session.asked[-1] == ("start",)
    assert (chips.chosen, chips.note.startswith(step.note)) == (step.key, True)


def test_after_a_run_the_next_question_is_asked_and_all_of_them_come_in_turn(session, film):
    ending = Ending(film, session)
    asked = []
    for _ in STEPS:
        asked.append(ending.question)
        ending._receive(ending, {"type": "next"}, [])
    assert asked == [step.question for step in STEPS]
    assert ending.question == asked[0]


def test_a_chip_is_let_go_when_the_experiment_changes_otherwise(session, film):
    chips = Chips(film, session)
    chips._receive(chips, {"choose": "batch"}, [])
    change(session, (("seed", 5),))
    assert (chips.chosen, chips.note) == ("", "")


@pytest.mark.parametrize(("key", "left"), [("losses", ""), ("batch", "batch"), ("algebra", "algebra")])
def test_closing_what_a_chip_opened_lets_go_of_that_chip_alone(key, left, session, film):
    chips = Chips(film, session)
    chips._receive(chips, {"choose": key}, [])
    chips._receive(chips, {"closed": "compare"}, [])
    assert chips.chosen == left
    assert bool(chips.note) == bool(left)


@pytest.mark.parametrize("status", ["ready", "failed", "finished"])
def test_whatever_came_of_a_change_the_form_and_the_chips_show_what_there_is(status, session, film, monkeypatch):
    """A change may be refused after it was taken, or taken back before it was made: then the experiment stays what it was."""
    controls, chips, sent = Controls(film, session), Chips(film, session), []
    monkeypatch.setattr(controls, "send", sent.append)
    monkeypatch.setattr(session, "take", lambda step: None)  # taken, and never made
    chips._receive(chips, {"choose": "steps"}, [])
    session.status = "loading"
    assert sent == []
    session.status = status
    assert sent == [{"type": "settled"}]
    assert chips.chosen == chips.note == ""
    session.status = "running"
    assert sent == [{"type": "settled"}]


def test_a_chip_chosen_while_the_lab_loads_is_taken_afterwards():
    session = Fake(None)
    chips = Chips(Playback(session), session)
    chips._receive(chips, {"choose": "batch"}, [])
    assert "still loading" in chips.note
    assert session.asked == [("start",)]
    session.load(Experiment())
    assert session.experiment.batch_size == 8
    assert chips.chosen == "batch"
    assert "still loading" not in chips.note
    change(session, (("seed", 5),))
    assert (chips.chosen, session.experiment.batch_size) == ("", 8)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_it_is_until_something_is_changed(name, session, film):
    presets, preset = Presets(film, session), PRESETS[name]
    presets._receive(presets, {"show": name}, [])
    assert session.experiment == preset.experiment
    assert session.asked[-1] == ("start",)
    assert (presets.shown["name"], presets.shown["paper_item"]) == (name, preset.paper_item)
    change(session, (("seed", 5),))
    assert presets.shown == {}
    change(session, (("seed", 0),))
    assert presets.shown["name"] == name


def test_the_rail_puts_the_sentence_beside_the_control(session, film):
    rail = Controls(film, session)
    assert len(rail.thumbs) >= 12
    rail._receive(rail, {"type": "edit", "path": "network", "value": "lenett"}, [])
    assert "Did you mean 'lenet'" in rail.errors["network"]
    rail._receive(rail, {"type": "edit", "path": "network", "value": "lenet"}, [])
    assert rail.errors == {}
    assert next(control for control in rail.controls if control["path"] == "network")["value"] == "lenet"


def test_a_change_is_attacked_once_no_other_follows_where_the_reader_wants_it(session, film):
    rail = Controls(film, session)

    def said(kind, **more):
        rail._receive(rail, {"type": kind} | more, [])
        return session.asked[-1] if session.asked else ()

    said("edit", path="seed", value=3)
    assert said("follow") == ("show", session.experiment), "a lesson's form waits to be asked"
    said("at_once", wanted=True)
    assert said("follow") == ("start_if_quick",)
    assert said("follow") == said("edit", path="seed", value=-4) == said("follow") == ("start_if_quick",)
    assert session.asked.count(("start_if_quick",)) == 1, "once, and nothing of what was refused"
    assert said("edit", path="seed", value=5) == said("edit", path="seed", value=5) == ("show", session.experiment)
    assert said("follow") == ("start_if_quick",)
    assert said("undo") == ("undo",)
    assert said("follow") == ("start_if_quick",)
    said("edit", path="seed", value=6)
    session.status = "running"
    assert said("follow") == ("show", session.experiment), "it is being attacked already"


@pytest.mark.parametrize("name", sorted(entries("modality")))
def test_what_can_be_clicked_next_has_its_cost_and_what_nobody_can_have_has_none(name):
    present = edit(Experiment(), "network", entries("modality")[name]().network)
    costs = costs_of(present)
    assert costs.is_quick == (costs.present <= QUICK_S)
    controls = {control["path"]: control for control in costs.shown_in(schema(present))}
    for path in PRICED:
        told = [option for option in controls[path]["options"] if option.get("seconds") is not None]
        assert present.network.name in [option["value"] for option in told] or path != "network"
        assert controls[path]["help"].endswith(TOLD) == bool(told), "no number that nobody explains"
        for option in told:
            after = edited(present, ((path, option["value"]),))
            assert after.modality == present.modality or outcome_of(after), "of another kind only what was measured"
            assert option["seconds"] == pytest.approx(costs_of(after).present)
    assert not any("seconds" in option for path in set(controls) - set(PRICED) for option in controls[path].get("options", ()))


def test_a_defence_is_chosen_and_its_strength_set_under_advanced():
    controls = by_path(Experiment())
    assert {option["value"] for option in controls["defence"]["options"]} == {"none", *entries("defence")}
    assert controls["defence"]["advanced"]
    assert controls["defence"]["value"] == "none"
    for name in entries("defence"):
        chosen = by_path(edit(Experiment(), "defence", name))
        assert chosen["defence"]["value"] == name
        strengths = [control for path, control in chosen.items() if path.startswith("defences.0.")]
        assert len(strengths) == len(fields_of(entries("defence")[name]))
        for control in strengths:
            for value in control.get("suggestions", ()):
                assert edit(edit(Experiment(), "defence", name), control["path"], value)


def test_of_several_defences_the_form_shows_the_strengths():
    both = Experiment(defences=(GaussianNoise(strength=1.0), Pruning(strength=0.5)))
    controls = by_path(both)
    assert "defence" not in controls
    assert [controls[f"defences.{place}.strength"]["value"] for place in (0, 1)] == [1.0, 0.5]
    assert controls["defences.1.strength"]["title"] == "Strength of the pruning"


def test_an_upload_is_handed_over_as_bytes_and_a_huge_one_is_not(session, film):
    rail = Controls(film, session)
    rail._receive(rail, {"type": "upload", "name": "me.png"}, [memoryview(b"picture")])
    rail._receive(rail, {"type": "upload", "name": "me.png"}, [memoryview(bytes(9_000_000))])
    assert session.asked == [("upload", b"picture", "me.png")]


def test_the_share_writes_the_present_link_and_says_what_it_leaves_out(session, film):
    share = Share(film, session)
    assert (share.link, share.left_out) == ("", "")
    session.experiment = edit(session.experiment, "network", "lenet")
    share._receive(share, {"type": "hide", "paths": ["picture", "seed"]}, [])
    assert share.link == "network=lenet&hide=picture,seed"
    share._receive(share, {"type": "hide", "paths": []}, [])
    assert share.link == "network=lenet"
    session.experiment = Experiment(dataset=Inline(("iVBOR",), (0,)))
    assert share.link == ""
    assert "your own files" in share.left_out


def test_hiding_controls_keeps_what_the_link_hides_else(session, film):
    share = Share(film, session)
    session.hidden = ["chips", "tv"]
    share._receive(share, {"type": "hide", "paths": ["seed"]}, [])
    assert session.hidden == ["chips", "seed"]


def test_a_qr_code_says_its_address(session, film, monkeypatch):
    share = Share(film, session)
    sent = sent_by(share, monkeypatch)
    address = "http://localhost:8866/?network=lenet&attack=gradient_matching:distance=cosine,iterations=400"
    share._receive(share, {"type": "qr", "address": address}, [])
    ((content, _),) = sent
    assert content["rows"] == ["".join(map(str, row)) for row in segno.make(address, micro=False).matrix]
    assert {len(row) for row in content["rows"]} == {len(content["rows"])}


LINK = "?network=lenet&seed=3"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":8866"])
def test_a_qr_code_that_no_phone_could_open_says_so_and_what_would_help(host, port, monkeypatch):
    here = f"http://{host}{port}/{LINK}"
    monkeypatch.delenv(NAMES, raising=False)
    monkeypatch.delenv(OWN_ADDRESS, raising=False)
    drawn, note = reachable(here)
    assert drawn == here
    assert "Only this machine can open" in note
    assert "--host NAME" in note
    monkeypatch.setenv(OWN_ADDRESS, "192.168.1.7")
    drawn, note = reachable(here)
    assert drawn == here
    assert "--host 192.168.1.7" in note
    assert f"http://192.168.1.7{port}/" in note
    monkeypatch.setenv(NAMES, "lab.example.org,other.example.org")
    drawn, note = reachable(here)
    assert drawn == f"http://lab.example.org{port}/{LINK}"
    assert "lab.example.org" in note


@pytest.mark.parametrize(
    "address", ["https://lab.example.org/?seed=3", "http://192.168.1.7:8866/", "no address", "http://[", "http://a:b/"]
)
def test_any_other_address_is_drawn_as_it_is(address, monkeypatch):
    monkeypatch.setenv(NAMES, "lab.example.org")
    assert reachable(address) == (address, "")


def test_only_the_page_reads_its_address(session):
    for film in (Playback(session), Playback(session, reads_address=True)):
        film._receive(film, {"type": "open", "query": "?seed=3"}, [])
    assert session.asked == [("open_link", "?seed=3")]


def test_the_doctor_shows_a_failure_and_mends_it(session, film):
    doctor = Doctor(film, session)
    assert len(doctor.cases) >= 6
    assert doctor.case == {}
    for name, failure in FAILURES.items():
        session.asked.clear()
        doctor._receive(doctor, {"show": name}, [])
        assert session.asked == [("show", failure.experiment), ("start",)]
        assert (doctor.case["cause"], doctor.case["mended"]) == (failure.cause, False)
        doctor._receive(doctor, {"mend": True}, [])
        assert session.experiment == failure.mended
        assert doctor.case["mended"]
    session.experiment = Experiment(seed=77)
    assert doctor.case == {}


STRANGE = [
    None, 3, "start", [], {}, {"type": None}, {"type": ["start"]}, {"type": "__init__"}, {"type": "step", "count": 7},
    {"type": "step", "count": "10"}, {"type": "pace", "seconds": -1}, {"type": "edit", "path": 3}, {"row": 99},
    {"row": "1"}, {"row": -1}, {"choose": "nothing"}, {"type": "drawn", "frame": "x"}, {"type": "upload"},
    {"type": "qr", "address": 3}, {"type": "qr", "address": "x" * 2000}, {"type": "hide", "paths": "seed"},
    {"type": "hide", "paths": ["__class__"]}, {"type": "open", "query": 3},
    {"type": "at_once"}, {"type": "at_once", "wanted": "yes"}, {"show": "nothing"}, {"show": ["late_training"]}, {"mend": True},
]  # fmt: skip


@pytest.mark.parametrize("content", STRANGE, ids=str)
def test_what_a_stranger_sends_is_ignored(content, session, film):
    views = [
        Transport(film, session),
        Controls(film, session),
        Panel(film, session),
        Chips(film, session),
        Share(film, session),
        Doctor(film, session),
        Ending(film, session),
        Presets(film, session),
        film,
    ]
    session.asked.clear()
    for view in views:
        view._receive(view, content, [])
    assert session.asked == []
    assert session.hidden == []
    assert session.pace_seconds == 6.0


def test_the_transport_passes_commands_on(session, film):
    transport = Transport(film, session)
    for content in ({"type": "start"}, {"type": "step", "count": 10}, {"type": "pause"}, {"type": "reset"}):
        transport._receive(transport, content, [])
    transport._receive(transport, {"type": "pace", "seconds": 0}, [])
    assert session.asked == [("start",), ("step", 10), ("pause",), ("reset",)]
    assert session.pace_seconds == 0.0


def test_a_failed_run_is_prepared_anew_before_it_starts(session, film):
    session.status = "failed"
    transport = Transport(film, session)
    transport._receive(transport, {"type": "start"}, [])
    assert session.asked == [("reset",), ("start",)]


def a_frame(number):
    image = np.full((4, 4, 3), number, np.uint8)
    return Frame(number, 1, number, float("nan"), {"psnr_db": 10.0}, "Taking shape", "2nd of 8 in the line-up", image, 0.1)


def sent_by(film, monkeypatch):
    sent = []
    monkeypatch.setattr(film, "send", lambda content, buffers=None: sent.append((content, buffers)))
    return sent


def test_a_frame_crosses_the_wire_as_words_and_bytes(session, film, monkeypatch):
    sent = sent_by(film, monkeypatch)
    session.callback(a_frame(3))
    ((content, buffers),) = sent
    assert content["objective"] is None, "NaN is not JSON"
    assert (content["type"], content["id"], content["height"], content["width"]) == ("frame", 3, 4, 4)
    assert buffers == [bytes([3] * 48)]
    film._receive(film, {"type": "drawn", "frame": 3}, [])
    assert session.asked == [("acknowledge", 3)]


@pytest.mark.parametrize(
    ("edits", "run", "cleared"),
    [((), 1, False), ((("trained", True),), 1, True), ((), 2, True)],
    ids=["default", "other", "again"],
)
def test_the_recording_goes_as_soon_as_another_experiment_or_run_is_there(monkeypatch, edits, run, cleared):
    session = Fake()
    session.status = "loading"
    film = Playback(session)
    sent = sent_by(film, monkeypatch)
    session.experiment, session.run = edited(Experiment(), edits), run
    session.status = "ready"
    assert [content for content, _ in sent] == ([{"type": "clear", "run": run}] if cleared else [])


def test_a_browser_that_joins_late_gets_all_frames(session, film, monkeypatch):
    session.frames = [a_frame(1), a_frame(2)]
    sent = sent_by(film, monkeypatch)
    film._receive(film, {"type": "hello"}, [])
    ((content, buffers),) = sent
    assert [frame["id"] for frame in content["frames"]] == [1, 2]
    assert len(buffers) == 2
    assert session.asked == [("heartbeat",)]


def test_the_recording_is_of_the_default_experiment():
    recorded, experiment = recording.load(), Experiment()
    attacked = simulate_round(experiment)
    described = describe_round(experiment, attacked)
    assert recorded["round"]["numbers"] == described["numbers"]
    assert recorded["round"]["images"] == described["images"].tobytes()
    np.testing.assert_allclose(np.frombuffer(recorded["round"]["sample"], np.float32), described["sample"], atol=1e-4)
    run = recorded["run"]
    assert Experiment.from_plain(run["experiment"]) == experiment, (
        "the defaults have moved on: python -m widgets.playback.record"
    )
    assert run["iterations"] == experiment.attack.iterations
    assert len(run["pixels"]) == len(run["frames"]) * run["height"] * run["width"] * 3
    assert run["frames"][0]["verdict"] == "Not recognisable"
    assert run["frames"][-1]["verdict"] == "Recognisable"


def test_a_page_holds_its_widgets_and_is_told_later_what_has_changed_since(session, film, monkeypatch):
    page = Page(film, share=Share(film, session), guess=Guess(film, session))
    page.share.link = "seed=1"
    told = {}
    monkeypatch.setattr(Listener, "send_state", lambda widget, key=None: told.update({widget: set(key)}))
    catch_up(page)
    assert told == {}  # nothing was written
    whole = written(page)
    models = whole["models"]
    assert models.keys() == {page.model_id, film.model_id, page.share.model_id, page.guess.model_id}
    assert models[page.share.model_id]["state"]["link"] == "seed=1"
    assert models[page.model_id]["state"]["share"] == f"anywidget:{page.share.model_id}"
    for widget in (page, film, page.share, page.guess):
        assert whole["shared"] + models[widget.model_id]["state"]["_esm"] == widget._esm
    assert str(whole).count("function filmOf(") == 1, "what all scripts share is written once"
    session.experiment = Experiment(seed=2)
    told.clear()
    catch_up(page)
    assert page.share in told
    assert told[page.share] >= {"link"}
    assert page.guess not in told


def test_the_page_needs_neither_torch_nor_the_engine_to_stand():
    import subprocess
    import sys

    code = "import sys, widgets; assert not {'torch', 'lab', 'plotly'} & set(sys.modules), 'imported too early'"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("path", IN_SIGHT)
def test_of_many_choices_a_few_are_in_sight_and_none_is_lost(path):
    control = next(control for control in schema(Experiment()) if control["path"] == path)
    names = [option["value"] for option in control["options"]]
    assert tuple(names[: control["sight"]]) == IN_SIGHT[path]
    assert sorted(names) == sorted([*entries(path), *(["none"] if path == "defence" else [])])
    assert control["value"] in IN_SIGHT[path], "what the page begins with is in sight"
