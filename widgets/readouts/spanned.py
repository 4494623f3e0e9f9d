"""The span that words are checked against, as plain data and arrays, ready for the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from lab import Observation


def spanned(seen: Observation) -> dict[str, Any] | None:
    """How many directions the gradient of the first attention tells, and how many there are; None where it tells none."""
    from lab.attacks.base import Outcome
    from lab.attacks.span import gradient_spans, most_sentences

    found = gradient_spans(seen)
    if isinstance(found, Outcome):
        return None
    span, _ = found
    places, _ = cast("tuple[int, int]", seen.input_shape)
    return {
        "rank": span.rank,
        "width": span.width,
        "shares": span.singular_values.numpy().astype(np.float32).tobytes(),
        "typical": span.typical,
        "places": places,
        "most": most_sentences(seen, span),
    }
