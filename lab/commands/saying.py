"""What a command says, to whatever listens: a terminal, a pipe that closes early, an ASCII file, a full disk, nobody."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from lab.errors import LabError

NOBODY_LISTENS = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
"""The status of a command whose reader has left, as the shell knows it of others."""


def ready_streams() -> None:
    """Both streams take any text: a letter that an encoding lacks is written as its number, and a closed one swallows all."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (as long as the process)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print now, not when Python ends. Raises ``LabError`` where it cannot be written; ends quietly where nobody reads on."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        raise unwritten(error) from None


def unwritten(error: OSError) -> LabError:
    """The error where standard output takes nothing more."""
    _swallow_the_rest()
    return LabError(f"The output cannot be written ({error.strerror}); send it to another place.")


def leave_quietly() -> NoReturn:
    """End as other commands do whose reader has left."""
    _swallow_the_rest()
    sys.exit(NOBODY_LISTENS)


def _swallow_the_rest() -> None:
    """What Python would still write on its way out goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
