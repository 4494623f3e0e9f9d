"""Three published ways to read the labels of a whole batch off the last layer, beside LLG."""

from __future__ import annotations

from lab.lazy import Float, Tensor, nn, torch

from lab.attacks.labels.class_counts import as_labels, counts
from lab.attacks.labels.integer_counts import MAX_PROBABILITY, factor_of_integer_counts
from lab.attacks.labels.llg import last_linear, mean_gradient_of
from lab.errors import LabError
from lab.federated.observation import Observation
from lab.federated.tensors import Labels


def idlg(observation: Observation) -> Labels:
    """The classes with the most negative row sums of dL/dW (Zhao et al. 2020), as many as there are pictures.

    dL/dW_c = sum_k (p_kc - y_kc) h_k, so a row sum has the sign of p - y wherever the features h are >= 0. Made for
    one picture; a class is named once however many pictures it has. Ascending.
    """
    return _lowest(_weight_gradient(observation).sum(1), observation)


def gradinversion(observation: Observation) -> Labels:
    """The classes whose rows of dL/dW reach furthest below zero (Yin et al. 2021, equation 6); each once. Ascending."""
    return _lowest(_weight_gradient(observation).amin(1), observation)


def ilrg(observation: Observation) -> Labels:
    """How many pictures each class has, by least squares (Ma et al., ICLR 2023, iLRG). Ascending, with repeats.

    Pictures of class j are taken to share the features h_j = dL/dW_j / dL/db_j, hence the probabilities
    p_j = softmax(W h_j + b). Then K dL/db_i = sum_j n_j p_ji - n_i with sum n = K tells the counts n, and likewise
    with the dL/dlogits that another loss makes of logits and label.
    Raises ``LabError`` where the last layer's bias has no gradient.
    """
    logits, bias_gradient = _by_class(observation)
    loss, pictures = observation.loss, observation.batch_size
    rows = loss.per_example_logit_gradient(logits, torch.arange(len(logits)))
    found = counts(loss, rows, ilrg_factor(observation) * bias_gradient, pictures)
    return as_labels(found, pictures).to(observation.device)


def ilrg_factor(observation: Observation) -> float:
    """By what to multiply dL/db for the counts, linear in it, to come out whole; 1 where nothing tells another length."""
    pictures, (logits, bias_gradient) = observation.batch_size, _by_class(observation)
    probabilities = logits.softmax(1)
    if pictures == 1 or not observation.loss.is_counted or float(probabilities.max()) > MAX_PROBABILITY:
        return 1.0
    classes = len(bias_gradient)
    ones = torch.ones(1, classes, dtype=torch.float32)
    left = torch.cat([probabilities.T - torch.eye(classes, dtype=torch.float32), ones]).double()
    right = torch.zeros(classes + 1, 2, dtype=torch.float64)
    right[-1, 0], right[:-1, 1] = pictures, pictures * bias_gradient.double()
    constant, coefficient = torch.linalg.lstsq(left, right, driver="gelsd").solution.T
    return factor_of_integer_counts(constant, coefficient, pictures)


def _by_class(observation: Observation) -> tuple[Float[Tensor, "classes classes"], Float[Tensor, " classes"]]:
    """The logits of a picture of each class, and dL/db."""
    name, layer = last_linear(observation.network)
    if not observation.protocol.is_linear:
        raise LabError(
            "iLRG divides gradients, and the client's steps divided them before by their own sizes; choose another rule."
        )
    if layer.bias is None or f"{name}.bias" not in observation.update:
        raise LabError(f"iLRG divides by the gradient of a bias, and of {name} none was sent; choose another rule.")
    bias_gradient, weight = _gradient(observation, f"{name}.bias"), _gradient(observation, f"{name}.weight")
    return _logits(layer, weight, bias_gradient), bias_gradient


def _logits(
    layer: nn.Linear, weight: Float[Tensor, "classes features"], bias_gradient: Float[Tensor, " classes"]
) -> Float[Tensor, "classes classes"]:
    """Row j: those of a picture of class j."""
    safe = torch.where(bias_gradient.abs() > 1e-12 * bias_gradient.abs().max(), bias_gradient, torch.ones_like(bias_gradient))
    features = (weight / safe[:, None]).to(layer.weight)
    return (features @ layer.weight.detach().T + layer.bias.detach()).cpu().double()


def _lowest(scores: Float[Tensor, " classes"], observation: Observation) -> Labels:
    """The classes with the lowest scores, each once; as many as there are pictures, or classes."""
    found = scores.argsort()[: observation.batch_size]
    missing = observation.batch_size - len(found)
    return torch.cat([found, found[:1].expand(missing)]).sort().values.to(observation.device)


def _weight_gradient(observation: Observation) -> Float[Tensor, "classes features"]:
    return _gradient(observation, f"{last_linear(observation.network)[0]}.weight")


def _gradient(observation: Observation, name: str) -> Tensor:
    return mean_gradient_of(observation, name).detach().cpu()
