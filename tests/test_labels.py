"""Labels read off the last layer: all classes, with and without bias, and where it is known to fail."""

import pytest
import torch
from rounds import observe, random_batch

from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.labels import rules
from lab.attacks.labels.llg import recover_labels
from lab.client.batch import Batch
from lab.errors import LabError
from lab.federated.networks.base import Activation
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

NETWORKS = [
    pytest.param(MLP(depth=3, width=32), id="mlp"),
    pytest.param(MLP(depth=3, width=32, bias=False), id="mlp-no-bias"),
    pytest.param(MLP(depth=2, width=32, bias=False, activation=Activation.SIGMOID), id="mlp-no-bias-sigmoid"),
    pytest.param(MLP(depth=3, width=32, activation=Activation.SILU), id="mlp-silu"),
    pytest.param(SmallConvNet(width=4), id="small_convnet"),
    pytest.param(LeNet(), id="lenet"),
    pytest.param(ConvNet(width=4), id="convnet"),
    pytest.param(ResNet(depth=8), id="resnet"),
]


def recovered(network, labels, protocol=None, seed=0):
    batch = random_batch(len(labels), labels=labels, seed=seed)
    return recover_labels(observe(network, batch, protocol, LabelSource.INFERRED, seed=seed)).tolist()


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=4, learning_rate=1e-3)], ids=repr)
@pytest.mark.parametrize("network", NETWORKS)
def test_idlg_finds_every_class(network, protocol):
    for label in range(10):
        assert recovered(network, [label], protocol, seed=label) == [label]


def test_idlg_without_a_bias_fails_where_features_may_be_negative():
    """The documented limit: row sums of (p - y) h^T have the sign of p - y only where h >= 0."""
    network = MLP(depth=2, width=32, bias=False, activation=Activation.TANH)
    wrong = sum(recovered(network, [label], seed=seed) != [label] for seed in range(5) for label in range(10))
    assert wrong >= 10
    silu = MLP(depth=2, width=8, bias=False, activation=Activation.SILU)
    assert any(recovered(silu, [label], seed=seed) != [label] for seed in range(10) for label in range(10))


@pytest.mark.parametrize("labels", [[3, 7], [1, 1], [0, 2, 2, 9], [5, 5, 5, 5], [0, 1, 2, 3, 4, 5, 6, 7]], ids=str)
@pytest.mark.parametrize("network", [NETWORKS[0], NETWORKS[1], NETWORKS[4], NETWORKS[6]])
def test_labels_of_a_batch_are_found_with_repeats(network, labels):
    assert recovered(network, labels) == sorted(labels)


def test_a_network_without_a_linear_layer_says_so():
    observation = observe(SqueezeNet(), random_batch(1, (3, 64, 64)), source=LabelSource.INFERRED)
    with pytest.raises(LabError, match=r"cannot be inferred: this network ends in no linear layer\. Let the server know"):
        recover_labels(observation)


def read(rule, network, labels, seed=0, classes=10):
    batch = random_batch(len(labels), labels=labels, seed=seed, classes=classes)
    observation = observe(network, batch, source=LabelSource.INFERRED, seed=seed, classes=classes)
    *_, state = LabelReading(rule).reconstruct(observation, stream(0, "candidate"))
    return state.labels.tolist()


@pytest.mark.parametrize("rule", list(Rule))
@pytest.mark.parametrize("network", [MLP(depth=3, width=32), SmallConvNet(width=4), ConvNet(width=4)], ids=repr)
def test_every_rule_finds_distinct_labels_below_relu(rule, network):
    for seed in range(3):
        assert read(rule, network, [1, 4, 7], seed) == [1, 4, 7]


def test_rules_that_name_each_class_once_miss_repeats_and_the_others_count_them():
    labels = [2, 2, 2, 5]
    network = SmallConvNet(width=4)
    assert read(Rule.ILRG, network, labels) == labels
    assert read(Rule.LLG, network, labels) == labels
    for rule in (Rule.IDLG, Rule.GRADINVERSION):
        found = read(rule, network, labels)
        assert set(found) > {2, 5} or found.count(2) < 3


def test_below_silu_only_rules_that_use_the_bias_are_right():
    """iLRG's own finding: with SiLU iDLG and GradInversion fall, iLRG does not."""
    network = MLP(depth=3, width=64, activation=Activation.SILU)
    truth = {seed: sorted((seed * 7 + k * k) % 50 for k in range(8)) for seed in range(6)}

    def right(rule):
        found = {seed: read(rule, network, labels, seed, classes=50) for seed, labels in truth.items()}
        return sum(found[seed] == labels for seed, labels in truth.items())

    assert right(Rule.ILRG) >= 5
    assert right(Rule.IDLG) <= 3


def test_counts_are_exact_where_pictures_of_a_class_are_alike():
    """iLRG's assumption made true: copies of one picture a class, labels in any numbers."""
    batch = random_batch(3, labels=[0, 3, 8])
    rows = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    copies = Batch(batch.images[rows], batch.labels[rows])
    observation = observe(MLP(depth=2, width=32), copies, source=LabelSource.INFERRED)
    assert rules.ilrg(observation).tolist() == [0, 0, 0, 0, 3, 8, 8]


def test_ilrg_without_a_bias_says_so():
    with pytest.raises(LabError, match=r"iLRG divides by the gradient of a bias, and of head\.2 none was sent; choose"):
        read(Rule.ILRG, MLP(depth=2, width=8, bias=False), [1])


def test_more_pictures_than_classes():
    assert len(read(Rule.GRADINVERSION, MLP(width=8), [1] * 12)) == 12
