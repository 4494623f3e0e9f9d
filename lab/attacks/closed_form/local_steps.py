"""Local steps undone: what the weights' drift added to the mean gradient is simulated and taken off again.

An update of E local steps is E gradients, each at the weights that the ones before have moved,

    g_mean(x) = 1/E sum_k g(theta_k; x),   theta_0 shared, theta_{k+1} = theta_k - tau g(theta_k; x).

The algebra wants g(theta_0; x). A picture that explains the update nearly gives its drift
g_mean(x) - g(theta_0; x) more nearly still, since the drift is small beside the gradient; so the
way down and the drift improve each other in turn, a fixed point that only the truth explains.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from lab.attacks.closed_form.chain import Obstacle
from lab.attacks.closed_form.mismatch import EXACT_MISMATCH, fitted, in_double, known_labels
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.federated.observation import Observation
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.rounding import rounding
from lab.federated.tensors import Images
from lab.options.words import percent

ROUNDING_AMPLIFICATION = 50.0
"""A mismatch up to this many times the rounding of the weights is the best that solving through it gives."""
STAGNATION = 0.95
"""A round that leaves more than this share of the mismatch is the last."""
MAX_ROUNDS = 20


def without_drift(observation: Observation, images: Images) -> Observation | None:
    """The observation as one gradient at the shared weights, in float64: the mean gradient less the drift of ``images``.

    Exact for the private pictures themselves; None where the steps of ``images`` run away to infinity.
    ``images``: shape (batch, channels, height, width), pixels in 0..1.
    """
    precise = in_double(observation)
    pixels, labels = images.detach().to("cpu", torch.float64), known_labels(precise).cpu()
    protocol, network = precise.protocol, precise.network
    shared, weights = precise.mean_gradient(), dict(network.named_parameters())
    along_the_way = protocol.mean_gradient(protocol.update(network, pixels, labels), weights)
    at_once = FedSGD(loss=protocol.loss)
    at_the_start, part = at_once.update(network, pixels, labels), protocol.steps(len(pixels)).length(len(pixels))
    length = fitted(along_the_way, shared).factor
    corrected = {name: (shared[name] / length - along_the_way[name]) / part + at_the_start[name] for name in shared}
    if not all(bool(tensor.isfinite().all()) for tensor in corrected.values()):
        return None
    return replace(precise, protocol=at_once, update=corrected)


def after_local_steps(observation: Observation, residual: float) -> Obstacle:
    """What a picture is worth whose update is ``residual`` (relative) the shared one."""
    rounded = rounding(observation)
    note = f"{observation.local_steps} local steps; the picture's own update is {percent(residual)} off"
    note += f", where rounding the weights alone makes {percent(rounded)}."
    whole = residual <= max(EXACT_MISMATCH, ROUNDING_AMPLIFICATION * rounded)
    return Obstacle(ClosedFormOutcome.STRAIGHTENED if whole else ClosedFormOutcome.PEEL_LOCAL_STEPS, note)
