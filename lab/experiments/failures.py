"""Failures worth seeing: attacks that go wrong, each with its cause in a sentence and the one change that mends it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.recursive import Recursive
from lab.client.datasets.gallery import Gallery
from lab.client.defences.scaling import Scaling
from lab.experiments.edits import Patch, patched
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Activation
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.line_up import Verdict


@dataclass(frozen=True, eq=False)
class Failure:
    """An experiment that fails, why, and what to click."""

    name: str
    title: str
    cause: str
    expected: Verdict
    experiment: Experiment
    change: str
    """The mend in words, as a button says it."""
    edits: tuple[Patch, ...]
    """The mend."""

    @property
    def mended(self) -> Experiment:
        """The experiment after the change; it comes out recognisable."""
        return patched(self.experiment, self.edits)


_LATE = Experiment(dataset=Gallery(first="cat"), trained=True)

_LISTING = (
    Failure(
        "repeated_labels",
        "Four pictures under one label melt together",
        "Pictures with the same label pull the same rows of the last layer, so that only their sum is well told.",
        Verdict.HINT,
        Experiment(dataset=Gallery(labels=(3,)), batch_size=4, attack=GradientMatching(iterations=400)),
        "give each picture a label of its own",
        (("dataset.labels", [0, 1, 2, 3]),),
    ),
    Failure(
        "wrong_label",
        "A wrong label gives the negative",
        "Without a bias the label is read off row sums, which mislead where features are negative (tanh); "
        "the attack then explains the gradient by the opposite picture.",
        Verdict.HIDDEN,
        Experiment(
            dataset=Gallery(first="cat"),
            network=MLP(depth=2, width=64, activation=Activation.TANH, bias=False),
            labels=LabelSource.INFERRED,
        ),
        "let the server know the label",
        (("labels", "known"),),
    ),
    Failure(
        "late_training",
        "After training the gradient says little",
        "Nearly half of the square length of the trained network's gradient lies in its first convolution, which sums over the "
        "whole picture, and a tenth in the layer that tells where things are (before training it was four fifths).",
        Verdict.HINT,
        Experiment(dataset=Gallery(first="kitten"), trained=True),
        "attack the first round of training instead",
        (("trained", False),),
    ),
    Failure(
        "loudest_layer",
        "One loud layer drowns the others",
        "Most of the square length of this trained network's gradient lies in the first convolution, and the plain "
        "cosine looks at little else.",
        Verdict.HIDDEN,
        replace(_LATE, attack=GradientMatching(distance=Cosine())),
        "weigh each layer by its share of the parameters (balanced cosine)",
        (("distance", "balanced_cosine"),),
    ),
    Failure(
        "too_smooth",
        "Too much smoothing",
        "Total variation pulls twenty times as hard as the match at first and three times at the end, so that edges cost more "
        "than they gain.",
        Verdict.HINT,
        Experiment(attack=GradientMatching(priors=(TotalVariation(weight=20.0, fade=0.15),))),
        "lower the weight of total variation",
        (("tv", 0.6),),
    ),
    Failure(
        "too_few_steps",
        "Stopped too early",
        "Three steps move the broad shapes only.",
        Verdict.HINT,
        Experiment(attack=GradientMatching(iterations=3)),
        "take 200 steps",
        (("iterations", 200),),
    ),
    Failure(
        "shorter_gradient",
        "A shortened gradient misleads a distance that minds length",
        "The client sent a tenth of its gradient; the squared difference takes the lacking length for a different picture.",
        Verdict.HIDDEN,
        Experiment(defences=(Scaling(strength=0.9),), attack=GradientMatching(distance=Euclidean())),
        "compare directions instead",
        (("distance", "cosine"),),
    ),
    Failure(
        "features_only",
        "The algebra stops at the features",
        "Below the fully connected layer stand convolutions: the ratio gives what enters that layer, not the picture.",
        Verdict.HIDDEN,
        Experiment(attack=Analytic()),
        "carry the algebra down through the convolutions",
        (("attack", "recursive"),),
    ),
    Failure(
        "moving_layers",
        "Layers that moved under way",
        "During sixteen local steps the convolutions moved, and with them the features: the numbers add up sixteen gradients "
        "at sixteen places, though a first layer's input never moves and stays an exact ratio.",
        Verdict.HIDDEN,
        Experiment(network=LeNet(), protocol=FedAvg(local_steps=16, learning_rate=0.01), attack=Recursive(hand_over=False)),
        "put a fully connected layer first",
        (("network", "mlp"),),
    ),
    Failure(
        "saturated_sigmoids",
        "Saturated sigmoids",
        "Training drove more than a third of the sigmoids to within 0.05 of their ends (a ninth before), where slopes "
        "vanish and 200 steps get nowhere near the details.",
        Verdict.HINT,
        Experiment(dataset=Gallery(first="cat"), network=LeNet(), trained=True),
        "solve the layers instead of following slopes",
        (("attack", "recursive"),),
    ),
)

FAILURES = {failure.name: failure for failure in _LISTING}
