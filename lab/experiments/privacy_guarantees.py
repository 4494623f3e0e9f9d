"""What differential privacy promises the client of an experiment: the one account that commands, files and pages tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lab.client import privacy_guarantees as of_defences
from lab.client.accountant import DEFAULT_DELTA, Guarantee, NoAccountantError, NoisySums
from lab.client.defences.dp_sgd import DPSGD
from lab.experiments.experiment import Experiment
from lab.federated.protocols.secure_sum import SecureSum

ASSUMPTION = (
    "Counted is {rounds} of a client that has {inputs} and is asked for nothing else; each further round adds to epsilon."
)


def guarantee_sentences(experiment: Experiment, delta: float = DEFAULT_DELTA) -> list[str]:
    """In sentences, the last of which says what is taken for granted; none without a defence that promises any."""
    found = list(_guarantees(experiment, delta))
    assumed = [_assumed(experiment)] if any(isinstance(one, Guarantee) for one in found) else []
    return [*map(str, found), *assumed]


def guarantees_as_data(experiment: Experiment, delta: float = DEFAULT_DELTA) -> list[dict[str, Any]]:
    """In numbers and words, an object a promise; of one that is broken or cannot be accounted only the words."""
    assumed = {"assumed": _assumed(experiment)}
    return [
        one.plain() | assumed if isinstance(one, Guarantee) else {"epsilon": None, "delta": delta, "told": one}
        for one in _guarantees(experiment, delta)
    ]


def calibrated(experiment: Experiment, epsilon: float, delta: float = DEFAULT_DELTA) -> Experiment:
    """The same with as much noise as keeps an epsilon, by DP-SGD where no defence makes any. Raises ``LabError``."""
    once = replace(experiment, defences=experiment.defences or (DPSGD(),))  # without a defence nobody asks twice
    found = of_defences.calibrated(once.defences, lambda defence: [[_sums(once, defence)]], epsilon, delta)
    return replace(experiment, defences=found)


def _guarantees(experiment: Experiment, delta: float) -> Iterator[Guarantee | str]:
    if reason := of_defences.why_no_guarantee(experiment.defences):
        yield reason
    try:
        yield from of_defences.guarantees(experiment.defences, lambda defence: [[_sums(experiment, defence)]], delta)
    except NoAccountantError as missing:
        yield str(missing)


def _sums(experiment: Experiment, defence: of_defences.AccountedDefence) -> NoisySums:
    if isinstance(defence, DPSGD):
        inputs = experiment.batch_size
        return of_defences.noisy_sums_of_examples(experiment.protocol, inputs, inputs, experiment.asked)
    if isinstance(experiment.protocol, SecureSum):  # the mean is clipped as a whole: one client moves it by twice the bound
        return NoisySums("client", of_defences.MEAN, 1.0, experiment.asked, noises=0.5)
    return NoisySums("client", of_defences.EACH, 1.0, experiment.asked)


def _assumed(experiment: Experiment) -> str:
    modality, count, asked = experiment.modality, experiment.batch_size, experiment.asked
    inputs = f"this one {modality.one}" if count == 1 else f"these {count} {modality.many}"
    return ASSUMPTION.format(rounds="one round" if asked == 1 else f"{asked} rounds", inputs=inputs)
