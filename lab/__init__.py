"""The engine of the Inverting Gradients Lab.

experiment = Experiment(network=SmallConvNet(), seed=7)     # every choice, frozen
attacked = simulate_round(experiment)                       # the client trains and sends
for state in reconstruct(experiment, attacked.observation): # the server attacks
    ...                                                     # watch state.candidate converge
scores = score(attacked, state)                             # only here truth meets reconstruction
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.errors import LabError
    from lab.evaluate import Scores, score
    from lab.experiment import Experiment
    from lab.line_up import Verdict
    from lab.rounds import reconstruct, simulate_round
    from lab.types import AttackState, Batch, LabelSource, Observation, Outcome, Round

__all__ = [
    "AttackState",
    "Batch",
    "Experiment",
    "LabError",
    "LabelSource",
    "Observation",
    "Outcome",
    "Round",
    "Scores",
    "Verdict",
    "reconstruct",
    "score",
    "simulate_round",
]

_HOMES = ("errors", "types", "experiment", "evaluate", "rounds")


def __getattr__(name: str) -> Any:
    """A public name, its module imported when first asked for: ``gradlab --help`` need not wait for torch."""
    if name in __all__:
        modules = (import_module(f"lab.{home}") for home in _HOMES)
        return next(getattr(module, name) for module in modules if hasattr(module, name))
    raise AttributeError(f"module 'lab' has no attribute {name!r}")
