"""Why an attack came out badly, as far as the experiment itself tells, and the one change that mends it: likeliest first.

Each cause is a rule of its own; their order is that of how much each hides, as measured on experiments made by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from lab.attacks.analytic import Analytic
from lab.attacks.label_reading import LabelReading
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.settings import Matching
from lab.attacks.recursive import Recursive
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.unknown import Unknown
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.scaling import Scaling
from lab.experiments.edits import Patch, patched
from lab.experiments.experiment import Experiment
from lab.experiments.failures import FAILURES
from lab.experiments.recommended import recommended_for
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.tensors import IMAGES
from lab.options.plain import to_plain

FEW_ITERATIONS = 50
"""Iterations with which shapes hardly come."""
STRONG_PRIOR = 2.0
"""A weight of total variation that pulls harder than the match."""
STRONG_NOISE = 0.3
"""Noise of this share of an update's length leaves a picture."""
LONG_WAY = 0.02
"""Steps times rate: so far weights move that gradients at their end are others."""
DEFAULT_ITERATIONS = 200


@dataclass(frozen=True)
class Cause:
    """One likely cause."""

    name: str
    sentence: str
    """Why, for the reader."""
    change: str
    """The mend, as a button says it."""
    edits: tuple[Patch, ...]

    def mended(self, experiment: Experiment) -> Experiment:
        """The experiment after the change. Raises ``LabError`` where it cannot be made."""
        return patched(experiment, self.edits)


def likely_causes(experiment: Experiment) -> list[Cause]:
    """What may have spoilt the attack on a round that the lab simulates, the likeliest first; of pictures never empty."""
    if isinstance(experiment.dataset, Unknown):
        return []
    known = next((failure for failure in FAILURES.values() if failure.experiment == experiment), None)
    if known is not None:
        return [Cause(known.name, known.cause, known.change, known.edits)]
    rules = (*RULES, *OF_PICTURES) if experiment.dataset.modality == IMAGES else RULES
    return [cause for rule in rules if (cause := rule(experiment)) is not None]


def _defended(experiment: Experiment) -> Cause | None:
    strong = [defence for defence in experiment.defences if not _is_weak(defence, experiment)]
    if not strong:
        return None
    names = " and ".join(defence.name.replace("_", " ") for defence in strong)
    return Cause(
        "defence",
        f"The phone defends itself ({names}): what arrives is not the gradient of the {experiment.modality.one} any more.",
        "take the defence away",
        (("defences", []),),
    )


def _is_weak(defence: object, experiment: Experiment) -> bool:
    """Whether it hides little: faint noise, or a length that nobody minds."""
    if isinstance(defence, GaussianNoise):
        return defence.strength <= STRONG_NOISE
    minds = isinstance(getattr(experiment.attack, "distance", None), Euclidean)
    return isinstance(defence, Scaling) and not minds


def _stopped_early(experiment: Experiment) -> Cause | None:
    steps = getattr(experiment.attack, "iterations", DEFAULT_ITERATIONS)
    if steps >= FEW_ITERATIONS or not isinstance(experiment.attack, Matching):
        return None
    guesses = "One guess moves" if steps == 1 else f"{steps} guesses move"
    return Cause(
        "steps", f"{guesses} the broad shapes only.", f"take {DEFAULT_ITERATIONS} steps", (("iterations", DEFAULT_ITERATIONS),)
    )


def _smoothed(experiment: Experiment) -> Cause | None:
    weights = [p.weight for p in getattr(experiment.attack, "priors", ()) if isinstance(p, TotalVariation) and p.relative]
    if not weights or max(weights) <= STRONG_PRIOR:
        return None
    return Cause(
        "smoothing",
        f"Total variation pulls {max(weights):g} times as hard as the match at first, so that edges cost more than they gain.",
        "smooth less",
        (("tv", 0.2),),
    )


def _no_search(experiment: Experiment) -> Cause | None:
    """A closed form alone, where it does not reach the picture."""
    attack = experiment.attack
    alone = isinstance(attack, Analytic | LabelReading) or (isinstance(attack, Recursive) and not attack.hand_over)
    if not alone:
        return None
    return Cause(
        "no_search",
        "This attack divides and solves, and guesses nothing: where the equations stop short of the "
        f"{experiment.modality.one}, so does it.",
        "let it guess where equations end",
        _recommended(experiment),
    )


def _unknown_labels(experiment: Experiment) -> Cause | None:
    if experiment.labels is LabelSource.KNOWN:
        return None
    return Cause(
        "labels",
        f"The server works the labels out by itself, and explains the gradient by another {experiment.modality.one} where it "
        "is wrong.",
        "let the server know the labels",
        (("labels", "known"),),
    )


def _moved(experiment: Experiment) -> Cause | None:
    rule = experiment.protocol
    if not isinstance(rule, FedAvg):
        return None
    far = rule.local_steps > 1 and (rule.local_steps * rule.learning_rate > LONG_WAY or not rule.optimiser.is_plain)
    return _as_gradient(rule.local_steps) if far else None


def _as_gradient(steps: int) -> Cause:
    return Cause(
        "local_steps",
        f"The client took {steps} steps by itself: what it sends adds up gradients at {steps} different places.",
        "let the client send its gradient",
        (("local_steps", 0),),
    )


def _same_labels(experiment: Experiment) -> Cause | None:
    own = experiment.dataset.labels if isinstance(experiment.dataset, Gallery) else ()
    if experiment.batch_size < 2 or not own or max(Counter(own).values()) * experiment.batch_size <= len(own):
        return None
    return Cause(
        "same_labels",
        "Pictures with the same label pull the same rows of the last layer, so that only their sum is well told.",
        "give each picture a label of its own",
        (("dataset.labels", [*range(10)]),),
    )


def _several(experiment: Experiment) -> Cause | None:
    if experiment.batch_size < 2:
        return None
    modality = experiment.modality
    return Cause(
        "batch",
        f"{experiment.batch_size} {modality.many} share one gradient, and each is told by what the others leave of it.",
        f"send one {modality.one} at a time",
        (("batch_size", 1),),
    )


def _other_attack(experiment: Experiment) -> Cause | None:
    if experiment.attack == recommended_for(experiment):
        return None
    return Cause(
        "attack",
        "Another attack serves this network better, as far as was measured.",
        "take the recommended attack",
        _recommended(experiment),
    )


def _trained(experiment: Experiment) -> Cause | None:
    if not experiment.trained:
        return None
    return Cause(
        "trained",
        "A trained network's gradient is short, and most of it comes from layers that do not tell where things are.",
        "attack the first round of training instead",
        (("trained", False),),
    )


def _hard_network(experiment: Experiment) -> Cause | None:
    if isinstance(experiment.network, MLP | SmallConvNet):
        return None
    return Cause(
        "network",
        "Pooling, strides and depth of this network throw away where things are before its last layers see them.",
        "take the small ConvNet",
        (("network", "small_convnet"),),
    )


def _by_algebra(experiment: Experiment) -> Cause | None:
    """Where nothing else is left: a fully connected layer gives its input away."""
    return Cause(
        "guessing",
        "This picture is one that guesses do not find here, while a fully connected first layer hands its input over.",
        "put a fully connected layer first, and divide",
        (("network", "mlp"), ("attack", "analytic")),
    )


def _recommended(experiment: Experiment) -> tuple[Patch, ...]:
    return (("attack", to_plain(recommended_for(experiment))),)


RULES: tuple[Callable[[Experiment], Cause | None], ...] = (
    _defended,
    _stopped_early,
    _smoothed,
    _no_search,
    _unknown_labels,
    _same_labels,
    _moved,
    _other_attack,
    _several,
    _trained,
)
"""Likeliest first."""
OF_PICTURES = (_hard_network, _by_algebra)
