"""What the noise of DP-SGD lets no attack find of a client's picture, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lab.client.privacy_guarantees import private_training
from lab.federation.shards import Shards
from lab.modalities.images.privacy_bounds import CHANCE, MAX_PICTURES, bound_with_prior_db, bound_without_prior_db
from lab.options.words import percent

NO_BOUND = "An attack that knows all pictures of the federation is not bounded by so little noise"
BOUND = (
    "No attack that knows that the picture is one of the federation's finds it at more than {bound:.1f} dB, but for a chance "
    "of {chance} (Hayes et al. 2023)"
)


def bounds_told(shards: Shards, client: int, number: int, rounds: int = 1) -> Iterator[str]:
    """A sentence under an attack on a client's update of one round, or of several together; none without a promise."""
    defence, batch = private_training(shards.settings.defences), shards.batch(client, number)
    if defence is None:
        return
    steps = rounds * len(shards.settings.protocol.steps(len(batch)).rows)
    bound = bound_with_prior_db(shards.known(MAX_PICTURES), defence.multiplier, steps)
    told = NO_BOUND if math.isinf(bound) else BOUND.format(bound=bound, chance=percent(CHANCE))
    blind = bound_without_prior_db(batch.images[0], defence.multiplier, steps)
    yield (
        f"{told}; the best that knows nothing of pictures, not even their range, is expected "
        f"at {blind:.1f} dB (Riess et al. 2024)."
    )
