"""How a graph was read, or why it was not."""

from __future__ import annotations

from lab.attacks.base import Outcome


class GraphOutcome(Outcome):
    """How a graph was read."""

    GRAPH = (
        "Read off: this graph has the shared gradient. No other that was tried has it, which is no proof that there is none."
    )
    TWINS = "Read off as far as can be: another graph has the same gradient, and nobody can tell them apart."
    NO_COUNTS = "No neighbourhoods explain the gradient: it carries noise, or atoms have more bonds than were tried."
    TOO_MANY = "More neighbourhoods fit, or more numbers of them, than can be tried."
    NO_GLUE = "The neighbourhoods are known, but no graph was found that has them all."
    SEVERAL = "Several graphs share one gradient, which mixes their neighbourhoods."
    ATTRIBUTES = "Nodes have real-valued attributes, which no list of neighbourhoods holds; take the attack feature_span."
    NO_BODY = "This network is no graph network of the catalogue with its layers and head sent."
