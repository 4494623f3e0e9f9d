"""Which way a guess is moved next: down the slope of the attack's own distance."""

from __future__ import annotations

from functools import partial

from lab.lazy import torch

from lab.attacks.base import Attack, AttackState
from lab.attacks.derivative.matcher import match
from lab.attacks.matching.settings import Matching
from lab.federated.inputs import moved_to, tree_map
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs


class DescentDirection:
    """-dD/dx at a candidate (Geiping et al. 2020, equation 4), without priors and without what an optimiser makes of it.

    As ``LayerMatcher`` it sees the observation alone, a copy while an attack runs. Matching by steps of its own (``Steps``) is
    shown by the client's rule too: what the whole update says of the picture.
    """

    def __init__(self, attack: Attack, observation: Observation) -> None:
        self._distance = attack.distance if isinstance(attack, Matching) else None
        self._observation = observation

    def __call__(self, state: AttackState) -> Inputs | None:
        """Shape as the candidate's; None where the attack compares no updates, or nobody knows the labels."""
        observed = self._observation
        labels = observed.labels if observed.labels is not None else state.labels
        if self._distance is None or labels is None:
            return None
        rule = partial(observed.protocol.update, observed.network, differentiable=True)
        candidate, targets = moved_to(state.candidate, observed.device), labels.to(observed.device)
        found = match(rule, candidate, targets, self._distance, observed.update)
        return tree_map(torch.neg, found.input_gradient)
