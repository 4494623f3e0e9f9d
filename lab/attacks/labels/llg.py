"""Label recovery from the last layer's gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import Float, Tensor, nn, no_grad, torch

from lab.attacks.labels.class_counts import as_labels, counts, responses
from lab.attacks.labels.integer_counts import MAX_PROBABILITY, factor_of_integer_counts
from lab.errors import LabError
from lab.federated.inputs import moved_to, uniform
from lab.federated.observation import LabelSource, Observation
from lab.federated.tensors import Inputs, Labels, Targets
from lab.options.words import rounded
from lab.randomness import stream

if TYPE_CHECKING:
    from lab.federated.classifier import Classifier

RANDOM_INPUTS = 4
"""Random inputs that stand for the unknown ones where a scale must be guessed."""


def recover_labels(observation: Observation) -> Labels:
    """The labels of the batch, in ascending order, from the last linear layer's gradient.

    One picture (iDLG, Zhao et al. 2020): with softmax cross entropy dL/db = p - y, so the
    only negative entry is the label. Without a bias the row sums of dL/dW = (p - y) h^T have
    the same signs wherever the features h are >= 0 (ReLU, sigmoid; not SiLU or tanh).
    Several pictures (after LLG, Wainakh et al. 2022): take the most negative class, give back
    what one picture contributes (1 / batch), and repeat; at another length than told where that alone makes whole counts.

    Of another loss a picture's label is the one that makes dL/dlogits of its logits, which Proposition 3.1 tells; several
    are counted by what pictures of each class send whose logits are those of noise.

    One logit alone answers yes (1) where its gradient is below zero; the yeses of several pictures are counted likewise.
    """
    loss, pictures = observation.loss, observation.batch_size
    logit_gradient = _logit_gradient(observation)
    if len(logit_gradient) == 1:
        return _answers(observation, logit_gradient).to(observation.device)
    if pictures == 1 and not loss.label_has_lowest_gradient:
        return _by_its_logits(observation, logit_gradient)
    if pictures > 1 and not loss.is_counted:
        found = counts(loss, responses(loss, _logits_of_noise(observation)), logit_gradient, pictures)
        return as_labels(found, pictures).to(observation.device)
    return _one_by_one(observation, logit_gradient * length_factor(observation))


def _one_by_one(observation: Observation, logit_gradient: Tensor) -> Labels:
    found: list[int] = []
    for _ in range(observation.batch_size):
        found.append(int(logit_gradient.argmin()))
        logit_gradient[found[-1]] += 1 / observation.batch_size
    return torch.tensor(sorted(found), device=observation.device, dtype=torch.long)


def label_of_one(logit_gradient: Float[Tensor, " classes"]) -> Labels:
    """The label of one picture whose own gradient alone is below zero: that class, or the answer of one logit."""
    return (logit_gradient < 0).long() if len(logit_gradient) == 1 else logit_gradient.argmin().view(1)


def multi_labels(observation: Observation) -> Targets | None:
    """A row of zeros and ones, where one picture has no label or several: a class counts whose logit the update raises.

    None where it has one, another loss tells no such thing, or noise may have turned a sign.
    """
    from lab.attacks.closed_form.linear_layers import single_input  # imported here: it reads layers by what is told here

    if not observation.loss.takes_rows or observation.batch_size > 1 or observation.classes == 1:
        return None
    last = observation.network.last_linear
    if last is None or not observation.protocol.is_linear or single_input(observation.update, last[0]) is None:
        return None
    logit_gradient = mean_gradient_of(observation, f"{last[0]}.bias")
    row = (logit_gradient < 0).to(logit_gradient).unsqueeze(0)
    return None if int(row.sum()) == 1 else row


def multi_labels_note(row: Float[Tensor, "1 classes"]) -> str:
    """That a picture has those labels, in a sentence."""
    classes = ", ".join(str(int(place)) for place in row[0].nonzero()) or "none"
    return f"The picture has not one label: the classes whose logits the update raises are these, {classes}."


def _answers(observation: Observation, logit_gradient: Float[Tensor, " 1"]) -> Labels:
    """Noes, then yeses: of one picture by the sign, of several as many as make this gradient of logits such as noise has."""
    pictures = observation.batch_size
    if pictures == 1:
        return label_of_one(logit_gradient)
    logits = _logits_of_noise(observation)
    no, yes = (
        observation.loss.per_example_logit_gradient(logits, torch.full((len(logits),), answer, dtype=torch.long)).mean()
        for answer in (0, 1)
    )
    count = round(min(max(pictures * float((no - float(logit_gradient)) / (no - yes)), 0), pictures))
    return (torch.arange(pictures) >= pictures - count).long()


def _by_its_logits(observation: Observation, logit_gradient: Tensor) -> Labels:
    """The label of one picture; the lowest where no bias tells the logits."""
    name, last = last_linear(observation.network)
    given, unit = observation.update, int(logit_gradient.abs().argmax())
    if not (f"{name}.bias" in given and f"{name}.weight" in given and observation.protocol.is_linear and logit_gradient[unit]):
        return logit_gradient.argmin().view(1)
    features = mean_gradient_of(observation, f"{name}.weight")[unit] / logit_gradient[unit]
    rows = responses(observation.loss, last(features).detach().view(1, -1))
    alike = torch.cosine_similarity(rows, logit_gradient.cpu().double().view(1, -1))
    return alike.argmax().view(1).to(observation.device)


def length_note(factor: float) -> str:
    """What counting repeated labels took the length of the update for; ``factor`` as of ``length_factor``."""
    if factor == 1:
        return "Repeats are counted by the length of the update, which is taken as told."
    return f"The counts come out whole if the update was sent {rounded(1 / factor, 2)} times as long as the batch's own."


def counting_note(observation: Observation) -> str:
    """What an attack that had to count its labels took for granted; "" where they were told, or there is one picture."""
    if observation.label_source is not LabelSource.INFERRED:
        return ""
    row = multi_labels(observation)
    if row is not None:
        return multi_labels_note(row)
    return length_note(length_factor(observation)) if observation.batch_size > 1 else ""


def length_factor(observation: Observation) -> float:
    """By what to multiply n dL/dlogits = n p - counts for the counts to come out whole, with p guessed from noise; else 1."""
    if observation.batch_size == 1 or not observation.loss.is_counted:
        return 1.0
    probabilities = _logits_of_noise(observation).softmax(1).mean(0).cpu()
    if float(probabilities.max()) > MAX_PROBABILITY:
        return 1.0
    pictures = observation.batch_size
    return factor_of_integer_counts(pictures * probabilities, -pictures * _logit_gradient(observation).cpu(), pictures)


@no_grad
def _logits_of_noise(observation: Observation) -> Float[Tensor, "guesses classes"]:
    return observation.network(_noise(observation))


def _noise(observation: Observation) -> Inputs:
    """Inputs that stand for the unknown ones."""
    noise = uniform(observation.input_shape, RANDOM_INPUTS, stream(0, "pictures for guessing labels"), torch.float32)
    return moved_to(noise, next(observation.network.parameters()))


def _logit_gradient(observation: Observation) -> Tensor:
    """dL/dlogits averaged over the batch: the bias gradient, or the row sums of dL/dW over the features' sum."""
    name, last = last_linear(observation.network)
    if f"{name}.bias" in observation.update:
        return mean_gradient_of(observation, f"{name}.bias").clone()
    if f"{name}.up" in observation.update:
        return _along_a_pair(observation, f"{name}.up")
    return mean_gradient_of(observation, f"{name}.weight").sum(1) / _feature_sum(observation, last)


def _along_a_pair(observation: Observation, name: str) -> Tensor:
    """DL/dlogits of one picture up to its length: the column of dL/dB = s dL/dlogits (A x)^T, as the loss has it round."""
    if observation.batch_size > 1:
        raise LabError(
            f"Labels cannot be inferred: of {observation.batch_size} pictures {name}, one of a low-rank pair, tells a mixture. "
            "Let the server know the labels."
        )
    if observation.classes == 1:
        raise LabError(
            f"Labels cannot be inferred: {name}, one of a low-rank pair, is the same of one logit's yes and of a no to the "
            "negative picture. Let the server know the labels."
        )
    column = torch.linalg.svd(mean_gradient_of(observation, name), full_matrices=False)[0][:, 0]
    return column if observation.loss.has_plausible_sign(column) else -column


def mean_gradient_of(observation: Observation, name: str) -> Tensor:
    """The mean gradient of one parameter. Raises ``LabError`` where the update lacks it, or tells none.

    Of one picture the signs of an update are as good: each step divided by sizes keeps the gradient's signs, and at the
    logits these do not change while the client learns.
    """
    if name not in observation.update:
        raise LabError(f"Labels cannot be inferred: the update holds nothing of {name}. Let the server know the labels.")
    if observation.batch_size == 1 and not observation.protocol.is_linear:
        return -observation.update[name]
    return observation.mean_gradient(name)[name]


def last_linear(network: Classifier) -> tuple[str, nn.Linear]:
    """The layer that makes the logits, by name. Raises ``LabError`` where a network ends in another way."""
    if network.last_linear is None:
        raise LabError("Labels cannot be inferred: this network ends in no linear layer. Let the server know the labels.")
    return network.last_linear


def _feature_sum(observation: Observation, last: nn.Linear) -> Tensor:
    """What the features of a picture add up to, guessed from noise: only its order of magnitude matters."""
    features: list[Tensor] = []
    hook = last.register_forward_hook(lambda _, inputs, __: features.append(inputs[0]))
    try:
        with torch.no_grad():
            observation.network(_noise(observation))
    finally:
        hook.remove()
    return features[0].sum(1).mean().abs().clamp_min(1e-30)
