"""Whoever hangs is ended; whoever only waits is not. The ticks are short here, and counted, never timed."""

import signal
import subprocess
import sys

import pytest

BEGIN = (
    "import os, select, signal, sys, time, threading\n"
    "from widgets.serving import watchdog\n"
    "watchdog.TICK_S = 0.02\n"
    "dog = watchdog.Watchdog()\n"
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
    """Also one that has not begun to beat: starting may take its time."""
    ended = run("time.sleep(1)\nfor _ in range(60):\n    dog.beat()\n    time.sleep(0.02)\nprint('done')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
