"""The parts of a data set that others have published."""

from __future__ import annotations

from enum import Enum


class Split(Enum):
    """The two parts of a published data set."""

    TRAIN = "train"
    TEST = "test"
