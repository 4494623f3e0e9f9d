"""An answer judged in a process of its own: ``python -P -m lab.course.exercises.judge NAME SEED ... < pickled function``.

A graded notebook runs the student's cells in the kernel that also runs its tests, so what these import may have been
replaced. What crosses over to this process is the function and what it calls (cloudpickle takes both along, as they are
written, from a notebook's own cells); what has been done to the lab in that kernel stays there. ``-P`` keeps files beside
the notebook from being taken for modules.
"""

from __future__ import annotations

import sys

import cloudpickle

from lab.course.exercises.checking import grade
from lab.course.exercises.feedback import NotYet


def main(name: str, *seeds: str) -> int:
    """0 where the function on standard input is right for every seed; the sentence goes to standard output."""
    try:
        function = cloudpickle.loads(sys.stdin.buffer.read())
        for seed in seeds:
            grade(name, function, int(seed))
    except NotYet as sentence:
        sys.stdout.write(str(sentence))
        return 1
    sys.stdout.write("Right.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
