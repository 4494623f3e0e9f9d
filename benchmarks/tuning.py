"""Which budget and total variation serve breaching best: a small grid, on pictures that the race does not use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from statistics import mean

RECOGNISABLE = 0.8
"""The SSIM that the race is about."""
ALIKE = 0.01
"""Mean SSIMs this close count as the same."""


@dataclass(frozen=True)
class Setting:
    """A budget, and breaching's weight of total variation (on its own scale: its default is 0.2)."""

    iterations: int
    total_variation: float


@dataclass(frozen=True)
class Trial:
    """What one setting reached on one picture."""

    setting: Setting
    final_ssim: float
    seconds: float
    seconds_to_recognisable: float | None


def grid(budgets: Iterable[int], variations: Iterable[float]) -> list[Setting]:
    """All pairs."""
    return [Setting(budget, variation) for budget, variation in product(budgets, variations)]


def best(trials: list[Trial]) -> Setting:
    """The setting with which most pictures become recognisable, the soonest of those.

    Where none ever does: the setting with the highest mean SSIM, the fastest of those as good.
    """
    settings = list(dict.fromkeys(trial.setting for trial in trials))
    by_setting = {setting: [trial for trial in trials if trial.setting == setting] for setting in settings}
    most = max(len(_times(found)) for found in by_setting.values())
    if most:
        reaching = [setting for setting in settings if len(_times(by_setting[setting])) == most]
        return min(reaching, key=lambda setting: mean(_times(by_setting[setting])))
    quality = {setting: mean(trial.final_ssim for trial in found) for setting, found in by_setting.items()}
    good = [setting for setting in settings if quality[setting] >= max(quality.values()) - ALIKE]
    return min(good, key=lambda setting: mean(trial.seconds for trial in by_setting[setting]))


def _times(trials: list[Trial]) -> list[float]:
    return [trial.seconds_to_recognisable for trial in trials if trial.seconds_to_recognisable is not None]
