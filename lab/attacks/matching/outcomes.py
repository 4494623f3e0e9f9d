"""How gradient matching ends."""

from __future__ import annotations

from lab.attacks.base import Outcome


class MatchingOutcome(Outcome):
    """How gradient matching ended."""

    CONVERGED = "The distance to the shared update no longer falls, so the rest of the budget is saved."
    BUDGET_SPENT = "All iterations are done."
    NOT_FINITE = "The objective stopped being a finite number; the best picture so far is kept. Try a smaller step."
    NEVER_FINITE = (
        "The objective is no finite number even at the start: the shared numbers, or the network's, are too large for it."
    )
    SILENT = (
        "Every shared number is zero: the network is quite sure of the label, its units are silent, or a defence kept all "
        "back. No picture leaked."
    )
