"""``python -m benchmarks [budgets|quality]``: measure, tell as Markdown, keep as JSON, draw as PNG."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from typer import Option

from benchmarks import budgets, costs, memory, plots, quality, report, tables
from benchmarks.cases import CASES, PARTS, Case, Pictures, chosen
from benchmarks.plans import race_plan
from benchmarks.race import Race
from lab.attacks.base import Attack
from lab.cli import Sentences
from lab.errors import unknown_name
from lab.machine import devices
from lab.options.text import parse_entry

app = typer.Typer(
    cls=Sentences,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@dataclass(frozen=True)
class Bench:
    """What is measured, on what."""

    pictures: Pictures
    device: torch.device
    threads: int
    turns: int
    turn_s: float
    quick: bool
    sizes: dict[str, object]
    """What the command line says about the race; None where it says nothing."""

    def measure(self, case: Case, part: str) -> object:
        """One part of one case, as plain data."""
        if part == "costs":
            return costs.measure(case, self.pictures, self.device, self.threads, self.turns, self.turn_s).plain()
        if part == "memory":
            return memory.measure(case.name, self.device, self.threads)
        plan = race_plan(case, quick=self.quick, **self.sizes)
        return Race(case, self.pictures, self.device, self.threads, plan).run(tell).plain()


def tell(sentence: str) -> None:
    """How far it is, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


@app.callback()
def bench(
    context: typer.Context,
    case: Annotated[list[str] | None, Option(metavar="NAME", help=f"one of {', '.join(CASES)}; all if left out")] = None,
    only: Annotated[list[str] | None, Option(metavar="PART", help="costs, memory or race; all if left out")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="every sample; written anew after each part")] = None,
    plots_in: Annotated[Path | None, Option("--plots", metavar="DIR", help="draw PNG files there")] = None,
    images: Annotated[int | None, Option(min=1, max=100, help="pictures of the race (20)")] = None,
    first: Annotated[
        int | None, Option(min=0, help="first picture of the race (200); on 360 to 399 nothing was chosen")
    ] = None,
    seeds: Annotated[int | None, Option(min=1, max=100, help="seeds of the race for each picture (1)")] = None,
    default_images: Annotated[int | None, Option(min=0, help="pictures on which breaching's default is run (3)")] = None,
    default_iterations: Annotated[int | None, Option(min=1, help="shorten that run; its time is then extrapolated")] = None,
    budget: Annotated[list[int] | None, Option(min=1, help="iterations that breaching's best setting may have")] = None,
    tv: Annotated[list[float] | None, Option(min=0.0, help="total variation that it may have")] = None,
    tuning_images: Annotated[int | None, Option(min=1, max=4, help="pictures on which its setting is chosen")] = None,
    attack: Annotated[str | None, Option(metavar="NAME[:option=value,...]", help="our attack in the race")] = None,
    data: Annotated[Path | None, Option(envvar="GRADLAB_DATA", help="folder of CIFAR-10; the gallery if left out")] = None,
    threads: Annotated[int, Option(min=1, help="processor threads for everyone")] = 1,
    device: Annotated[str, Option(help="cpu or cuda")] = "cpu",
    turns: Annotated[int | None, Option(min=1, help="turns of the cost measurement (9)")] = None,
    quick: Annotated[bool, Option("--quick", help="a glance: few turns, pictures and iterations")] = False,
    earlier: Annotated[list[Path] | None, Option("--from", metavar="FILE", help="measure nothing, show these reports")] = None,
) -> None:
    """Measure the lab beside breaching 0.1.2: cost of an iteration, peak memory, and the race to a recognisable picture."""
    if context.invoked_subcommand is not None:
        return
    if earlier:
        found = report.joined([report.read(path) for path in earlier])
    else:
        sizes = {
            "images": images,
            "first": first,
            "seeds": seeds,
            "default_images": default_images,
            "default_iterations": default_iterations,
            "budgets": tuple(budget) if budget else None,
            "variations": tuple(tv) if tv else None,
            "tuning_images": tuning_images,
            "attack": parse_entry(Attack, attack) if attack else None,
        }
        where = devices.choose(device)
        torch.set_num_threads(threads)
        bench = Bench(Pictures(data), where, threads, turns or (2 if quick else 9), 0.05 if quick else 1.0, quick, sizes)
        found = _measured(bench, chosen(case or []), _parts(only or []), json)
    if json:
        report.write(found, json)
    for path in plots.draw(found, plots_in) if plots_in else []:
        tell(f"Drawn: {path}")
    print(tables.markdown(found))


@app.command("budgets")
def budgets_(
    seeds: Annotated[int, Option(min=1, help="seeds of the default experiment")] = 20,
    turns: Annotated[int, Option(min=1, help="fresh processes of each kind for the import")] = 9,
    images: Annotated[int, Option(min=1, max=100, help="pictures for the trained network")] = 20,
    data: Annotated[Path | None, Option(envvar="GRADLAB_DATA", help="folder of CIFAR-10; the gallery if left out")] = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="every sample")] = None,
) -> None:
    """Measure what a visitor on one processor core waits for, and how much memory a visitor takes."""
    torch.set_num_threads(1)
    found = budgets.measure(seeds, turns, images, Pictures(data), tell)
    if json:
        report.write(found, json)
    print(budgets.markdown(found))


@app.command("quality")
def quality_(
    case: Annotated[str, Option(metavar="NAME", help=f"one of {', '.join(CASES)}")] = "small_convnet",
    images: Annotated[int, Option(min=1, max=100, help="pictures")] = 20,
    starts: Annotated[int, Option(min=1, help="of each route on each picture, which differ by rounding alone")] = 1,
    iterations: Annotated[int, Option(min=0, help="of the paper's settings; 0 leaves them out")] = 4800,
    data: Annotated[Path | None, Option(envvar="GRADLAB_DATA", help="folder of CIFAR-10; the gallery if left out")] = None,
) -> None:
    """Compare the end of the fast route with that of the exact one and of the paper's settings."""
    (found,) = chosen([case])
    print(quality.markdown(found, quality.measure(found, Pictures(data), images, starts, iterations, tell)))


def _measured(bench: Bench, cases: list[Case], parts: list[str], json: Path | None) -> report.Report:
    """Every part of every case; kept on disk as it grows, so that an interrupted run is not lost."""
    found = report.begun(bench.device, bench.threads, quick=bench.quick)
    for case in cases:
        for part in (part for part in parts if part in case.parts):
            tell(f"{case.name}: {part}")
            key = "memory_bytes" if part == "memory" else part
            report.add(found, case.name, case.title, key, bench.measure(case, part))
            if json:
                report.write(found, json)
    return found


def _parts(only: list[str]) -> list[str]:
    for part in only:
        if part not in PARTS:
            raise unknown_name("part", part, PARTS)
    return [part for part in PARTS if part in only or not only]


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")
