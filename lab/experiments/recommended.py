"""The attack that serves a network best, as far as was measured: the one place that says it.

An experiment whose attack is the recommended one follows its network: the page and the command
line move it on when another network, or other weights, are chosen. An attack that somebody chose
stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

from lab.lazy import nn

from lab.attacks.analytic import Analytic
from lab.attacks.base import Attack
from lab.attacks.closed_form.linear_layers import recover_layer_inputs
from lab.attacks.feature_span import FeatureSpan
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.top_heavy_cosine import TopHeavyCosine
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.priors.total_variation import TotalVariation
from lab.attacks.matching.settings import Derivative, Matching
from lab.attacks.neighbourhoods import Neighbourhoods
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.soft_pooling import SoftPooling
from lab.attacks.span import Span
from lab.client.datasets.tu import TU
from lab.experiments.experiment import Experiment
from lab.federated.networks.base import Activation, Network
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.transformer import Transformer
from lab.federated.networks.vision_transformer import Positions, VisionTransformer
from lab.federated.observation import LabelSource, Observation
from lab.modalities.base import modality_of
from lab.options.catalogue import find

SMOOTH = (Activation.SIGMOID, Activation.TANH, Activation.SILU, Activation.GELU, Activation.ELU)
SECOND_ORDER = GradientMatching(
    distance=BalancedCosine(),
    priors=(TotalVariation(weight=1e-3, relative=False),),
    optimiser=LBFGS(schedule=Schedule.CONSTANT, history=60),
    iterations=300,
    derivative=Derivative.FROZEN,
    boxed=False,
    patience=30,
)
"""Curvature of a smooth objective, on all scales at once: the frozen derivative has digits enough for it."""

TOP_HEAVY = GradientMatching(distance=TopHeavyCosine(emphasis=1000.0))
"""For the wide ConvNet, whose head sees places: the layers near the loss lead (width 64: 33.8 dB against 29.9; 1 picture)."""

ANNEALED = GradientMatching(optimiser=Adam(step=0.05), annealing=0.1)
"""A narrow ConvNet's last layers know too little to lead alone: noise blurs past choices instead.

Width 16: 17.1 dB against 15.9 without the noise and with the layers near the loss leading (3 pictures).
"""
ANNEALED_TOP_HEAVY = replace(ANNEALED, distance=TOP_HEAVY.distance)
"""Between the two, both help (width 32: 23.7 dB against 22.5 by the noise alone; 3 pictures), as they do with several pictures
on the wide one (width 64: four at once 23.7 and 23.3 dB, 18.6 and 17.9 without the noise)."""
SOME_WIDTH, ENOUGH_WIDTH = 32, 64

SEVERAL = 3
"""From so many pictures on, noise keeps them from settling in one another's shapes before they have come apart."""
SEVERAL_PICTURES = GradientMatching(annealing=0.05)
"""Small ConvNet: 4 pictures 24.6 dB without the noise and 26.9 with it, 8 pictures 17.6 and 21.0, but 2 pictures 35.0 and 32.0
(8 batches each); MLP: 4 pictures 24.4 and 32.0 (6 batches). Trained, the small ConvNet's lose (15.4 and 13.1; 5 batches)."""

FEW = 4
"""Up to so many pictures what leaves max-poolings comes apart by labels, and soft poolings lead to the pictures."""
BALANCED = GradientMatching(distance=BalancedCosine())
"""Nothing tears the gradient of a smooth network: every layer's tells of the picture alike."""

FULL_HEAD_START = HeadStart(distance=BalancedCosine(), patient=True)
"""A trained ResNet's picture comes out of the whole way down, where there are channels enough, and hardly by matching.

Its last layers tell little of it (ResNet20-4, 2,000 steps: 17.8 dB against 16.5 top-heavy; 6 pictures).
"""


def recommended_for(experiment: Experiment) -> Attack:
    """The attack that serves this experiment's network, weights and number of pictures best."""
    found = recommended_attack(experiment.network, trained=experiment.trained, pictures=experiment.batch_size)
    if isinstance(found, Neighbourhoods) and isinstance(experiment.dataset, TU) and experiment.dataset.attributes:
        return FeatureSpan()
    return _knowing(found, experiment.network.modality)


def _knowing(attack: Attack, modality: str) -> Attack:
    """The attack without priors that know other inputs."""
    if not isinstance(attack, Matching):
        return attack
    known = tuple(prior for prior in attack.priors if prior.modality == modality)
    return attack if known == attack.priors else replace(attack, priors=known)


def recommended_attack(network: Network, *, trained: bool, pictures: int = 1) -> Attack:
    """The attack that serves this network best, for so many private pictures.

    A vision transformer's patches are one linear system, words are checked against a span, a graph's neighbourhoods are
    counted; through max-poolings few pictures are sought softly; every other network is matched.
    """
    if network.modality == Neighbourhoods.modality and pictures == 1:
        return Neighbourhoods()
    if isinstance(network, Transformer):
        return Span()
    if isinstance(network, VisionTransformer | ImageNetViT):
        places = getattr(network, "positions", Positions.LEARNED)
        return PatchEmbedding() if pictures == 1 and places is Positions.LEARNED else BALANCED
    if isinstance(network, FlowerNet) and network.activation is Activation.RELU and pictures <= FEW:
        return SoftPooling()
    return recommended_matching(network, trained=trained, pictures=pictures)


def recommended_matching(network: Network, *, trained: bool, pictures: int = 1) -> Matching:
    """The gradient matching that serves a network of layers best.

    L-BFGS on Zhu's LeNet and on smooth ResNets; a head start where the body can be undone in a moment and matching alone
    gets less far (ResNet20-4 untrained: SSIM 0.8 on 19 of 20 pictures, against 2), and the whole way down on trained ResNets;
    an even cosine on other smooth networks; the last layers' lead on the wide ConvNet, noise on the narrow and where
    several pictures have to come apart; else the default.
    """
    smooth = getattr(network, "activation", None) in SMOOTH
    if (isinstance(network, LeNet) and network.activation is Activation.SIGMOID) or (smooth and isinstance(network, ResNet)):
        return SECOND_ORDER
    if isinstance(network, SmallConvNet if trained else ResNet):
        return HeadStart()
    if trained and isinstance(network, ResNet):
        return FULL_HEAD_START
    if smooth:
        return BALANCED
    if not trained and isinstance(network, ConvNet):
        return _by_width(network.width, pictures)
    apart = not trained and pictures >= SEVERAL and isinstance(network, SmallConvNet | MLP)
    return SEVERAL_PICTURES if apart else GradientMatching()


def recommended_for_observation(observation: Observation) -> Attack:
    """The same for a network of which no options tell what it is: a head start where the algebra gets anywhere, then matching.

    Patches with learned places are one linear system, whosever network it is.
    Smooth networks are matched by all layers alike, and several pictures are kept apart by noise, as those of the catalogue.
    """
    from lab.federated.causal_transformer import CausalTransformer

    kinked = any(isinstance(module, (nn.ReLU, nn.LeakyReLU, nn.MaxPool2d)) for module in observation.network.modules())
    distance = TopHeavyCosine() if kinked else BalancedCosine()
    if observation.modality == Neighbourhoods.modality and observation.batch_size == 1:
        return FeatureSpan() if "attributes" in observation.input_shape else Neighbourhoods()
    if isinstance(observation.network.features, CausalTransformer):
        return Span()
    if HeadStart.modality != observation.modality:
        return GradientMatching(distance=distance, priors=())
    if _has_patches(observation):
        return PatchEmbedding()
    if observation.label_source is LabelSource.JOINT:
        return GradientMatching(distance=distance)
    if _has_soft_poolings(observation):
        return SoftPooling()
    if _is_told_by_pairs(observation):
        return Analytic()
    return HeadStart(distance=distance, annealing=SEVERAL_PICTURES.annealing if observation.batch_size >= SEVERAL else 0.0)


def _has_patches(observation: Observation) -> bool:
    """Whether one picture's patches are one linear system."""
    from lab.attacks.closed_form.patch_equations import find_embedding

    embedding = find_embedding(observation.network, observation.image_shape)
    return observation.batch_size == 1 and embedding is not None and bool(embedding.positions)


def _is_told_by_pairs(observation: Observation) -> bool:
    """Whether one picture enters a low-rank pair as it is, and the pair's gradients tell it."""
    alone = observation.batch_size == observation.local_steps == 1
    if not alone or not isinstance(observation.network.features, nn.Identity):
        return False
    return any(reading.is_pair for reading in recover_layer_inputs(observation)[-1:])


def _has_soft_poolings(observation: Observation) -> bool:
    """Whether few pictures passed a chain of narrow convolutions, ReLUs and max-poolings in one step."""
    from lab.attacks.matching.softened import is_softened

    body, few = observation.network.features, observation.batch_size <= FEW and observation.local_steps == 1
    widths = [layer.out_channels for layer in body.modules() if isinstance(layer, nn.Conv2d)]
    return few and is_softened(body) and max(widths, default=0) <= SOME_WIDTH


def _by_width(width: int, pictures: int) -> Matching:
    """A ConvNet's: the more its last layers know, the more they lead, and the less past choices need blurring."""
    if width >= ENOUGH_WIDTH:
        return TOP_HEAVY if pictures < SEVERAL else ANNEALED_TOP_HEAVY
    return ANNEALED_TOP_HEAVY if width >= SOME_WIDTH else ANNEALED


def with_recommended_attack(before: Experiment, after: Experiment) -> Experiment:
    """``after`` a change of ``before``, its attack moved on to the new one's recommended where it was the old one's."""
    untouched = after.attack == before.attack == recommended_for(before)
    return replace(after, attack=recommended_for(after)) if untouched else after


def with_one_modality(before: Experiment, after: Experiment) -> Experiment:
    """``after`` a change of ``before``: where network or data set turned to another modality alone, the other one follows."""
    given, taken = after.dataset.modality, after.network.modality
    if given == taken:
        return after
    if given == before.dataset.modality:
        return replace(after, dataset=find("dataset", modality_of(taken).dataset)())
    return replace(after, network=find("network", modality_of(given).network)()) if taken == before.network.modality else after
