"""The race: seconds until the picture is recognisable (SSIM 0.8), or as good as breaching's in the end.

The same networks, weights, pictures and labels for both. Breaching runs as it comes (24,000 iterations, total
variation 0.2) and with the budget and total variation that serve it best. Where 24,000 iterations would take
hours, its default run is shortened with its schedule in proportion, its cost an iteration is measured and
the whole run's time extrapolated from that; such figures are marked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import mean, median

import torch

from benchmarks.breaching_adapter import DEFAULT_ITERATIONS, DEFAULT_TOTAL_VARIATION, Breaching
from benchmarks.cases import Case, Pictures
from benchmarks.contenders import Contender, Ours, simulate, some_of
from benchmarks.runs import Run, follow
from benchmarks.tuning import RECOGNISABLE, Setting, Trial, best, grid
from lab.attacks.base import Attack
from lab.evaluation.round import Round

FIRST_PICTURE = 200
"""The first picture of the race, unless another is asked for: among those that our attacks were chosen on."""
FIRST_TUNING_PICTURE = 100
"""The first picture on which breaching's setting is chosen; another one than the race's, in the gallery too."""
WARM_UP = 5


@dataclass(frozen=True)
class Plan:
    """How much is run."""

    images: int = 20
    seeds: int = 1
    default_images: int = 3
    """On so many of the pictures breaching's default is run."""
    default_iterations: int = DEFAULT_ITERATIONS
    """Fewer than its 24,000 shorten that run, and its time is extrapolated."""
    budgets: tuple[int, ...] = (200, 400, 800, 1600, 4800)
    variations: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1)
    tuning_images: int = 2
    attack: Attack | None = None
    """Ours; None is the lab's default."""
    first: int = FIRST_PICTURE


@dataclass(frozen=True)
class Heat:
    """One picture, one seed: every contender's run."""

    picture: int
    seed: int
    ours: Run
    tuned: Run
    default: Run | None

    @property
    def tuned_target(self) -> float:
        """SSIM 0.8, or what breaching's best setting reached in the end where that is lower."""
        return min(RECOGNISABLE, self.tuned.final_ssim)

    @property
    def default_target(self) -> float:
        """SSIM 0.8, or what breaching's default reached in the end where that is lower.

        A shortened default run ends worse than the whole one would: then the better of its two ends counts.
        """
        assert self.default is not None
        end = self.default.final_ssim
        return min(RECOGNISABLE, end if is_whole(self.default) else max(end, self.tuned.final_ssim))

    def against_default(self) -> float | None:
        """Its whole default run's seconds (24,000 iterations) over ours to the target; 0 where we never got there."""
        if self.default is None:
            return None
        return _quotient(default_seconds(self.default), self.ours.seconds_to(self.default_target))

    def against_default_arrival(self) -> float | None:
        """Its seconds until it first got there, of a run that was not shortened, over ours."""
        if self.default is None or not is_whole(self.default):
            return None
        return _arrivals(self.default, self.ours, self.default_target)

    def against_tuned(self) -> float | None:
        """Its seconds with the best setting until it first got to the target, over ours."""
        return _arrivals(self.tuned, self.ours, self.tuned_target)


def is_whole(run: Run) -> bool:
    """Whether breaching's default run had all of its iterations."""
    return run.iterations >= DEFAULT_ITERATIONS


def default_seconds(run: Run) -> float:
    """Of breaching's whole default run: measured, or extrapolated from the cost of an iteration where it was shortened."""
    return DEFAULT_ITERATIONS * run.seconds_an_iteration


def _arrivals(theirs: Run, ours: Run, target: float) -> float | None:
    """Both to the moment when a look first found the target."""
    their_s = theirs.seconds_to(target)
    return None if their_s is None else _quotient(their_s, ours.seconds_to(target))


def _quotient(theirs: float, ours: float | None) -> float:
    """0 where we never got there."""
    return 0.0 if ours is None else theirs / ours


@dataclass(frozen=True)
class Result:
    """The race on one network."""

    case: Case
    pictures: str
    setting: Setting
    trials: list[Trial]
    heats: list[Heat] = field(default_factory=list)

    def middle(self, figure: Callable[[Heat], float | None]) -> float | None:
        """The median over the heats that have the figure."""
        values = [value for heat in self.heats if (value := figure(heat)) is not None]
        return median(values) if values else None

    def summary(self) -> dict[str, float | int | bool | None]:
        """What the table says: medians over the heats."""
        defaults = [heat.default for heat in self.heats if heat.default is not None]
        return {
            "heats": len(self.heats),
            "ours_recognisable": sum(heat.ours.seconds_to(RECOGNISABLE) is not None for heat in self.heats),
            "ours_to_recognisable_s": self.middle(lambda heat: heat.ours.seconds_to(RECOGNISABLE)),
            "ours_to_stay_recognisable_s": self.middle(lambda heat: heat.ours.seconds_to_stay(RECOGNISABLE)),
            "ours_whole_s": self.middle(lambda heat: heat.ours.seconds),
            "ours_final_ssim": self.middle(lambda heat: heat.ours.final_ssim),
            "ours_mean_ssim_after_1_s": mean(heat.ours.ssim_at(1.0) for heat in self.heats),
            "best_recognisable": sum(heat.tuned.seconds_to(RECOGNISABLE) is not None for heat in self.heats),
            "best_to_recognisable_s": self.middle(lambda heat: heat.tuned.seconds_to(RECOGNISABLE)),
            "best_final_ssim": self.middle(lambda heat: heat.tuned.final_ssim),
            "default_heats": len(defaults),
            "default_iterations_run": defaults[0].iterations if defaults else None,
            "default_extrapolated": not all(is_whole(run) for run in defaults),
            "default_whole_s": self.middle(lambda heat: heat.default and default_seconds(heat.default)),
            "default_final_ssim": self.middle(lambda heat: heat.default and heat.default.final_ssim),
            "default_target_ssim": self.middle(lambda heat: heat.default_target if heat.default else None),
            "default_whole_over_ours": self.middle(Heat.against_default),
            "default_arrival_over_ours": self.middle(Heat.against_default_arrival),
            "best_target_ssim": self.middle(lambda heat: heat.tuned_target),
            "best_arrival_over_ours": self.middle(Heat.against_tuned),
        }

    def plain(self) -> dict[str, object]:
        """For the report: every run with every look at it."""
        return {
            "pictures": self.pictures,
            "summary": self.summary(),
            "breaching_best_setting": asdict(self.setting),
            "tuning": [asdict(trial) for trial in self.trials],
            "heats": [_plain_heat(heat) for heat in self.heats],
        }


def _plain_heat(heat: Heat) -> dict[str, object]:
    return {
        "picture": heat.picture,
        "seed": heat.seed,
        "ours": heat.ours.plain(),
        "breaching_best": heat.tuned.plain(),
        "breaching_default": heat.default and heat.default.plain(),
        "ours_to_recognisable_s": heat.ours.seconds_to(RECOGNISABLE),
        "ours_to_stay_recognisable_s": heat.ours.seconds_to_stay(RECOGNISABLE),
        "ratio_to_default_whole": heat.against_default(),
        "ratio_to_default_arrival": heat.against_default_arrival(),
        "ratio_to_best_arrival": heat.against_tuned(),
    }


@dataclass(frozen=True)
class Race:
    """Runs the race of one case."""

    case: Case
    source: Pictures
    device: torch.device
    threads: int
    plan: Plan

    def run(self, tell: Callable[[str], None]) -> Result:
        """Tune breaching first, then all heats; ``tell`` is told how far it is."""
        trials = self._tune(tell)
        setting = best(trials)
        numbers = range(self.plan.first, self.plan.first + self.plan.images)
        words = f"{self.source.source}, {numbers[0]} to {numbers[-1]}"
        result = Result(self.case, words, setting, trials)
        for seed in range(self.plan.seeds):
            for place, number in enumerate(numbers):
                with_default = seed == 0 and place < self.plan.default_images
                result.heats.append(self._heat(number, seed, setting, with_default=with_default))
                tell(f"{self.case.name}: picture {number}, seed {seed} done")
        return result

    def _tune(self, tell: Callable[[str], None]) -> list[Trial]:
        trials = []
        for number in range(FIRST_TUNING_PICTURE, FIRST_TUNING_PICTURE + self.plan.tuning_images):
            attacked = self._round(number, seed=0)
            for setting in grid(self.plan.budgets, self.plan.variations):
                run = self._theirs(attacked, 0, setting)
                trials.append(Trial(setting, run.final_ssim, run.seconds, run.seconds_to(RECOGNISABLE)))
                tell(f"{self.case.name}: tuning breaching on picture {number}, {setting}: SSIM {run.final_ssim:.3f}")
        return trials

    def _heat(self, number: int, seed: int, setting: Setting, *, with_default: bool) -> Heat:
        """Ours and theirs one after the other, so that both meet the same machine."""
        attacked = self._round(number, seed)
        experiment = self.case.experiment(self.source.dataset(self.case, number), seed, self.plan.attack)
        ours = self._followed(Ours(experiment, attacked.observation), attacked, _budget(experiment.attack))
        tuned = self._theirs(attacked, seed, setting)
        default = Setting(self.plan.default_iterations, DEFAULT_TOTAL_VARIATION)
        return Heat(number, seed, ours, tuned, self._theirs(attacked, seed, default) if with_default else None)

    def _round(self, number: int, seed: int) -> Round:
        experiment = self.case.experiment(self.source.dataset(self.case, number), seed, self.plan.attack)
        return simulate(experiment, self.device, self.threads)

    def _theirs(self, attacked: Round, seed: int, setting: Setting) -> Run:
        contender = Breaching(attacked, seed, setting.iterations, setting.total_variation)
        return self._followed(contender, attacked, setting.iterations)

    def _followed(self, contender: Contender, attacked: Round, iterations: int) -> Run:
        """A few iterations warm up (libraries are loaded, torch compiles), then the run that counts."""
        some_of(contender, self.device, WARM_UP)
        return follow(contender, attacked.batch.images, iterations)


def _budget(attack: Attack) -> int:
    """Iterations of our attack; a closed form has none, and is looked at whenever it says something."""
    return getattr(attack, "iterations", 1) * getattr(attack, "restarts", 1)
