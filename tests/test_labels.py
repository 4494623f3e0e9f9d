"""Labels read off the last layer: all classes, with and without bias, and where it is known to fail."""

import pytest
from rounds import observe, random_batch

from lab.errors import LabError
from lab.labels import recover_labels
from lab.networks.base import Activation
from lab.networks.convnet import ConvNet
from lab.networks.lenet import LeNet
from lab.networks.mlp import MLP
from lab.networks.resnet import ResNet
from lab.networks.small_convnet import SmallConvNet
from lab.networks.squeezenet import SqueezeNet
from lab.protocols.fedavg import FedAvg
from lab.protocols.fedsgd import FedSGD
from lab.types import LabelSource

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
