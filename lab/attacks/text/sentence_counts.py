"""How often each sentence is in a batch: the shared gradient is a sum of the sentences' own, and no count is below zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lab.late import Float, Tensor, nn, torch

from lab.attacks.labels.class_counts import as_labels
from lab.attacks.text.beginnings import PLACES
from lab.federated.observation import Observation
from lab.modalities.text import one_hot, padded

if TYPE_CHECKING:
    from lab.federated.causal_transformer import CausalTransformer

Sentence = tuple[int, ...]


def chosen(observation: Observation, candidates: Sequence[Sentence]) -> list[Sentence]:
    """As many sentences as there are, some of them more than once; the first where the places' gradient was not sent."""
    if PLACES not in observation.update or len(candidates) <= 1:
        return [*candidates[: observation.batch_size]]
    from scipy.optimize import nnls  # imported here: scipy is slow to load

    shared = observation.mean_gradient(PLACES)[PLACES].detach().cpu().double().flatten()
    own = entering_gradients(observation, candidates)
    found, _ = nnls(own.T.numpy(), shared.numpy())
    counts = torch.from_numpy(found)
    if not bool(counts.any()):
        return [*candidates[: observation.batch_size]]
    return [candidates[number] for number in as_labels(counts, observation.batch_size).tolist()]


def entering_gradients(observation: Observation, sentences: Sequence[Sentence]) -> Float[Tensor, "sentences numbers"]:
    """Of each sentence's loss with respect to what enters the first block; as many at a time as the batch holds."""
    count, size = cast("tuple[int, int]", observation.input_shape)
    parts = padded(sentences, count).split(observation.batch_size)
    like = next(iter(observation.update.values()))
    return torch.cat([_entering_gradients(observation, one_hot(part, size).to(like)) for part in parts])


def _entering_gradients(observation: Observation, inputs: Tensor) -> Tensor:
    entering = list[Tensor]()

    def keep(module: nn.Module, given: object, made: Tensor) -> None:
        entering.append(made)

    hook = cast("CausalTransformer", observation.network.features).embedding.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            labels = torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
            mean = observation.loss.value(observation.network(inputs), labels) / observation.loss.length(len(inputs))
            (gradient,) = torch.autograd.grad(mean * len(inputs), entering)
    finally:
        hook.remove()
    return gradient.flatten(1).cpu().double()
