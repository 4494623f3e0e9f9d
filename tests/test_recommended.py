"""The recommended attack follows the network until somebody chooses another one."""

from dataclasses import replace

import pytest
from rounds import observe, smooth_batch

from lab import Experiment
from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.soft_pooling import SoftPooling
from lab.commands.choosing import Choices, choose
from lab.experiments.edits import edit
from lab.experiments.links import read, write
from lab.experiments.recommended import (
    ANNEALED,
    ANNEALED_TOP_HEAVY,
    BALANCED,
    FULL_HEAD_START,
    SECOND_ORDER,
    SEVERAL_PICTURES,
    TOP_HEAVY,
    recommended_attack,
    with_recommended_attack,
)
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vision_transformer import Positions, VisionTransformer
from lab.modalities.images.similarity import ssim
from lab.options.catalogue import entries
from lab.randomness import stream

SMOOTH_RESNET = ResNet(depth=8, activation=Activation.SILU)
CASES = [
    (SmallConvNet(), False, GradientMatching()),
    (SmallConvNet(), True, HeadStart()),
    (SmallConvNet(activation=Activation.SIGMOID), False, BALANCED),
    (LeNet(), False, SECOND_ORDER),
    (LeNet(), True, SECOND_ORDER),
    (LeNet(activation=Activation.RELU), False, GradientMatching()),
    (SmallConvNet(activation=Activation.SIGMOID), True, HeadStart()),
    (ResNet(), False, HeadStart()),
    (ResNet(), True, FULL_HEAD_START),
    (ConvNet(width=16), False, ANNEALED),
    (ConvNet(width=31), False, ANNEALED),
    (ConvNet(width=32), False, ANNEALED_TOP_HEAVY),
    (ConvNet(width=64), False, TOP_HEAVY),
    (ConvNet(), True, GradientMatching()),
    (ConvNet(activation=Activation.SILU), False, BALANCED),
    (SMOOTH_RESNET, False, SECOND_ORDER),
    (VisionTransformer(), False, PatchEmbedding()),
    (VisionTransformer(), True, PatchEmbedding()),
    (VisionTransformer(positions=Positions.FIXED), False, BALANCED),
    (ImageNetViT(), True, PatchEmbedding()),
    (FlowerNet(), False, SoftPooling()),
    (FlowerNet(), True, SoftPooling()),
    (FlowerNet(activation=Activation.SIGMOID), False, BALANCED),
]


def test_the_default_experiment_is_attacked_as_recommended():
    assert Experiment().attack == recommended_attack(Experiment().network, trained=False)


@pytest.mark.parametrize(("network", "trained", "attack"), CASES)
def test_each_network_has_its_attack(network, trained, attack):
    assert recommended_attack(network, trained=trained) == attack


@pytest.mark.parametrize(
    ("network", "trained", "pictures", "attack"),
    [
        (SmallConvNet(), False, 2, GradientMatching()),
        (SmallConvNet(), False, 3, SEVERAL_PICTURES),
        (MLP(), False, 8, SEVERAL_PICTURES),
        (MLP(activation=Activation.TANH), False, 8, BALANCED),
        (SmallConvNet(), True, 4, HeadStart()),
        (MLP(), True, 4, GradientMatching()),
        (ConvNet(width=64), False, 2, TOP_HEAVY),
        (VisionTransformer(), False, 2, BALANCED),
        (ConvNet(width=64), False, 8, ANNEALED_TOP_HEAVY),
        (ConvNet(width=16), False, 8, ANNEALED),
    ],
)
def test_several_pictures_have_an_attack_of_their_own(network, trained, pictures, attack):
    assert recommended_attack(network, trained=trained, pictures=pictures) == attack


def test_the_attack_follows_the_number_of_pictures_and_back():
    four = edit(Experiment(), "batch_size", 4)
    assert four.attack == SEVERAL_PICTURES
    assert edit(four, "batch_size", 1) == Experiment()
    assert choose(Choices(edits=(("batch_size", 4),))).attack == SEVERAL_PICTURES
    plain = replace(four, attack=GradientMatching())
    for experiment, named in ((four, False), (plain, True)):
        link = write(experiment)
        assert ("attack" in link) is named
        assert read(link).experiment == experiment


def test_noise_sets_several_pictures_apart():
    """Truth: what SSIM of four pictures behind one gradient lacks to 1, each matched with its best.

    One draw may turn with the rounding of a processor (of six, one does here); over four draws noise leaves a third.
    """

    def lacking(attack):
        batches = [smooth_batch(4, seed=seed) for seed in range(4)]
        ends = [list(attack.reconstruct(observe(MLP(), batch), stream(0, "candidate")))[-1] for batch in batches]
        return sum(1 - float(ssim(e.candidate.clamp(0, 1), b.images).mean()) for e, b in zip(ends, batches, strict=True))

    assert lacking(SEVERAL_PICTURES) < 0.6 * lacking(GradientMatching())


@pytest.mark.parametrize("entry", entries("network").values(), ids=lambda entry: entry.name)
@pytest.mark.parametrize("trained", [False, True])
def test_there_is_one_for_every_network_of_the_catalogue(entry, trained):
    assert isinstance(recommended_attack(entry(), trained=trained), Attack)


def test_an_untouched_attack_moves_with_the_network_and_back():
    on_lenet = edit(Experiment(), "network", "lenet")
    assert on_lenet.attack == SECOND_ORDER
    assert edit(edit(on_lenet, "network.activation", "relu"), "trained", True).attack == GradientMatching()
    assert edit(on_lenet, "network", "small_convnet") == Experiment()
    assert edit(Experiment(), "trained", True).attack == HeadStart()


def test_a_chosen_attack_stays():
    chosen = edit(Experiment(), "iterations", 7)
    assert edit(chosen, "network", "lenet").attack == chosen.attack
    analytic = edit(Experiment(), "attack", "analytic")
    assert edit(analytic, "trained", True).attack == analytic.attack
    moved = replace(Experiment(), network=LeNet(), attack=chosen.attack)
    assert with_recommended_attack(Experiment(), moved).attack == chosen.attack


def test_the_command_line_asks_for_it_where_no_attack_is_named():
    assert choose(Choices(network="lenet")).attack == SECOND_ORDER
    assert choose(Choices(trained=True)).attack == HeadStart()
    assert choose(Choices(network="lenet", attack="gradient_matching")).attack == GradientMatching()
    assert choose(Choices(network="lenet", edits=(("iterations", 50),))).attack == replace(SECOND_ORDER, iterations=50)
    papers = choose(Choices(preset="geiping2020", network="small_convnet"))
    assert papers.attack == choose(Choices(preset="geiping2020")).attack


@pytest.mark.parametrize(
    "attack", [GradientMatching(), SECOND_ORDER, HeadStart()], ids=["default", "second-order", "head-start"]
)
@pytest.mark.parametrize("network", [SmallConvNet(), LeNet()], ids=lambda network: network.name)
def test_links_name_an_attack_only_where_it_is_not_the_recommended_one(network, attack):
    experiment = replace(Experiment(), network=network, attack=attack)
    link = write(experiment)
    assert read(link).experiment == experiment
    assert ("attack" in link) == (attack != recommended_attack(network, trained=False))


@pytest.mark.parametrize("network", [LeNet(), SMOOTH_RESNET], ids=lambda network: network.name)
def test_curvature_serves_smooth_networks_better_than_signs_do(network):
    """At a third of each one's budget, on two soft pictures."""
    ends = {}
    for attack in (GradientMatching(), SECOND_ORDER):
        likeness = []
        for seed in (0, 1):
            batch = smooth_batch(1, seed=seed)
            short = replace(attack, iterations=attack.iterations // 3)
            *_, last = short.reconstruct(observe(network, batch), stream(0, "candidate"))
            likeness.append(float(ssim(last.candidate.clamp(0, 1), batch.images).mean()))
        ends[attack] = sum(likeness) / 2
    assert ends[SECOND_ORDER] > ends[GradientMatching()]
