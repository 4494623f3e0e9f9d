"""How often each sentence is in a batch, and under which label: the shared gradient is a sum of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from lab.lazy import Float, Tensor, nn, torch

from lab.attacks.closed_form.mismatch import known_labels
from lab.attacks.labels.class_counts import as_labels
from lab.attacks.text.prefixes import POSITION_EMBEDDING
from lab.federated.observation import Observation
from lab.modalities.text import one_hot, padded

if TYPE_CHECKING:
    from lab.federated.causal_transformer import CausalTransformer

Sentence = tuple[int, ...]

ZERO_TOLERANCE = 1e-5
"""Beside the most that a sentence sends: what single precision leaves of a sum that is 0."""


class Candidate(NamedTuple):
    """A sentence that may be in the batch, and its label there."""

    words: Sentence
    label: int


def learns_labels(observation: Observation) -> bool:
    """Whether a sentence's loss asks for more than its words."""
    from lab.federated.causal_transformer import LanguageModel

    return not isinstance(observation.network.features, LanguageModel)


def select_sentences(observation: Observation, candidates: Sequence[Sentence]) -> list[Candidate]:
    """As many sentences as there are, some of them more than once; the first where the places' gradient was not sent.

    Each is tried under each label that the batch may have.
    """
    labels = _possible_labels(observation)
    suspects = [Candidate(words, label) for words in candidates for label in labels]
    if POSITION_EMBEDDING not in observation.update or len(suspects) <= 1:
        return _as_they_come(observation, candidates)
    from scipy.optimize import nnls  # imported here: scipy is slow to load

    shared = observation.mean_gradient(POSITION_EMBEDDING)[POSITION_EMBEDDING].detach().cpu().double().flatten()
    own = entering_gradients(observation, suspects)
    found, _ = nnls(own.T.numpy(), shared.numpy())
    counts = _without_nothing(torch.from_numpy(found), own, len(labels))
    if not bool(counts.any()):
        return _as_they_come(observation, candidates)
    return [suspects[number] for number in as_labels(counts, observation.batch_size).tolist()]


def _without_nothing(
    counts: Float[Tensor, " suspects"], own: Float[Tensor, "suspects numbers"], labels: int
) -> Float[Tensor, " suspects"]:
    """Under all labels, each as often as the network expects it, a sentence sends nothing: no sentence is counted so."""
    by_label = counts.view(-1, labels)
    ways, lengths, _ = torch.linalg.svd(own.view(-1, labels, own.shape[1]), full_matrices=False)
    expected = ways[:, :, -1].abs()
    is_nothing = (lengths[:, -1] < ZERO_TOLERANCE * lengths[:, 0]) & ((ways[:, :, -1] > 0).all(1) | (ways[:, :, -1] < 0).all(1))
    too_often = (by_label / expected.clamp_min(1e-300)).amin(1) * is_nothing
    return (by_label - too_often[:, None] * expected).flatten()


def _possible_labels(observation: Observation) -> list[int]:
    if not learns_labels(observation):
        return [0]
    return [*range(observation.classes)] if observation.labels is None else sorted(set(observation.labels.tolist()))


def _as_they_come(observation: Observation, candidates: Sequence[Sentence]) -> list[Candidate]:
    labels = known_labels(observation).tolist() if learns_labels(observation) else [0] * observation.batch_size
    return [Candidate(words, label) for words, label in zip(candidates, labels, strict=False)]


def entering_gradients(observation: Observation, suspects: Sequence[Candidate]) -> Float[Tensor, "sentences numbers"]:
    """Of each sentence's loss with respect to what enters the first block; as many at a time as the batch holds."""
    count, size = cast("tuple[int, int]", observation.input_shape)
    like, at_once = next(iter(observation.update.values())), observation.batch_size
    words = padded([suspect.words for suspect in suspects], count)
    labels = torch.tensor([suspect.label for suspect in suspects], dtype=torch.long)
    parts = zip(words.split(at_once), labels.split(at_once), strict=True)
    return torch.cat([_entering_gradients(observation, one_hot(part, size).to(like), own) for part, own in parts])


def _entering_gradients(observation: Observation, inputs: Tensor, labels: Tensor) -> Tensor:
    entering, loss = list[Tensor](), observation.loss

    def keep(module: nn.Module, given: object, made: Tensor) -> None:
        entering.append(made)

    hook = cast("CausalTransformer", observation.network.features).embedding.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = observation.network(inputs)
            mean = loss.value(logits, labels.to(inputs.device)) / loss.length(len(inputs))
            (gradient,) = torch.autograd.grad(mean * len(inputs), entering)
    finally:
        hook.remove()
    weighed = float(loss.shares(observation.classes)[labels].mean()) if learns_labels(observation) else 1.0
    return weighed * gradient.flatten(1).cpu().double()
