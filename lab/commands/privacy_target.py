"""``--epsilon`` and ``--delta``: what was typed of differential privacy, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.client.accountant import DEFAULT_DELTA, check_delta, check_epsilon
from lab.errors import LabError, quoted

if TYPE_CHECKING:
    from lab.experiments.experiment import Experiment


@dataclass(frozen=True)
class PrivacyTarget:
    """The epsilon that noise shall keep, None where the noise itself was given, and the chance for which it is told."""

    epsilon: float | None
    delta: float

    @classmethod
    def typed(cls, epsilon: float | None, delta: float | None, defences: Sequence[str]) -> PrivacyTarget:
        """From the flags. Raises ``LabError`` where they are out of range, or a defence was given its noise as well."""
        if delta is not None:
            check_delta(delta)
        if epsilon is not None:
            check_epsilon(epsilon)
            given = next((text for text in defences if "multiplier" in text), None)
            if given is not None:
                raise LabError(
                    f"--epsilon says how much noise, and so does --defence {quoted(given)}; leave one of the two out."
                )
        return cls(epsilon, DEFAULT_DELTA if delta is None else delta)

    def kept(self, experiment: Experiment) -> Experiment:
        """An experiment whose noise keeps it. Raises ``LabError`` where none does."""
        from lab.experiments.privacy_guarantees import calibrated

        return experiment if self.epsilon is None else calibrated(experiment, self.epsilon, self.delta)
