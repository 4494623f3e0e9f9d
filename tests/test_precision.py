"""A process's default precision is the user's own business: whatever it is, the lab computes what it always does."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from of_pictures import of_pictures

import lab
from lab import Experiment, reconstruct, score, simulate_round
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading
from lab.attacks.recursive import Recursive
from lab.client.datasets.gallery import Gallery
from lab.course.exercises.checking import exercises
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vgg11 import VGG11
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from lab.randomness import stream

FLOATS = {"empty", "zeros", "ones", "eye", "rand", "randn", "normal", "linspace", "logspace", "full", "tensor"}
"""Torch's functions whose result follows the default precision where none is named (of the last two: it may)."""
SLIM = {"mlp": MLP(width=16), "convnet": ConvNet(width=4), "resnet": ResNet(depth=8), "small_convnet": SmallConvNet(width=8)}
SLIM |= {"vision_transformer": VisionTransformer(width=16, depth=1), "imagenet_vit": ImageNetViT(width=192)}
SLIM |= {"vgg11": VGG11(units=16)}
TINY = Experiment(network=MLP(width=16), attack=GradientMatching(iterations=2))


def matching(**options):
    return replace(TINY, attack=GradientMatching(iterations=2, **options))


EXPERIMENTS = {
    **{
        f"network {name}": replace(TINY, network=SLIM.get(name, entry()), image_size=64 if entry.image_size == 224 else 0)
        for name, entry in of_pictures("network").items()
    },
    **{f"protocol {name}": replace(TINY, protocol=entry()) for name, entry in entries("protocol").items()},
    **{f"defence {name}": replace(TINY, defences=(entry(),)) for name, entry in entries("defence").items()},
    **{f"distance {name}": matching(distance=entry()) for name, entry in entries("distance").items()},
    **{f"prior {name}": matching(priors=(entry(),)) for name, entry in entries("prior").items()},
    **{f"optimiser {name}": matching(optimiser=entry()) for name, entry in entries("optimiser").items()},
    **{
        f"attack {name}": replace(TINY, attack=entry(**{f.name: 2 for f in fields_of(entry) if f.name == "iterations"}))
        for name, entry in of_pictures("attack").items()
    },
    "all the way down": Experiment(attack=Recursive()),
    "below skips": Experiment(network=ResNet(depth=8), attack=Recursive(iterations=2)),
    "a head start": Experiment(network=SmallConvNet(width=8), trained=False, attack=HeadStart(iterations=2)),
    "several pictures": replace(TINY, batch_size=3, attack=Recursive(iterations=2), dataset=Gallery(labels=(0, 1, 2))),
    "local steps": replace(TINY, batch_size=2, protocol=FedAvg(local_steps=2, batch_size=1), labels=LabelSource.INFERRED),
    "joint labels": replace(TINY, batch_size=2, labels=LabelSource.JOINT),
    "labels counted": replace(TINY, batch_size=4, network=SLIM["small_convnet"], attack=LabelReading()),
}


def ended(experiment):
    """Everything that a run tells: the last state, and its scores."""
    attacked = simulate_round(experiment, torch.device("cpu"))
    *_, last = reconstruct(experiment, attacked.observation)
    return attacked, last, score(attacked, last)


def under(dtype, run):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return run()
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_kind_of_experiment_is_the_same_under_another_default_precision(name):
    usual, other = ended(EXPERIMENTS[name]), under(torch.float64, lambda: ended(EXPERIMENTS[name]))
    assert all(torch.equal(one, usual[0].clean_update[key]) for key, one in other[0].clean_update.items())
    assert other[0].line_up.dtype == torch.float32
    assert other[1].candidate.dtype == torch.float32
    assert torch.equal(other[1].candidate, usual[1].candidate)
    assert (other[1].outcome, other[1].note) == (usual[1].outcome, usual[1].note)
    assert str(other[2]) == str(usual[2])


@pytest.mark.parametrize("name", exercises())
def test_an_exercise_draws_the_same_cases(name):
    def drawn():
        return [case.arguments for case in exercises()[name].cases(stream(0, "cases"))]

    other = under(torch.float64, drawn)  # told as text afterwards: a tensor's text names a precision that is not the default
    assert without_addresses(other) == without_addresses(drawn())


def without_addresses(value):
    return re.sub("0x[0-9a-f]+", "", str(value))


def test_whatever_makes_numbers_says_how_precise_they_are():
    """Else they follow what the process was told last, by anyone."""
    root = Path(lab.__file__).parent.parent
    silent = [
        f"{path.relative_to(root)}:{call.lineno}: {ast.unparse(call)}"
        for folder in ("lab", "widgets")
        for path in sorted((root / folder).rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _makes_floats(call.func) and all(given.arg != "dtype" for given in call.keywords)
    ]
    assert silent == []


def _makes_floats(function):
    module = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "torch"
    return module and function.attr in FLOATS
