"""Named experiments, each tied to an item of a paper, with the verdict it was seen to reach."""

from __future__ import annotations

from dataclasses import dataclass

from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.settings import Start
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.published import geiping2020_attack, zhu2019_attack
from lab.attacks.recursive import Recursive
from lab.client.datasets.gallery import Gallery
from lab.client.defences.scaling import Scaling
from lab.errors import unknown_name
from lab.experiments.experiment import Experiment
from lab.experiments.recommended import SEVERAL_PICTURES
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.modalities.line_up import Verdict


@dataclass(frozen=True, eq=False)
class Preset:
    """An experiment with its story."""

    name: str
    title: str
    explanation: str
    paper_item: str
    scaled_down: str
    expected: Verdict
    experiment: Experiment


def _on_trained_network(distance: Distance) -> Experiment:
    """One pair of experiments that differ in the distance alone; from noise, as the paper starts, each seed is another run.

    On the fully connected network no layer is so loud that it drowns the others; on the trained small ConvNet the paper's
    cosine fails like the Euclidean distance, and wins only once the layers are balanced.
    """
    attack = GradientMatching(distance=distance, start=Start.NOISE)
    return Experiment(dataset=Gallery(first="horse"), network=MLP(), trained=True, attack=attack)


_LISTING = (
    Preset(
        "default",
        "One photograph, one gradient",
        "A small untrained convolutional network sends the gradient of one photograph; half a second later the server has it.",
        "Geiping et al. 2020, section 5, equation 4",
        "A 97,000-parameter network and 200 iterations with this lab's own schedule instead of the paper's 4,800.",
        Verdict.RECOGNISABLE,
        Experiment(),
    ),
    Preset(
        "geiping2020",
        "The paper's own settings",
        "Cosine, total variation and signed Adam from noise, as Inverting Gradients attacks an untrained LeNet.",
        "Geiping et al. 2020, Table 1, untrained LeNet, last row",
        "One gallery photograph instead of the first 100 pictures of CIFAR-10's validation set.",
        Verdict.RECOGNISABLE,
        Experiment(network=LeNet(), attack=geiping2020_attack(4800, step=0.1, total_variation=1e-2)),
    ),
    Preset(
        "zhu2019",
        "Deep Leakage from Gradients",
        "Squared Euclidean distance and L-BFGS find picture and label together, with no prior and no box.",
        "Zhu et al. 2019, algorithm 1; the baseline of Geiping et al. 2020, Table 1",
        "One gallery photograph, one attempt, 1,500 single steps instead of 300 calls of 20; other seeds may get stuck.",
        Verdict.RECOGNISABLE,
        Experiment(
            network=LeNet(),
            labels=LabelSource.JOINT,
            attack=zhu2019_attack(1500),
        ),
    ),
    Preset(
        "analytic_mlp",
        "Algebra instead of search",
        "A fully connected layer with a bias gives its input away as the ratio of two shared numbers, exactly.",
        "Geiping et al. 2020, Proposition 3.1",
        "Nothing: the proposition holds for any size.",
        Verdict.RECOGNISABLE,
        Experiment(network=MLP(), attack=Analytic()),
    ),
    Preset(
        "recursive",
        "Algebra all the way down",
        "Layer by layer, two linear systems a layer, the gradient of a convolutional network gives the whole picture.",
        "Zhu and Blaschko 2021 (R-GAP), gradient and weight constraints; below Proposition 3.1 of Geiping et al. 2020",
        "The picture and the small network of the preset default instead of the paper's CNN6 and CIFAR-10.",
        Verdict.RECOGNISABLE,
        Experiment(attack=Recursive()),
    ),
    Preset(
        "recursive_resnet",
        "Through skips, exactly",
        "Skips and pooling hide which unit spoke; neighbouring patches overlap, and that gives it away, down to the picture.",
        "Geiping et al. 2020, Table 1, ResNet20-4 untrained: by algebra instead of by search",
        "One gallery photograph instead of 100 pictures of CIFAR-10; works trained too, with a longer search at the end.",
        Verdict.RECOGNISABLE,
        Experiment(network=ResNet(depth=20, widen=4), attack=Recursive()),
    ),
    Preset(
        "recursive_batch",
        "Eight pictures, exactly",
        "The labels set the pictures' features apart, and the convolutions are undone for all eight at once.",
        "Beside Geiping et al. 2020, section 6, Figure 6 (batches): by algebra instead of by search",
        "The small network and eight gallery photographs of eight classes; in a trained network it mostly fails.",
        Verdict.RECOGNISABLE,
        Experiment(batch_size=8, attack=Recursive()),
    ),
    Preset(
        "local_steps",
        "Five local steps hide nothing",
        "The client trains five steps and sends how its weights changed: that is nearly one step, five times as long.",
        "Geiping et al. 2020, Table 2, five local steps on one picture",
        "The small network, 200 iterations and this lab's schedule instead of ConvNet64 and 8,000.",
        Verdict.RECOGNISABLE,
        Experiment(protocol=FedAvg(local_steps=5, batch_size=1, learning_rate=1e-4)),
    ),
    Preset(
        "batch_of_four",
        "Four photographs in one gradient",
        "The average gradient of four photographs still holds each of them.",
        "Geiping et al. 2020, section 6, batches of pictures",
        "Four pictures and the small network instead of 100 pictures of CIFAR-100 and ResNet32-10.",
        Verdict.RECOGNISABLE,
        Experiment(batch_size=4, attack=SEVERAL_PICTURES),
    ),
    Preset(
        "cosine_trained",
        "A trained network, compared by direction",
        "After training, matching the direction of the gradient, by the paper's one cosine, still gives the picture away.",
        "Geiping et al. 2020, section 4 and Table 1, trained networks, cosine",
        "One gallery photograph and a fully connected network instead of LeNet and ResNet20-4 on CIFAR-10; 200 iterations.",
        Verdict.RECOGNISABLE,
        _on_trained_network(Cosine()),
    ),
    Preset(
        "euclidean_trained",
        "A trained network, compared by direction and length",
        "The same attack with the squared Euclidean distance finds nothing: only the distance differs.",
        "Geiping et al. 2020, section 4 and Table 1, trained networks, Euclidean",
        "As cosine_trained, with normalised Adam instead of the paper's L-BFGS.",
        Verdict.HIDDEN,
        _on_trained_network(Euclidean()),
    ),
    Preset(
        "label_inferred",
        "The label gives itself away",
        "The server is not told the label: the only negative entry of the last bias's gradient is the label.",
        "Zhao et al. 2020 (iDLG), as Geiping et al. 2020, section 4, take it for granted",
        "The picture and the small network of the preset default.",
        Verdict.RECOGNISABLE,
        Experiment(labels=LabelSource.INFERRED),
    ),
    Preset(
        "half_loss",
        "Half the loss, the same picture",
        "The client's loss is halved and nobody tells the server: an attack that compares directions cannot notice.",
        "The authors' code until March 2021 (0.5 x cross entropy at the client), and section 4 on cosine similarity",
        "The picture and the small network of the preset default.",
        Verdict.RECOGNISABLE,
        Experiment(defences=(Scaling(strength=0.5),)),
    ),
    Preset(
        "minibatches",
        "An epoch of two small batches",
        "Four pictures, trained on two at a time for one epoch: both steps together are nearly one on all four.",
        "Geiping et al. 2020, Table 2, E = 1, n = 4, B = 2",
        "The small network, 200 iterations and this lab's schedule instead of the ConvNet and 8,000.",
        Verdict.RECOGNISABLE,
        Experiment(batch_size=4, protocol=FedAvg(local_steps=2, batch_size=2), attack=SEVERAL_PICTURES),
    ),
    Preset(
        "hundred_local_steps",
        "A hundred local steps",
        "Even a hundred steps of training before sending leave the picture in the weight change.",
        "Geiping et al. 2020, as later surveys quote it: still possible at 100 local steps",
        "The small network, tau = 1e-4 and 40 iterations instead of thousands.",
        Verdict.RECOGNISABLE,
        Experiment(protocol=FedAvg(local_steps=100), attack=GradientMatching(iterations=40)),
    ),
    Preset(
        "eight_pictures",
        "Eight photographs with eight labels",
        "Known, different labels keep the pictures of a batch apart.",
        "Geiping et al. 2020, section 6, batches of pictures",
        "Eight pictures and the small network instead of 100 pictures of CIFAR-100 and ResNet32-10.",
        Verdict.RECOGNISABLE,
        Experiment(dataset=Gallery(labels=(0, 1, 2, 3, 4, 5, 6, 7)), batch_size=8, attack=SEVERAL_PICTURES),
    ),
    Preset(
        "early_training",
        "One epoch of training",
        "A duck, sent by the same network after one epoch of training: still as clear as untrained.",
        "Geiping et al. 2020, Table 1, between the untrained and the trained column",
        "One gallery photograph, the small network after 1 of 20 epochs.",
        Verdict.RECOGNISABLE,
        Experiment(dataset=Gallery(first="duck"), trained=True, weights="small_convnet-epoch-1.safetensors"),
    ),
    Preset(
        "lenet_trained_algebra",
        "Algebra against a trained LeNet",
        "Layer by layer the closed form gives what the search of the paper's table only resembles.",
        "Geiping et al. 2020, Table 1, trained LeNet; the method of Zhu and Blaschko 2021",
        "One gallery photograph instead of 100 pictures of CIFAR-10.",
        Verdict.RECOGNISABLE,
        Experiment(dataset=Gallery(first="cat"), network=LeNet(), trained=True, attack=Recursive()),
    ),
    Preset(
        "vision_transformer",
        "A transformer gives its patches away",
        "The gradient of the places and that of the patches are one linear system: its solution is the picture, all of it.",
        "Lu et al. 2022 (APRIL), the closed form; beside Geiping et al. 2020, Proposition 3.1",
        "A transformer of four blocks for 32 pixels instead of ViT-Base.",
        Verdict.RECOGNISABLE,
        Experiment(network=VisionTransformer(), attack=PatchEmbedding()),
    ),
    Preset(
        "vision_transformer_224",
        "A photograph in a moment",
        "The same with ViT-S/16: a photograph of 224 x 224 pixels out of one gradient of 22 million numbers, in a second.",
        "Lu et al. 2022 (APRIL); beside Geiping et al. 2020, Figure 4 (ImageNet pictures by search)",
        "ViT-S/16 instead of ViT-Base, which imagenet_vit:width=768 is.",
        Verdict.RECOGNISABLE,
        Experiment(network=ImageNetViT(), attack=PatchEmbedding(hand_over=False)),  # fits in what a visitor may use
    ),
)

PRESETS = {preset.name: preset for preset in _LISTING}


def find_preset(name: str) -> Preset:
    """The preset called ``name``. Raises ``LabError`` with the nearest name suggested."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
