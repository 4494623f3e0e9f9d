"""The Inverting Gradients Lab: private pictures rebuilt from the gradients that federated learning shares.

A model and an update of one's own:

    seen = lab.observe(model, update, input_shape=(3, 32, 32))  # any torch.nn.Module, checked at the door
    print(*lab.diagnose(seen).sentences)                        # what the update is, and what stands in the way
    for state in lab.attack(seen): ...                          # the recommended attack, or lab.attack(seen, lab.Recursive())
    print(lab.score(state, truth).verdict)                      # only where there is a truth

A simulated round:

    experiment = Experiment(network=SmallConvNet(), seed=7)      # every choice, frozen
    attacked = simulate_round(experiment)                        # the client trains and sends
    for state in reconstruct(experiment, attacked.observation):  # the server attacks
        ...                                                      # watch state.candidate converge
    scores = score(state, attacked)                              # only here truth meets reconstruction
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lab.observe import observe  # at once: a module of this name would stand in its place once it is imported

if TYPE_CHECKING:
    from lab.attacks.analytic import Analytic
    from lab.attacks.base import Attack, AttackState, Interrupted, Outcome
    from lab.attacks.closed_form.outcomes import ClosedFormOutcome
    from lab.attacks.feature_span import FeatureOutcome, FeatureSpan
    from lab.attacks.gradient_matching import GradientMatching
    from lab.attacks.head_start import HeadStart
    from lab.attacks.label_reading import LabelReading, LabelReadingOutcome
    from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
    from lab.attacks.matching.distances.balanced_euclidean import BalancedEuclidean
    from lab.attacks.matching.distances.base import Distance
    from lab.attacks.matching.distances.cosine import Cosine
    from lab.attacks.matching.distances.euclidean import Euclidean
    from lab.attacks.matching.distances.l1 import L1
    from lab.attacks.matching.distances.layer_cosine import LayerCosine
    from lab.attacks.matching.distances.soft_signs import SoftSigns
    from lab.attacks.matching.distances.top_heavy_cosine import TopHeavyCosine
    from lab.attacks.matching.optimisers.adam import Adam
    from lab.attacks.matching.optimisers.base import Optimiser
    from lab.attacks.matching.optimisers.lbfgs import LBFGS
    from lab.attacks.matching.optimisers.normalised_adam import NormalisedAdam
    from lab.attacks.matching.optimisers.signed_adam import SignedAdam
    from lab.attacks.matching.outcomes import MatchingOutcome
    from lab.attacks.matching.priors.base import Prior
    from lab.attacks.matching.priors.l2 import L2
    from lab.attacks.matching.priors.total_variation import TotalVariation
    from lab.attacks.neighbourhoods import GraphOutcome, Neighbourhoods
    from lab.attacks.patch_embedding import PatchEmbedding, PatchOutcome
    from lab.attacks.recursive import Recursive
    from lab.attacks.soft_pooling import SoftPooling
    from lab.attacks.span import Span, SpanOutcome
    from lab.client.batch import Batch
    from lab.client.defences.base import Defence
    from lab.client.defences.clipping import Clipping
    from lab.client.defences.dp_fedavg import DPFedAvg
    from lab.client.defences.dp_sgd import DPSGD
    from lab.client.defences.dropout import Dropout
    from lab.client.defences.gaussian_noise import GaussianNoise
    from lab.client.defences.low_rank import LowRank
    from lab.client.defences.mixup import Mixup
    from lab.client.defences.precode import Precode
    from lab.client.defences.pruning import Pruning
    from lab.client.defences.quantisation import Quantisation
    from lab.client.defences.scaling import Scaling
    from lab.client.defences.soteria import Soteria
    from lab.client.defences.top_k import TopK
    from lab.errors import LabError
    from lab.evaluation.round import Round
    from lab.evaluation.scores import Scores
    from lab.evaluation.scoring import score
    from lab.experiments.experiment import Experiment
    from lab.experiments.rounds import attack, reconstruct, simulate_round
    from lab.federated.fine_tuning.base import FineTuning
    from lab.federated.fine_tuning.everything import Everything
    from lab.federated.fine_tuning.last_layers import LastLayers
    from lab.federated.fine_tuning.low_rank_pairs import LowRankPairs
    from lab.federated.local_optimisers.adam import LocalAdam
    from lab.federated.local_optimisers.base import LocalOptimiser
    from lab.federated.local_optimisers.sgd import LocalSGD
    from lab.federated.losses.base import Loss
    from lab.federated.losses.bce_with_logits import BCEWithLogits
    from lab.federated.losses.cross_entropy import CrossEntropy
    from lab.federated.losses.mse import MSE
    from lab.federated.networks.base import Network
    from lab.federated.networks.convnet import ConvNet
    from lab.federated.networks.flower_net import FlowerNet
    from lab.federated.networks.gcn import GCN
    from lab.federated.networks.graphsage import GraphSAGE
    from lab.federated.networks.imagenet_resnet import ImageNetResNet
    from lab.federated.networks.imagenet_vit import ImageNetViT
    from lab.federated.networks.lenet import LeNet
    from lab.federated.networks.mlp import MLP
    from lab.federated.networks.mobilenet_v3 import MobileNetV3
    from lab.federated.networks.resnet import ResNet
    from lab.federated.networks.small_convnet import SmallConvNet
    from lab.federated.networks.squeezenet import SqueezeNet
    from lab.federated.networks.transformer import Transformer
    from lab.federated.networks.vgg11 import VGG11
    from lab.federated.networks.vision_transformer import VisionTransformer
    from lab.federated.number_formats import NumberFormat
    from lab.federated.observation import LabelSource, Observation
    from lab.federated.protocols.base import Protocol
    from lab.federated.protocols.fedavg import FedAvg
    from lab.federated.protocols.fedsgd import FedSGD
    from lab.federated.protocols.secure_sum import SecureSum
    from lab.findings.diagnosis import Diagnosis, diagnose
    from lab.modalities.line_up import Verdict

__all__ = [
    "DPSGD",
    "GCN",
    "L1",
    "L2",
    "LBFGS",
    "MLP",
    "MSE",
    "VGG11",
    "Adam",
    "Analytic",
    "Attack",
    "AttackState",
    "BCEWithLogits",
    "BalancedCosine",
    "BalancedEuclidean",
    "Batch",
    "Clipping",
    "ClosedFormOutcome",
    "ConvNet",
    "Cosine",
    "CrossEntropy",
    "DPFedAvg",
    "Defence",
    "Diagnosis",
    "Distance",
    "Dropout",
    "Euclidean",
    "Everything",
    "Experiment",
    "FeatureOutcome",
    "FeatureSpan",
    "FedAvg",
    "FedSGD",
    "FineTuning",
    "FlowerNet",
    "GaussianNoise",
    "GradientMatching",
    "GraphOutcome",
    "GraphSAGE",
    "HeadStart",
    "ImageNetResNet",
    "ImageNetViT",
    "Interrupted",
    "LabError",
    "LabelReading",
    "LabelReadingOutcome",
    "LabelSource",
    "LastLayers",
    "LayerCosine",
    "LeNet",
    "LocalAdam",
    "LocalOptimiser",
    "LocalSGD",
    "Loss",
    "LowRank",
    "LowRankPairs",
    "MatchingOutcome",
    "Mixup",
    "MobileNetV3",
    "Neighbourhoods",
    "Network",
    "NormalisedAdam",
    "NumberFormat",
    "Observation",
    "Optimiser",
    "Outcome",
    "PatchEmbedding",
    "PatchOutcome",
    "Precode",
    "Prior",
    "Protocol",
    "Pruning",
    "Quantisation",
    "Recursive",
    "ResNet",
    "Round",
    "Scaling",
    "Scores",
    "SecureSum",
    "SignedAdam",
    "SmallConvNet",
    "SoftPooling",
    "SoftSigns",
    "Soteria",
    "Span",
    "SpanOutcome",
    "SqueezeNet",
    "TopHeavyCosine",
    "TopK",
    "TotalVariation",
    "Transformer",
    "Verdict",
    "VisionTransformer",
    "attack",
    "diagnose",
    "observe",
    "reconstruct",
    "score",
    "simulate_round",
]

_NOUNS = (
    "lab.errors",
    "lab.federated.observation",
    "lab.attacks.base",
    "lab.attacks.closed_form.outcomes",
    "lab.attacks.matching.outcomes",
    "lab.client.batch",
    "lab.evaluation.round",
    "lab.experiments.experiment",
    "lab.evaluation.scores",
    "lab.evaluation.scoring",
    "lab.modalities.line_up",
    "lab.experiments.rounds",
    "lab.attacks.matching.distances.base",
    "lab.attacks.matching.priors.base",
    "lab.attacks.matching.optimisers.base",
    "lab.federated.local_optimisers.base",
    "lab.federated.losses.base",
    "lab.federated.fine_tuning.base",
    "lab.attacks.label_reading",
    "lab.attacks.feature_span",
    "lab.attacks.neighbourhoods",
    "lab.attacks.patch_embedding",
    "lab.attacks.span",
    "lab.findings.diagnosis",
    "lab.federated.number_formats",
)
_KINDS = (
    "attack",
    "protocol",
    "loss",
    "local_optimiser",
    "fine_tuning",
    "distance",
    "prior",
    "optimiser",
    "defence",
    "network",
)
"""Their entries are public under the names of their classes, also those of files that somebody adds."""


def __getattr__(name: str) -> Any:
    """A public name, its module imported when first asked for: ``gradlab --help`` need not wait for torch."""
    found = _noun(name) if name in __all__ else None
    if found is None and name[:1].isupper():
        found = _entry(name)
    if found is None:
        raise AttributeError(f"module 'lab' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})


def _noun(name: str) -> Any:
    modules = (import_module(home) for home in _NOUNS)
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def _entry(name: str) -> Any:
    """The catalogue's class of this name, whichever file it stands in."""
    from lab.options.catalogue import entries

    return next((entry for kind in _KINDS for entry in entries(kind).values() if entry.__name__ == name), None)


if "pdoc" in sys.modules:  # it reads a module's dictionary and asks no ``__getattr__``
    for _name in __all__:
        getattr(sys.modules[__name__], _name)
