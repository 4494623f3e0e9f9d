"""Whoever hangs is ended; whoever only waits is not. The ticks are short here, and counted, never timed."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from widgets.serving import watchdog

BEGIN = (
    "import os, select, signal, sys\nfrom widgets.serving import watchdog\nwatchdog.TICK_S = 0.02\ndog = watchdog.Watchdog()\n"
)
HANGS = {
    "a loop that never ends": "dog.beat()\nwhile True: pass",
    "a call that never returns": "dog.beat()\nselect.select([], [], [])",
    "one call that holds the interpreter": "dog.beat()\nsum(range(10**13))",
    "a stopped process": "dog.beat()\nos.kill(os.getpid(), signal.SIGSTOP)",
    "one that ignores every signal": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndog.beat()\nwhile True: pass",
}


def run(code):
    return subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", HANGS.values(), ids=HANGS)
def test_whoever_hangs_is_ended_with_a_sentence(code):
    ended = run(code)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stderr.endswith("start it again.\n")
    assert ended.stderr.count("\n") == 1


def test_whoever_beats_lives_and_the_watchdog_ends_with_it():
    ended = run("for _ in range(60):\n    dog.beat()\nprint('done')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


SILENT = "-" * watchdog.MAX_SILENT_TICKS


@pytest.mark.parametrize(
    ("ticks", "ended"),
    [
        (3 * SILENT + "x", False),
        (3 * SILENT + "." + SILENT, True),
        (3 * ("." + SILENT[1:]) + "x", False),
        (3 * ("." + SILENT[1:]) + "." + SILENT, True),
        ("x", False),
    ],
    ids=["starting may take its time", "begun and silent", "seldom", "seldom, then silent", "over at once"],
)
def test_silence_counts_from_the_first_beat_and_every_beat_ends_it(monkeypatch, capsys, ticks, ended):
    """``-`` a tick without a word, ``.`` a beat, ``x`` the end of the pipe."""
    script, said, killed = iter(ticks), [], []
    hears = SimpleNamespace(select=lambda *_: [[said.append(tick)] if (tick := next(script)) != "-" else []])
    pipe = SimpleNamespace(read=lambda *_: b"" if said[-1] == "x" else b".", kill=lambda *who: killed.append(who))
    monkeypatch.setattr(watchdog, "select", hears)
    monkeypatch.setattr(watchdog, "os", pipe)
    watchdog.watch(0, 4711)
    assert killed == [(4711, signal.SIGKILL)] * ended
    assert capsys.readouterr().err == watchdog.SENTENCE * ended
    assert not list(script), "to the end of the story"
