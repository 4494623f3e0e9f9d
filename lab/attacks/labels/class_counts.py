"""How many pictures of each class there are, by what one picture of each does to dL/dlogits."""

from __future__ import annotations

from lab.lazy import Float, Tensor, torch

from lab.federated.losses.base import Loss
from lab.federated.tensors import Labels


def responses(loss: Loss, logits: Float[Tensor, "pictures classes"]) -> Float[Tensor, "classes classes"]:
    """Row j: the dL/dlogits of a picture of class j, if its logits are about these."""
    classes, rows = logits.shape[1], list[Tensor]()
    for label in range(classes):
        labels = torch.full((len(logits),), label, dtype=torch.long, device=logits.device)
        rows.append(loss.per_example_logit_gradient(logits, labels).mean(0))
    return torch.stack(rows).cpu().double()


def counts(
    loss: Loss, rows: Float[Tensor, "classes classes"], logit_gradient: Float[Tensor, " classes"], pictures: int
) -> Float[Tensor, " classes"]:
    """The n >= 0 with sum_j n_j s_j r_j = (sum_j n_j s_j) g and sum n = pictures, in the least-squares sense.

    r_j is row j, g the mean dL/dlogits, and s_j how much a picture of class j counts in a mean.
    """
    from scipy.optimize import nnls  # imported here: scipy is slow to load

    gradient, shares = logit_gradient.detach().cpu().double(), loss.shares(len(logit_gradient))
    usual = float(shares.mean())
    left = (rows * shares[:, None] - (shares - usual)[:, None] * gradient).T
    ones = torch.ones(1, len(gradient), dtype=torch.float64)
    right = torch.cat([pictures * usual * gradient, torch.tensor([float(pictures)], dtype=torch.float64)])
    found, _ = nnls(torch.cat([left, ones]).numpy(), right.numpy())
    return torch.from_numpy(found)


def as_labels(found: Float[Tensor, " classes"], pictures: int) -> Labels:
    """Whole counts that add up (largest remainders first), written as labels."""
    scaled = found * pictures / found.sum().clamp_min(1e-12)
    whole = scaled.floor()
    short = pictures - int(whole.sum())
    whole[(scaled - whole).argsort(descending=True)[:short]] += 1
    return torch.repeat_interleave(torch.arange(len(found)), whole.long())[:pictures]
