"""How much of the race is run on each network, where the command line does not say otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.cases import Case
from benchmarks.race import Plan

CHEAP = Plan()
COSTLY = Plan(default_iterations=800, budgets=(200, 400, 800), variations=(1e-3, 1e-2, 1e-1), tuning_images=1)
QUICK = Plan(images=2, default_images=1, default_iterations=50, budgets=(50, 100), variations=(1e-3, 1e-2), tuning_images=1)


def race_plan(case: Case, *, quick: bool, **given: Any) -> Plan:
    """The plan of a case; of ``given``, what is not None replaces its fields."""
    plan = QUICK if quick else CHEAP if case.cheap else COSTLY
    return replace(plan, **{name: value for name, value in given.items() if value is not None})
