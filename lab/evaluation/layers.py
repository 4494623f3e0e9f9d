"""How close each recovered layer input is to the true one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.lazy import Float, Tensor, nn, no_grad, torch

from lab.attacks.base import AttackState
from lab.evaluation.round import Round
from lab.federated.inputs import rows
from lab.federated.tensors import Inputs
from lab.modalities.pairing import best_matching

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier


@no_grad
def head_input(network: Classifier, inputs: Inputs) -> Float[Tensor, "batch features"]:
    """What really enters the fully connected head: each private input itself (brought into form), or its features."""
    return network.embed(inputs)


@no_grad
def head_input_error(network: Classifier, inputs: Inputs, recovered: Float[Tensor, "found features"]) -> float:
    """Largest error of recovered head inputs against those of the nearest private inputs: in their units, or in features."""
    is_input = isinstance(network.features, nn.Identity)
    scale = network.normalise.unit if is_input else 1.0
    truths = head_input(network, inputs)
    truths = truths[best_matching(recovered.to(truths), truths)]
    return float(((recovered - truths).abs() * scale).max())


@dataclass(frozen=True)
class LayerScore:
    """What was known of an inverted layer and how far its recovered input is from the true one."""

    name: str
    kind: str
    unknowns: int
    equations: int
    rank: int
    condition: float
    residual: float
    error: float
    """||recovered - true|| / ||true||."""


def layer_scores(attacked: Round, state: AttackState) -> tuple[LayerScore, ...]:
    """Each inverted layer of a state against the feature maps that the private pictures really make there."""
    truths = true_layer_inputs(attacked, state)
    return tuple(
        LayerScore(
            layer.name,
            layer.kind,
            layer.unknowns,
            layer.equations,
            layer.rank,
            layer.condition,
            layer.residual,
            float((layer.features - truths[layer.name]).norm() / truths[layer.name].norm().clamp_min(1e-30)),
        )
        for layer in state.layers
    )


def true_layer_inputs(attacked: Round, state: AttackState) -> dict[str, Tensor]:
    """What really entered each inverted layer, by name: the private pictures' feature maps, float64 on the CPU.

    Each has the shape of that layer's ``LayerRecovery.features``; the lowest one is the normalised picture.
    """
    names = [layer.name for layer in state.layers]
    network, seen = attacked.observation.network, {}
    modules = {module: name for name, module in network.named_modules() if name in names}
    hooks = [
        m.register_forward_pre_hook(lambda m, inputs: seen.update({modules[m]: inputs[0].cpu().double()})) for m in modules
    ]
    try:
        with torch.no_grad():
            network(rows(attacked.batch.inputs, _order(attacked, state)))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _order(attacked: Round, state: AttackState) -> Tensor:
    """The numbers of the private pictures in the order in which a closed form gives them: that of what enters the head.

    Told by the truth, since nothing tells which of two pictures with one label comes first.
    """
    truths = head_input(attacked.observation.network, attacked.batch.inputs)
    return torch.arange(len(truths)) if state.features is None else best_matching(state.features.to(truths), truths)
