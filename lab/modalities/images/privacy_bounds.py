"""What differential privacy lets no attack find: bounds on the reconstruction of one example behind a noisy update.

The client sends a sum in which an example's part is at most C long, plus noise of deviation sigma C on every number, T times.

With a prior (Hayes et al. 2023, 2302.07225): an attack hits whatever it may hit with a chance of at most

    gamma = Phi(Phi^-1(kappa) + sqrt(T) / sigma),

where kappa is the chance of the best guess that sees no update. Without a prior (Riess et al. 2024, 2402.12861) the best
that a server of its own choosing makes of it is x + N(0, (sigma ||x||)^2), so that the mean squared error is sigma^2 ||x||^2;
whoever knows that pixels lie in [0, 1], or what pictures look like, is not bound by that, and a grey guess lies above.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from lab.lazy import Float, Tensor, torch

from lab.federated.tensors import Suspects

NORMAL = NormalDist()
CHANCE = 0.05
"""With which a picture may come out better than the bound with a prior says."""
MAX_PICTURES = 2000
"""Of a prior; its distances are a square matrix."""
AMBIGUOUS_DB = 20 * math.log10(2)
"""Two pictures that one guess hits at t dB are within twice the distance of each other: t less so much."""


def hit(kappa: float, multiplier: float, steps: int) -> float:
    """The most that an attack's chance may be if a blind guess's is ``kappa``."""
    if multiplier == 0:
        return 1.0
    if not 0 < kappa < 1:
        return kappa
    return NORMAL.cdf(NORMAL.inv_cdf(kappa) + math.sqrt(steps) / multiplier)


def bound_with_prior_db(pictures: Suspects, multiplier: float, steps: int, chance: float = CHANCE) -> float:
    """The PSNR that no attack reaches with more than ``chance``, of whoever knows that the picture is one of these.

    Infinite where even a single one of them may be found so often. Any guess's hits lie within a ball, so that kappa is at
    most the share of the pictures around one of them within twice the radius.
    """
    between = _psnr_db(pictures[:MAX_PICTURES])
    count = len(between)
    allowed = next((hits for hits in range(count, 0, -1) if hit(hits / count, multiplier, steps) <= chance), 0)
    if not allowed:
        return math.inf
    return float(between.kthvalue(count - allowed, dim=1).values.max()) + AMBIGUOUS_DB if allowed < count else -math.inf


def bound_without_prior_db(picture: Float[Tensor, "channel height width"], multiplier: float, steps: int) -> float:
    """The PSNR expected of the best attack that knows nothing of pictures; infinite without noise."""
    error = multiplier**2 / steps * float(picture.double().square().sum())
    return -10 * math.log10(error) if error > 0 else math.inf


def _psnr_db(pictures: Suspects) -> Float[Tensor, "count count"]:
    """Of each picture against each; its own is infinite."""
    flat = pictures.flatten(1).double()
    return -10 * (torch.cdist(flat, flat).square() / flat.shape[1]).fill_diagonal_(0.0).log10()
