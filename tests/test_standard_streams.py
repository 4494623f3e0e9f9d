"""What ``gradlab`` says to whatever listens: an ASCII file, a pipe whose reader has left, a full disk, nobody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = (
    "--help",
    "list",
    "list --json",
    "run --help",
    "run --network mlp:depth=1 --attack analytic --out ä",
    "run --network ä",
    "run --image ä.png",
    "fetch ä",
    "train ä --data ä",
    "reproduce ä",
    "serve --port ä",
    "bench --help",
)


def gradlab(words, folder, how, **environment):
    """The finished command, its stdout bent by a shell; ``how`` has the command in the place of braces."""
    command = how.format(f"{sys.executable} -m lab.cli {words}")
    environment = os.environ | {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )


def status_of(words):
    """0 for what is well asked, 2 for a refusal: of the names that do not exist, only the folder to write to may be new."""
    return 2 if "ä" in words and "--out" not in words else 0


def is_quiet_or_told(done):
    """Nothing but a sentence on standard error, and no trace of Python."""
    return not any(sign in done.stderr for sign in ("Traceback", "Exception ignored", "should not", "Errno"))


@pytest.mark.parametrize("words", COMMANDS)
def test_ascii_takes_every_letter(words, tmp_path):
    done = gradlab(words, tmp_path, "{}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert is_quiet_or_told(done), done.stderr
    assert (done.stdout + done.stderr).isascii() or "attack:" in done.stderr
    assert done.returncode == status_of(words)


@pytest.mark.parametrize("how", ["{} >&-", "{} >&- 2>&-", "{} 2>&-"])
@pytest.mark.parametrize("words", COMMANDS[3:])
def test_nobody_need_listen(words, how, tmp_path):
    done = gradlab(words, tmp_path, how)
    assert is_quiet_or_told(done), done.stderr
    assert done.returncode == status_of(words)


@pytest.mark.parametrize("words", COMMANDS[:5])
def test_a_reader_may_leave_early(words, tmp_path):
    """The reader has left before the first word, and in the other case after the first line."""
    for how in ("mkfifo gone; (: < gone) & {} > gone; wait", "set -o pipefail; {} | head -1"):
        done = gradlab(words, tmp_path, how)
        assert is_quiet_or_told(done), done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "words", ["--help", "list", "run --help", "train --help", "reproduce --help", "serve --help", "bench --help"]
)
def test_a_full_disk_is_told(words, tmp_path):
    done = gradlab(words, tmp_path, "{} > /dev/full")
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert is_quiet_or_told(done)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_refusal_that_cannot_be_told_keeps_its_status(tmp_path):
    assert gradlab("run --network nope", tmp_path, "{} 2> /dev/full").returncode == 2
