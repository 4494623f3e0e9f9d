"""Label recovery from the last layer's gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lab.errors import LabError
from lab.types import Gradients, Labels, Observation


def recover_labels(observation: Observation) -> Labels:
    """The labels of the batch, in ascending order, from the last linear layer's gradient.

    One picture (iDLG, Zhao et al. 2020): with softmax cross entropy dL/db = p - y, so the
    only negative entry is the label. Without a bias the row sums of dL/dW = (p - y) h^T have
    the same signs wherever the features h are >= 0 (ReLU, sigmoid; not SiLU or tanh).
    Several pictures (after LLG, Wainakh et al. 2022): take the most negative class, give back
    what one picture contributes (1 / batch), and repeat.
    """
    slopes = _logit_gradient(observation)
    found: list[int] = []
    for _ in range(observation.batch_size):
        found.append(int(slopes.argmin()))
        slopes[found[-1]] += 1 / observation.batch_size
    return torch.tensor(sorted(found), device=observation.device)


def _logit_gradient(observation: Observation) -> Tensor:
    layers = [(name, m) for name, m in observation.network.named_modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise LabError("Labels cannot be inferred: this network ends in no linear layer. Let the server know the labels.")
    name, last = layers[-1]
    gradient: Gradients = observation.protocol.mean_gradient(observation.update)
    if last.bias is not None:
        return gradient[f"{name}.bias"].clone()
    sums = gradient[f"{name}.weight"].sum(1)
    return sums / sums.abs().sum().clamp_min(1e-30)
