"""What an experiment costs, told before it begins: never below the truth, and not far above it."""

import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import pytest
import torch
from of_pictures import of_pictures
from peak_memory import Living, size_of
from torch.utils.flop_counter import conv_flop_count

from lab import Experiment, LabError, reconstruct, simulate_round
from lab.attacks.analytic import Analytic
from lab.attacks.base import Attack, AttackState, uninformed
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.settings import Derivative, Start, Steps
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.recursive import Recursive
from lab.attacks.soft_pooling import SoftPooling
from lab.client.datasets.gallery import Gallery
from lab.client.defences.pruning import Pruning
from lab.experiments.cost import cost
from lab.experiments.cost.limits import SMALLER, Limits, proposals
from lab.experiments.cost.network_profile import profile_of
from lab.experiments.edits import edit, patched
from lab.experiments.presets import PRESETS
from lab.federated.local_optimisers.adam import LocalAdam
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.networks.base import Activation, BatchNorm, Padding
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.flower_net import FlowerNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.mobilenet_v3 import MobileNetV3
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.networks.vgg11 import VGG11
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.transformer import SelfAttention
from lab.options.catalogue import FOLDERS, entries
from lab.options.fields import Bounds, Help
from lab.randomness import stream
from widgets.serving.settings import PUBLIC

ROOT = Path(__file__).parent.parent
FACTOR = 2.5
"""The estimate is at most so many times the truth ..."""
SMALL_CHANGE = 1e6
"""... and so many bytes more, for pictures beside those of the batch ..."""
WAY_DOWN = 90e6
"""... or for the matrix that tells how well a solve of many iterations was conditioned."""
STATES = 4
"""An attack's first states: from the second step on it asks for no more than before."""
MATCHED = MLP(depth=2, width=256)
SIMULATED = GradientMatching(local_steps=Steps.SIMULATED)
EXACT = GradientMatching(derivative=Derivative.EXACT)


def every(kind):
    return [pytest.param(entry, id=entry.name) for entry in entries(kind).values()]


def peak(experiment, states=STATES):
    """The most bytes of torch's blocks that lived at the same time in the round and the attack's first states."""
    with Living() as memory:
        attacked = simulate_round(experiment, torch.device("cpu"))
        for _ in islice(reconstruct(experiment, attacked.observation), states):
            pass
    return memory.peak


def check(experiment, states=STATES, small_change=SMALL_CHANGE):
    truth, told = peak(experiment, states), cost(experiment).bytes
    assert truth <= told <= FACTOR * truth + small_change, f"{told / 1e6:.2f} MB said, {truth / 1e6:.2f} MB taken"


TINY = {
    "mlp": MATCHED,
    "lenet": LeNet(),
    "small_convnet": SmallConvNet(width=8),
    "convnet": ConvNet(width=4),
    "resnet": ResNet(depth=8),
    "imagenet_resnet": ImageNetResNet(18),
    "squeezenet": SqueezeNet(),
    "flower_net": FlowerNet(),
    "vgg11": VGG11(units=16),
    "mobilenet_v3": MobileNetV3(),
    "vision_transformer": VisionTransformer(width=64, depth=2),
    "imagenet_vit": ImageNetViT(width=192),
}


def test_each_network_of_the_catalogue_is_tried():
    assert set(TINY) == set(of_pictures("network"))


@pytest.mark.parametrize("attack", [GradientMatching(), EXACT, Analytic()], ids=["frozen", "exact", "analytic"])
@pytest.mark.parametrize("network", TINY.values(), ids=TINY)
def test_memory_of_each_network_under_matching_and_reading(network, attack):
    size = 64 if isinstance(network, SqueezeNet) else 32
    check(Experiment(network=network, image_size=size, attack=attack), states=2)


@pytest.mark.parametrize("modality", every("modality"))
def test_the_experiment_that_each_modality_begins_with_has_a_cost(modality):
    told = cost(patched(Experiment(), [("network", modality.network)]))
    assert told.bytes > 0
    assert told.attack_products > 0


@pytest.mark.parametrize("derivative", [Derivative.EXACT, Derivative.FROZEN], ids=lambda value: value.value)
@pytest.mark.parametrize("distance", every("distance"))
def test_memory_of_each_distance(distance, derivative):
    check(Experiment(network=MATCHED, attack=GradientMatching(distance=distance(), derivative=derivative)))


@pytest.mark.parametrize("loss", every("loss"))
def test_memory_of_each_loss_of_the_clients(loss):
    check(Experiment(network=MATCHED, protocol=FedSGD(loss=loss()), attack=GradientMatching()))


@pytest.mark.parametrize("optimiser", every("optimiser"))
def test_memory_of_each_optimiser(optimiser):
    check(Experiment(network=MATCHED, attack=GradientMatching(optimiser=optimiser(), start=Start.NOISE)))


def test_memory_of_a_long_history():
    attack = GradientMatching(optimiser=LBFGS(history=30), derivative=Derivative.FROZEN, start=Start.NOISE)
    check(Experiment(network=LeNet(), batch_size=8, attack=attack), states=34)


@pytest.mark.parametrize("defence", every("defence"))
def test_memory_of_each_defence(defence):
    check(Experiment(network=MATCHED, defences=(defence(), defence())))


@pytest.mark.parametrize("derivative", [Derivative.FROZEN, Derivative.EXACT], ids=lambda value: value.value)
@pytest.mark.parametrize("network", [MATCHED, ConvNet(width=4)], ids=lambda network: network.name)
def test_memory_of_what_a_pruned_update_is_matched_by(network, derivative):
    """The bounds of the numbers that were not sent are beside the update."""
    attack = GradientMatching(derivative=derivative)
    check(Experiment(network=network, batch_size=4, defences=(Pruning(0.99),), attack=attack), small_change=5e6)


@pytest.mark.parametrize("source", LabelSource, ids=lambda source: source.value)
def test_memory_of_each_source_of_labels(source):
    check(Experiment(network=MATCHED, batch_size=3, labels=source))


@pytest.mark.parametrize(
    "attack",
    [GradientMatching(iterations=20), SIMULATED, GradientMatching(local_steps=Steps.SIMULATED, derivative=Derivative.EXACT)],
)
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("network", [MATCHED, ConvNet(width=4)], ids=lambda network: network.name)
def test_memory_of_local_steps(network, steps, attack):
    protocol = FedAvg(local_steps=steps, batch_size=2)
    check(
        Experiment(network=network, batch_size=4, protocol=protocol, attack=attack), states=12 if attack.iterations == 20 else 2
    )


@pytest.mark.parametrize("attack", [GradientMatching(iterations=20), SIMULATED], ids=["surrogate", "simulated"])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("optimiser", [LocalSGD(0.9, nesterov=True, weight_decay=0.1), LocalAdam()], ids=["sgd", "adam"])
@pytest.mark.parametrize("network", [MATCHED, ConvNet(width=4)], ids=lambda network: network.name)
def test_memory_of_local_optimisers(network, optimiser, steps, attack):
    protocol = FedAvg(local_steps=steps, optimiser=optimiser)
    experiment = Experiment(network=network, batch_size=2, protocol=protocol, attack=attack)
    check(experiment, states=3 if attack.iterations == 20 else 2)


@pytest.mark.parametrize("activation", Activation, ids=lambda activation: activation.value)
@pytest.mark.parametrize("derivative", [Derivative.AUTO, Derivative.EXACT], ids=lambda value: value.value)
def test_memory_of_each_activation(activation, derivative):
    attack = GradientMatching(derivative=derivative)
    check(Experiment(network=ConvNet(width=4, activation=activation), batch_size=4, attack=attack), states=2)


@pytest.mark.parametrize("derivative", [Derivative.AUTO, Derivative.EXACT], ids=lambda value: value.value)
@pytest.mark.parametrize("options", [{"padding": Padding.CIRCULAR}, *({"batch_norm": norm} for norm in BatchNorm)], ids=str)
def test_memory_of_paddings_and_statistics(options, derivative):
    check(
        Experiment(network=ConvNet(width=4, **options), batch_size=4, attack=GradientMatching(derivative=derivative)), states=2
    )


APART = Gallery(labels=tuple(range(10)))
DESCENTS = {
    "mlp": Experiment(network=MATCHED, attack=Recursive(hand_over=False)),
    "mlp without bias": Experiment(network=MLP(depth=2, width=256, bias=False), attack=Recursive(hand_over=False)),
    "batch": Experiment(network=MATCHED, dataset=APART, batch_size=3, attack=Recursive(hand_over=False)),
    "convolutions": Experiment(network=SmallConvNet(width=8), attack=Recursive(hand_over=False)),
    "sigmoids": Experiment(network=LeNet(), attack=Recursive(hand_over=False)),
    "head start": Experiment(network=ResNet(depth=8, widen=4), attack=HeadStart()),
    "handed over": Experiment(network=ConvNet(width=4), attack=Recursive()),
    "soft pooling": Experiment(network=FlowerNet(), attack=SoftPooling(iterations=10)),
    "patches": Experiment(network=VisionTransformer(), attack=PatchEmbedding()),
    "photograph": Experiment(network=ImageNetViT(width=192), attack=PatchEmbedding(hand_over=False)),
}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", DESCENTS.values(), ids=DESCENTS)
def test_memory_of_the_way_down(experiment):
    check(experiment, states=12, small_change=WAY_DOWN)


def test_every_attack_and_protocol_is_counted():
    for kind in ("attack", "protocol"):
        for entry in entries(kind).values():
            assert cost(Experiment(**{kind: entry()})).bytes > 0


@dataclass(frozen=True)
class Uncounted(Attack):
    """An attack of somebody's own, of which the lab knows nothing: double backward, and L-BFGS."""

    iterations: Annotated[int, Bounds(1, 1_000_000), Help("steps")] = 3

    def reconstruct(self, observation, generator):
        candidate = uninformed(observation).requires_grad_()
        weights = dict(observation.network.named_parameters())
        optimiser = torch.optim.LBFGS([candidate], max_iter=2, history_size=50)

        def mismatch():
            loss = torch.nn.functional.cross_entropy(observation.network(candidate), observation.labels)
            own = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            off = sum((one - observation.update[name]).square().sum() for name, one in zip(weights, own, strict=True))
            (candidate.grad,) = torch.autograd.grad(off, [candidate])
            return off.detach()

        for iteration in range(self.iterations + 1):
            off = float(optimiser.step(mismatch))
            yield AttackState(iteration, self.iterations, candidate.detach().clone(), off)


@pytest.mark.parametrize("network", [MATCHED, ConvNet(width=4)], ids=lambda network: network.name)
def test_memory_of_an_attack_that_nobody_has_counted(network):
    experiment = Experiment(network=network, batch_size=2, attack=Uncounted())
    assert peak(experiment) <= cost(experiment).bytes


def test_an_attack_that_nobody_has_counted_takes_no_less_than_matching_and_as_many_steps_as_it_says():
    for modality in entries("modality").values():
        begun = patched(Experiment(), [("network", modality.network)])
        own, matched = (cost(replace(begun, attack=attack)) for attack in (Uncounted(200), GradientMatching(priors=())))
        assert own.bytes >= matched.bytes
        assert own.attack_products >= matched.attack_products
        assert cost(replace(begun, attack=Uncounted(1_000_000))).attack_products > 1000 * own.attack_products


@pytest.mark.parametrize("network", TINY.values(), ids=TINY)
def test_a_sketch_holds_what_the_network_has(network):
    built = network.build((3, 64, 64), 10, stream(0, "weights"))
    drawn = profile_of(network, (3, 64, 64), 10)
    numbers = sum(tensor.numel() for tensor in (*built.parameters(), *built.buffers()))
    assert drawn.weights == numbers
    assert 4 * drawn.weights >= size_of(built)
    assert drawn.products == products(built, torch.zeros(1, 3, 64, 64))


def products(network, images):
    """Multiply-adds of a forward pass, from the shapes that each layer really met."""
    met = []

    def meet(layer, inputs, output):
        if isinstance(layer, torch.nn.Conv2d):
            met.append(conv_flop_count(inputs[0].shape, layer.weight.shape, output.shape) // 2)
        elif isinstance(layer, SelfAttention):  # each token with each, and their mixture
            met.append(2 * output.shape[1] * output.numel())
        else:
            met.append(inputs[0].numel() * layer.out_features)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear | SelfAttention):
            layer.register_forward_hook(meet)
    with torch.no_grad():
        network(images)
    return sum(met)


def test_what_made_the_bounds_necessary():
    """An MLP that took 7 GB, weights and their gradient; a ConvNet that took 4.7 GB, what it keeps for the way back."""
    mlp = cost(Experiment(network=MLP(depth=8, width=4096), image_size=224))
    weights = 3 * 224**2 * 4096 + 6 * 4096**2 + 4096 * 10 + 7 * 4096 + 10
    assert 8 * weights <= mlp.round_bytes <= 7e9 <= mlp.bytes
    convnet = cost(Experiment(network=ConvNet(), image_size=224, batch_size=8))
    assert 4.7e9 <= convnet.round_bytes <= 1.25 * 4.7e9


def test_nothing_is_loaded_or_allocated_for_an_estimate():
    """Not even what torch imports for its own tensors without memory."""
    code = (
        "import resource, sys; from lab import Experiment; from lab.experiments.cost import cost\n"
        "from lab.federated.networks.mlp import MLP\n"
        "from lab.federated.networks.resnet import ResNet\n"
        "before, most = set(sys.modules), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "cost(Experiment()), cost(Experiment(network=ResNet(depth=110, widen=10)))\n"
        "assert cost(Experiment(network=MLP(depth=8, width=4096), image_size=224)).bytes > 7e9\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most, *set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kilobytes, *modules = done.stdout.split()
    assert int(kilobytes) < 30_000
    assert not any("sympy" in name or "dynamo" in name for name in modules)


@pytest.mark.parametrize("path", SMALLER)
def test_more_of_anything_never_costs_less(path):
    """Bisection leans on it."""
    small, large = {
        "batch_size": (2, 5),
        "image_size": (32, 64),
        "network.width": (64, 70),
        "network.widen": (1, 3),
        "network.depth": (20, 32),
        "local_steps": (2, 9),
        "iterations": (10, 300),
        "restarts": (1, 3),
    }[path]
    network = ResNet() if path in ("network.widen", "network.depth") else SmallConvNet()
    for attack in (GradientMatching(), SIMULATED):
        start = Experiment(network=network, protocol=FedAvg(), attack=attack)
        one, other = (cost(edit(start, path, value)) for value in (small, large))
        assert one.bytes <= other.bytes
        assert one.seconds < other.seconds


MUCH = {
    "mlp": Experiment(network=MLP(depth=8, width=4096), image_size=224),
    "convnet": Experiment(network=ConvNet(), image_size=224, batch_size=8),
    "resnet": Experiment(network=ResNet(depth=32, widen=10), batch_size=100),
    "local steps": Experiment(protocol=FedAvg(local_steps=1000), attack=SIMULATED),
}
LONG = {"iterations": Experiment(network=ConvNet(), attack=GradientMatching(iterations=100_000, restarts=100))}
REFUSED = [
    *(pytest.param(each, Limits(bytes=300e6), id=f"{name}, memory") for name, each in MUCH.items()),
    *(pytest.param(each, Limits(seconds=30), id=f"{name}, time") for name, each in (MUCH | LONG).items()),
    *(pytest.param(each, Limits(60e6, 10), id=f"{name}, both") for name, each in (MUCH | LONG).items()),
]


@pytest.mark.parametrize(("experiment", "limits"), REFUSED)
def test_what_is_proposed_fits(experiment, limits):
    with pytest.raises(LabError, match=r"This experiment asks for .* allowed here\.") as refused:
        limits.check(experiment)
    found = proposals(experiment, lambda other: limits.allow(cost(other)))
    assert found, "something near it fits"
    for proposal in found:
        changed = experiment
        for part in proposal.split(" and "):
            path, _, value = part.partition(" = ")
            changed = edit(changed, path, int(value))
        limits.check(changed)
    assert found[0] in str(refused.value)


def test_what_people_do_is_allowed_where_a_visitor_has_half_a_gigabyte_and_ten_minutes():
    for preset in PRESETS.values():
        Limits(bytes=PUBLIC.round_bytes, seconds=PUBLIC.engine_cpu_seconds).check(preset.experiment)


def test_without_limits_nothing_is_estimated():
    Limits().check(Experiment(network=MLP(depth=8, width=4096), image_size=224, batch_size=24))


def test_the_kinds_that_cost_are_all_tried_above():
    """A new kind of choice would need a test here."""
    assert set(FOLDERS) == {
        "modality", "network", "dataset", "protocol", "local_optimiser", "fine_tuning", "loss", "defence",
        "attack", "distance", "prior", "optimiser", "finding", "study", "scene",
    }  # fmt: skip
