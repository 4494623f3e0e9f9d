"""The gate: what nobody may bring behind a page, by the form, a link or a file; and folders lent by name."""

import asyncio
import base64
import io
import json
import os
import socket
from pathlib import Path

import pytest
from adversarial_inputs import FRAME, a_run
from audit_hooks import watched
from PIL import Image
from test_session import opened, until
from typer.testing import CliRunner
from visiting import free_port

from lab import Experiment, LabError, simulate_round
from lab.cli import app
from lab.client.checkpoints.card import Accuracy, Card, Recipe
from lab.client.datasets.folder import Folder
from lab.client.datasets.inline import Inline
from lab.client.datasets.lent_folder import LentFolder
from lab.experiments import links
from lab.experiments.edits import edit
from lab.experiments.failures import FAILURES
from lab.experiments.presets import PRESETS
from lab.files.lent_folders import LENT, lend, lent
from lab.options.catalogue import entries
from lab.options.fields import check_value, fields_of
from widgets import Lab
from widgets.door.messages import MAX_NAMES, MAX_NUMBERS, Message
from widgets.door.quiet import TROUBLE
from widgets.files import run_file
from widgets.form import admission
from widgets.form.admission import edited
from widgets.form.contrasts import contrasts
from widgets.form.controls import FOLDER, schema
from widgets.form.steps import STEPS
from widgets.playback.playback import Playback
from widgets.run import opening
from widgets.serving import serve as serving
from widgets.serving.serve import serve
from widgets.views.controls import Controls

HERE = {"inline", "lent_folder", "unknown"}
"""Pictures inside the experiment, and folders that the owner lends; or nobody's picture."""
NOT_SHIPPED = sorted(name for name, entry in entries("dataset").items() if not entry.is_shipped and name not in HERE)


def naming(name, place):
    """An experiment's plain data that names a place of the machine in every way that its data set has."""
    texts = [field.name for field in fields_of(entries("dataset")[name]) if field.name in ("path", "root")]
    return {"dataset": {"name": name} | dict.fromkeys(texts, place)}


@pytest.fixture
def private(tmp_path):
    """A folder with a private picture, a pipe, a socket and a link out of it."""
    folder = tmp_path / "private"
    folder.mkdir()
    Image.effect_noise((32, 32), 60).save(folder / "secret.png")
    return folder


def refuses(make):
    with pytest.raises(LabError) as caught:
        make()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "/tmp" not in sentence
    return sentence


@pytest.mark.parametrize("name", NOT_SHIPPED)
def test_no_door_of_a_page_takes_a_data_set_that_names_a_place_or_is_not_shipped(name, private):
    plain = naming(name, str(private))
    here = Experiment()
    with watched() as touched:
        assert "control of the form" in refuses(lambda: edited(here, (("dataset", plain["dataset"]),)))
        for key, place in plain["dataset"].items():
            refuses(lambda key=key, place=place: edited(here, ((f"dataset.{key}", place),)))
            assert "In the link" in opening.from_link(f"dataset={name}&dataset.{key}={place}")().notice
        told = ",".join(f"{key}={place}" for key, place in plain["dataset"].items() if key != "name")
        for query in (f"dataset={name}", f"dataset={name}:{told}"):
            assert opening.from_link(query)().experiment == here
        refuses(lambda: run_file.read(json.dumps(a_run(experiment=plain)).encode()))
    assert touched == []


def test_no_door_takes_weights_from_a_file_of_ones_own(private):
    own = str(private / "weights.pth")
    refuses(lambda: edited(Experiment(), (("weights", own),)))
    assert opening.from_link(f"trained=true&weights={own}")().experiment == edit(Experiment(), "trained", True)
    assert "no weights" in refuses(lambda: run_file.read(json.dumps(a_run(experiment={"weights": own})).encode()))
    shipped = {"trained": True, "weights": "small_convnet-epoch-1.safetensors"}
    assert run_file.read(json.dumps(a_run(experiment=shipped)).encode()).experiment == Experiment(**shipped)


def test_what_the_page_itself_offers_passes():
    for preset in PRESETS.values():
        assert admission.admitted(preset.experiment) is preset.experiment
    for failure in FAILURES.values():
        assert admission.admitted(failure.mended) == failure.mended
    for step in STEPS:
        assert edited(Experiment(), step.edits)
    for contrast in contrasts(Experiment()):
        for option in contrast["options"]:
            assert edited(Experiment(), ((contrast["path"], option["value"]),))


def test_the_owners_own_python_may_name_data_and_the_form_changes_the_rest(private):
    own = Experiment(dataset=Folder(str(private)))
    changed = edited(own, (("seed", 3), ("network", "mlp")))
    assert (changed.dataset, changed.seed, changed.network.name) == (own.dataset, 3, "mlp")
    refuses(lambda: edited(own, (("dataset.path", "/etc"),)))
    refuses(lambda: run_file.read(json.dumps(a_run(experiment=own.to_plain())).encode()))


# --- folders lent by name ---


@pytest.fixture
def holiday(tmp_path, monkeypatch):
    folder = tmp_path / "holiday"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((32, 32), 60).convert("RGB").save(folder / name / f"{number}.png")
    monkeypatch.setenv(LENT, lend([folder]))
    return folder


def test_a_lent_folder_is_a_choice_of_the_form_and_travels_by_its_name(holiday):
    controls = {control["path"]: control for control in schema(Experiment())}
    assert [option["value"] for option in controls[FOLDER]["options"]] == ["", "holiday"]
    chosen = edited(Experiment(), ((FOLDER, "holiday"), ("batch_size", 2), ("dataset.first", 3)))
    assert chosen.dataset == LentFolder("holiday", first=3)
    query = links.write(chosen)
    assert "holiday" in query
    assert str(holiday.parent) not in query
    assert opening.from_link(query)().experiment == chosen
    assert run_file.read(json.dumps(a_run(experiment=chosen.to_plain())).encode()).experiment == chosen
    assert simulate_round(chosen).batch.images.shape == (2, 3, 32, 32)
    assert edited(chosen, ((FOLDER, ""),)).dataset == Experiment().dataset
    assert edited(chosen, (("picture", "cat"),)).dataset.first == "cat"


def test_on_another_machine_a_lent_folder_is_not_there_and_that_is_said(holiday, monkeypatch):
    chosen = edited(Experiment(), ((FOLDER, "holiday"),))
    for elsewhere in ("", lend([holiday.parent])):
        monkeypatch.setenv(LENT, elsewhere)
        told = opening.from_link(links.write(chosen))()
        assert told.experiment == Experiment()
        assert "'holiday'" in told.notice
        assert "'holiday'" in refuses(lambda: run_file.read(json.dumps(a_run(experiment=chosen.to_plain())).encode()))


def test_without_a_lent_folder_the_form_has_no_such_choice(monkeypatch):
    monkeypatch.delenv(LENT, raising=False)
    assert FOLDER not in {control["path"] for control in schema(Experiment())}
    refuses(lambda: edited(Experiment(), ((FOLDER, "holiday"),)))


def a_pipe(path):
    os.mkfifo(path)


def a_link_out(path):
    path.symlink_to("/etc/hostname")


def a_dangling_link(path):
    path.symlink_to(path.parent / "nowhere")


def a_link_to_itself(path):
    path.symlink_to(path)


def a_device(path):
    path.symlink_to("/dev/zero")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path may have a hundred characters
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def a_folder_elsewhere(path):
    (path.parent.parent.parent / "elsewhere").mkdir()
    Image.effect_noise((32, 32), 60).save(path.parent.parent.parent / "elsewhere" / "secret.png")
    (path.parent.parent / "bird").symlink_to(path.parent.parent.parent / "elsewhere")


ODD = [a_pipe, a_link_out, a_dangling_link, a_link_to_itself, a_device, a_socket, a_folder_elsewhere]


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_what_is_no_picture_of_the_folder_itself_is_a_sentence_and_no_wait(make, holiday):
    make(holiday / "cat" / "0000.png")
    sentence = refuses(lambda: simulate_round(Experiment(dataset=LentFolder("holiday"))))
    assert "holiday" in sentence


def test_a_picture_of_the_folder_that_cannot_be_read_is_a_sentence(holiday, monkeypatch):
    (holiday / "cat" / "0.png").write_bytes(b"none")
    assert "holiday/cat/0.png is not a picture" in refuses(lambda: simulate_round(Experiment(dataset=LentFolder("holiday"))))


def test_two_folders_of_one_name_and_what_is_no_folder_are_refused_at_the_start(holiday, tmp_path):
    (tmp_path / "other" / "holiday").mkdir(parents=True)
    with pytest.raises(LabError, match="Two folders are called 'holiday'"):
        lend([holiday, tmp_path / "other" / "holiday"])
    for wrong in (holiday / "no", holiday / "cat" / "0.png", Path("/"), Path("/dev/zero")):
        with pytest.raises(LabError, match=r"lend|lent"):
            lend([wrong])
    assert set(lent()) == {"holiday"}


def test_the_server_tells_its_kernels_of_the_folders_and_says_what_cannot_be_lent(holiday, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        serve(free_port(), data=[holiday, holiday])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv(LENT, "")
    monkeypatch.setattr(serving, "Watchdog", lambda: None)
    monkeypatch.setattr(serving, "_announce", lambda *_: None)
    monkeypatch.setattr(serving, "_run", lambda *_, **__: None)
    serve(free_port(), data=[holiday])
    assert lent() == {"holiday": holiday}


# --- the owner's own command line names paths, but waits for none ---


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "folder", "loop", "x" * 300, "a\x00b"])
@pytest.mark.parametrize(
    "words",
    [("--image",), ("--weights",), ("--experiment",), ("--dataset", "npz:path="), ("--dataset", "folder:path=")],
    ids="".join,
)
def test_the_command_line_neither_hangs_nor_fails_at_what_is_no_file(words, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    flag, *before = words
    result = CliRunner().invoke(app, ["run", "--network", "mlp:depth=1", "--iterations", "1", flag, "".join(before) + place])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith((".\n", "?\n"))


# --- files of runs and of experiments ---


def test_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "experiment.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"seed": 3}')
    assert Experiment.from_file(path).seed == 3
    assert run_file.read(b"\xef\xbb\xbf" + json.dumps(a_run()).encode()).experiment == Experiment()


def png(width, height):
    """A picture of one colour: many pixels in few bytes."""
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_of_a_run_are_counted_all_together_before_any_is_unpacked(monkeypatch):
    frames = [FRAME | {"png": png(1000, 1000)}] * (run_file.MAX_PIXELS // 10**6 + 1)
    own = Inline((png(2000, 2000),) * 3, (0,) * 3)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("unpacked"))
    assert "too large" in refuses(lambda: run_file.read(json.dumps(a_run(frames=frames)).encode()))
    assert "million pixels" in refuses(lambda: admission.admitted(Experiment(dataset=own)))


@pytest.mark.parametrize("part", [b"[],", b"1,", b'{"a":1},', b"[[["])
def test_megabytes_of_nested_json_are_refused_before_anything_is_made_of_them(part, monkeypatch):
    data = b"[" + part * (24_000_000 // len(part))
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("parsed"))
    assert "parts" in refuses(lambda: run_file.read(data))


KINDS = ("dataset", "attack", "network", "protocol", "defence", "prior", "optimiser", "distance")
OPTIONS = (Experiment, Card, Recipe, Accuracy, *(entry for kind in KINDS for entry in entries(kind).values()))
LISTS = [
    pytest.param(option, field, id=f"{option.__name__}.{field.name}")
    for option in OPTIONS
    for field in fields_of(option)
    if "tuple" in str(field.type)
]


@pytest.mark.parametrize(("option", "field"), LISTS)
def test_every_list_has_a_bound_that_is_checked_before_its_items(option, field):
    with pytest.raises(LabError, match=f"has {10**6} items; give at most {field.at_most.items}"):
        check_value(field, [object()] * 10**6, option)


# --- what goes wrong inside ---


@pytest.mark.parametrize("where", ["handler", "observer"])
def test_an_exception_in_a_handler_is_one_neutral_sentence_and_told_on_the_servers_side(where, monkeypatch, capfd):
    def broken(*_):
        raise ZeroDivisionError("/home/somebody/secret.py")

    async def story():
        async with opened() as session:
            await until(session, "ready")
            rail = Controls(Playback(session), session)
            if where == "handler":
                monkeypatch.setattr(rail, "_hear", broken)
            else:
                session.observe(broken, names=["status"])
            rail._handle_msg(
                {"content": {"data": {"method": "custom", "content": {"type": "edit", "path": "seed", "value": 3}}}}
            )
            assert session.message == TROUBLE

    asyncio.run(story())
    assert "/home/somebody/secret.py" in capfd.readouterr().err


def test_an_observer_that_fails_does_not_leave_the_page_loading():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            session.observe(lambda change: 1 / 0, names=["round_info"])
            session.edit("seed", 3)
            await until(session, "ready")
            assert session.message == TROUBLE

    asyncio.run(story())


def test_the_browser_writes_no_trait():
    async def story():
        async with opened() as session:
            await until(session, "ready")
            rail = Controls(Playback(session), session)
            before = rail.get_state()
            state = {"controls": [], "_esm": "alert(1)", "film": None, "layout": "IPY_MODEL_x", "at_once": True}
            rail._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})
            assert rail.get_state() == before

    asyncio.run(story())


def test_a_message_gives_only_what_is_of_the_kind_that_is_asked_for():
    message = Message.of(
        {"a": True, "b": 2**53 + 1, "c": ["x", "x"], "d": "x" * 201, "e": [1], "f": 1.0}, [memoryview(bytes(9))]
    )
    assert (message.whole("a"), message.whole("b"), message.whole("f"), message.truth("a")) == (None, None, None, True)
    assert (message.names("c"), message.names("e"), message.names("d")) == (["x"], None, None)
    assert (message.text("d"), message.text("d", 300), message.kind) == ("", "x" * 201, "")
    assert (message.file(8), message.file(9)) == (None, bytes(9))
    assert Message.of(3, "buffers") == Message({}, ())


@pytest.mark.parametrize(
    ("kind", "fits", "most"),
    [(Message.names, ["x"], MAX_NAMES), (Message.numbers, [0.5], MAX_NUMBERS), (Message.wholes, [1], MAX_NUMBERS)],
    ids=["names", "numbers", "wholes"],
)
def test_a_message_gives_a_list_only_where_each_of_its_values_is_of_the_kind_and_they_are_not_too_many(kind, fits, most):
    assert kind(Message({"some": fits}), "some") == fits
    assert kind(Message({"some": fits * most}), "some") is not None
    for wrong in (fits * (most + 1), *([*fits, odd] for odd in (None, True, fits, 2**60)), tuple(fits), "x", None):
        assert kind(Message({"some": wrong}), "some") is None


def test_a_lab_from_a_strangers_link_passes_the_gate_too(private):
    async def story():
        page = Lab.from_link(f"?seed=3&dataset=folder:path={private}")
        try:
            await until(page.session, "ready")
            assert page.session.experiment == Experiment(seed=3)
        finally:
            page.close()

    asyncio.run(story())
