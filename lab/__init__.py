"""The engine of the Inverting Gradients Lab.

experiment = Experiment(network=SmallConvNet(), seed=7)     # every choice, frozen
attacked = simulate_round(experiment)                       # the client trains and sends
for state in reconstruct(experiment, attacked.observation): # the server attacks
    ...                                                     # watch state.candidate converge
scores = score(attacked, state)                             # only here truth meets reconstruction
"""

from lab.errors import LabError
from lab.evaluate import Scores, Verdict, score
from lab.experiment import Experiment
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
