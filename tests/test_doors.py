"""Every door of the lab against what strangers may send: a sentence or nothing, and nothing read, lost, downloaded or kept."""

import asyncio
import gc
import json
import re

import adversarial_inputs
import psutil
import pytest
from adversarial_inputs import a_run, distinct
from audit_hooks import watched
from test_session import opened, until
from typer.testing import CliRunner

from lab import Experiment, LabError
from lab.attacks.base import Attack
from lab.cli import app
from lab.client.datasets.base import Dataset
from lab.errors import LONGEST_SENTENCE
from lab.federated.networks.base import Network
from lab.files.lent_folders import LENT
from lab.options.catalogue import FOLDERS, entries
from lab.options.text import parse_entry
from widgets.door.quiet import TROUBLE
from widgets.files import run_file
from widgets.form import admission
from widgets.form.admission import edited
from widgets.pages.parts import PARTS, views
from widgets.playback.playback import Playback
from widgets.run import jobs, opening

COUNTS = {
    "links": 900,
    "messages": 1600,
    "comm messages": 300,
    "run files": 700,
    "experiment files": 500,
    "command lines": 450,
    "uploads": 300,
    "entries as text": 250,
}
MAX_GROWTH = 100 * 2**20
"""Bytes of memory that stay after all messages: caches of imports, no more."""


def test_there_are_five_thousand_of_them():
    assert sum(COUNTS.values()) == 5000


def is_a_sentence(text):
    assert text == "" or text[0].isprintable()
    assert len(text) <= 6 * LONGEST_SENTENCE
    assert text.isprintable(), repr(text)
    assert "Traceback" not in text
    assert not re.search(r"(/work|/root|/tmp|site-packages|(?<!FILE)\.py\b)", text), text  # FILE.py stands for one's own
    return text


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A machine without a folder of data, whose home is empty."""
    monkeypatch.delenv("GRADLAB_DATA", raising=False)
    monkeypatch.delenv(LENT, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))


def refused(job):
    """The sentence with which a job refuses; None where it does not."""
    try:
        job()
    except LabError as error:
        return is_a_sentence(str(error))
    return None


def on_a_page(check, monkeypatch):
    """Run ``check(session, views)`` on a page whose first round is there; further rounds cost nothing."""

    async def story():
        async with opened() as session:
            await until(session, "ready")
            attacked = session._round
            monkeypatch.setattr(jobs, "simulate", lambda experiment: (attacked, "one thread"))
            film = Playback(session, reads_address=False)
            made = views(film, session, [*PARTS, "algebra", "history"]) | {"film": film}
            made["rail"] = made.pop("controls")
            await check(session, made)

    asyncio.run(story())


def test_links_give_an_experiment_and_sentences(alone):
    queries = distinct(adversarial_inputs.links, COUNTS["links"])
    for kind in FOLDERS:
        entries(kind)  # loaded, whichever tests came before
    opening.from_link("network=lenet")()
    with watched() as touched:
        for query in queries:
            opened = opening.from_link(query)()
            is_a_sentence(opened.notice)
            assert admission.admitted(opened.experiment) is opened.experiment
            assert all(re.fullmatch(r"[a-z0-9_.]{1,60}", name) for name in opened.hidden)
    assert touched == []


def test_messages_of_every_view_are_answered_in_a_sentence_or_ignored(alone, monkeypatch):
    told = distinct(some_messages(), COUNTS["messages"])

    async def check(session, made):
        first, rail = session.wanted, made["rail"]

        def say(view, content, buffers):
            made[view]._receive(None, content, buffers)
            assert session.message != TROUBLE, (view, content)
            if session.wanted != first:  # true and false are what some controls take, and an address may be anything
                assert admission.admitted(session.wanted)
                assert isinstance(content.get("value"), bool) or (view, content["type"]) == ("share", "go")
                session.undo()
            is_a_sentence(session.message)
            assert all(map(is_a_sentence, rail.errors.values()))

        def say_all(some):
            with watched() as touched:
                for (view, content), buffers in some:
                    say(view, content, buffers)
            assert touched == []
            gc.collect()
            return psutil.Process().memory_info().rss

        warm = say_all(told[: len(told) // 4])
        assert say_all(told[len(told) // 4 :]) - warm < MAX_GROWTH
        await until(session, "ready")
        assert session.experiment == session.wanted == first
        assert session.hidden == []
        assert edited(first, (("seed", 7),)).seed == 7
        session.edit("seed", 7)
        await until(session, "ready")
        assert session.experiment.seed == 7

    on_a_page(check, monkeypatch)


def some_messages():
    from hypothesis import strategies as some

    return some.tuples(adversarial_inputs.messages, adversarial_inputs.buffers)


def test_whatever_enters_by_the_comm_changes_no_trait_and_shows_no_traceback(alone, monkeypatch, capfd):
    told = distinct(adversarial_inputs.comm_messages, COUNTS["comm messages"])

    async def check(session, made):
        first, states = session.wanted, {name: view.get_state() for name, view in made.items()}
        with watched() as touched:
            for view, message in told:
                made[view]._handle_msg(message)
        assert touched == []
        assert session.wanted == first
        for name, view in made.items():
            changed = {key for key, value in view.get_state().items() if value != states[name][key]}
            assert changed <= {"errors", "state"}, (name, changed)

    on_a_page(check, monkeypatch)
    assert "Traceback" not in capfd.readouterr().err


def test_run_files_are_refused_in_a_sentence(alone):
    files = distinct(adversarial_inputs.run_files, COUNTS["run files"])
    assert run_file.read(json.dumps(a_run()).encode()).experiment == Experiment()
    taken = 0
    with watched() as touched:
        for data in files:
            try:
                past = run_file.read(data)
            except LabError as error:
                is_a_sentence(str(error))
            else:
                taken += 1
                assert admission.admitted(past.experiment) is past.experiment
                is_a_sentence(past.message)
                assert sum(frame.image.size for frame in past.frames) <= 3 * run_file.MAX_PIXELS
    assert touched == []
    assert taken < len(files) // 3


def test_experiment_files_are_refused_in_a_sentence(tmp_path):
    for data in distinct(adversarial_inputs.texts_as_json, COUNTS["experiment files"]):
        path = tmp_path / "experiment.json"
        path.write_bytes(data)
        sentence = None
        try:
            Experiment.from_file(path)
        except LabError as error:
            sentence = str(error)
            assert sentence.isprintable()
            assert len(sentence) <= LONGEST_SENTENCE


def test_command_lines_are_refused_in_one_line():
    runner = CliRunner()
    for words in distinct(adversarial_inputs.command_lines, COUNTS["command lines"]):
        result = runner.invoke(app, ["run", "--network", "mlp:depth=1", "--iterations", "1", *words])
        assert result.exit_code == 2, (words, result.output)
        assert result.stdout == ""
        sentence = result.stderr.removesuffix("\n")
        assert sentence.isprintable(), words
        assert len(sentence) <= LONGEST_SENTENCE + 1
        assert "Traceback" not in sentence


def test_uploads_are_refused_in_a_sentence(alone, monkeypatch):
    files = distinct(adversarial_inputs.uploads, COUNTS["uploads"])

    async def check(session, made):
        first = session.wanted
        with watched() as touched:
            for data in files:
                made["rail"]._receive(None, {"type": "upload", "name": "x.png"}, [memoryview(data)])
                is_a_sentence(made["rail"].errors["picture"])
        assert touched == []
        assert session.wanted == first

    on_a_page(check, monkeypatch)


def test_entries_as_text_are_refused_in_a_sentence():
    for text in distinct(adversarial_inputs.entry_texts, COUNTS["entries as text"]):
        for kind in (Network, Dataset, Attack):
            refused(lambda kind=kind, text=text: parse_entry(kind, text))
