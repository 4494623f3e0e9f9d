"""One run of one contender, and how good its picture was at each moment."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.clock import Laps, Look, Span
from benchmarks.contenders import Contender
from lab.federated.tensors import Images
from lab.modalities.images.scores import psnr_db
from lab.modalities.images.similarity import ssim
from lab.modalities.pairing import best_matching

LOOKS = 400
"""A run is looked at about so many times; looking is not counted in its time."""


@dataclass(frozen=True)
class Moment:
    """A look at the candidate."""

    iteration: int
    spent: Span
    ssim: float


@dataclass(frozen=True)
class Run:
    """A whole run."""

    moments: tuple[Moment, ...]
    """The last one is of the final reconstruction."""
    iterations: int
    final_psnr_db: float
    on_processor: bool = True
    """Whether processor seconds count, or wall seconds (on a graphics card)."""

    def seconds_to(self, ssim: float) -> float | None:
        """Seconds until a look first found this likeness; None where none did."""
        return next((self._seconds(moment.spent) for moment in self.moments if moment.ssim >= ssim), None)

    def seconds_to_stay(self, ssim: float) -> float | None:
        """Seconds until this likeness was there for good; None where the final picture is worse."""
        below = [place for place, moment in enumerate(self.moments) if not moment.ssim >= ssim]
        first = below[-1] + 1 if below else 0
        return self._seconds(self.moments[first].spent) if first < len(self.moments) else None

    def ssim_at(self, budget_s: float) -> float:
        """The SSIM of the last look within so many seconds."""
        seen = [moment.ssim for moment in self.moments if self._seconds(moment.spent) <= budget_s]
        return seen[-1] if seen else self.moments[0].ssim

    @property
    def final_ssim(self) -> float:
        """Of the final reconstruction."""
        return self.moments[-1].ssim

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self._seconds(self.moments[-1].spent)

    @property
    def seconds_an_iteration(self) -> float:
        """On average."""
        return self.seconds / self.iterations

    def _seconds(self, span: Span) -> float:
        return span.cpu_s if self.on_processor else span.wall_s

    def plain(self) -> dict[str, object]:
        """For the report: each look as (iteration, processor seconds, wall seconds, SSIM)."""
        return {
            "iterations": self.iterations,
            "final_ssim": self.final_ssim,
            "final_psnr_db": self.final_psnr_db,
            "looks": [_rounded(moment) for moment in self.moments],
        }


def _rounded(moment: Moment) -> list[float]:
    return [moment.iteration, round(moment.spent.cpu_s, 4), round(moment.spent.wall_s, 4), round(moment.ssim, 4)]


def follow(contender: Contender, truth: Images, iterations: int) -> Run:
    """Run to the end of the budget; ``iterations`` sets how often it is looked at.

    The first report comes before the first iteration; what is done after the last one counts, too.
    """
    every, laps = max(1, iterations // LOOKS), Laps(truth.device)
    moments: list[Moment] = []

    def report(look: Look) -> None:
        laps.lap()
        done = len(laps.spans) - 1
        if done % every == 0:
            moments.append(Moment(done, laps.total(), likeness(look(), truth)))
        laps.resume()

    final = contender.run(report)
    laps.lap()
    done, decibels = len(laps.spans) - 2, float(psnr_db(final, truth).mean())
    end = Moment(done, laps.total(), likeness(final, truth))
    return Run((*moments, end), max(1, done), decibels, truth.device.type == "cpu")


@torch.no_grad()
def likeness(candidate: Images, truth: Images) -> float:
    """SSIM of the pictures, each beside its own reconstruction, on average."""
    paired = candidate[best_matching(truth, candidate)]
    return float(ssim(paired, truth).mean())
