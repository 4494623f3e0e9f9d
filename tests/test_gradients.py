"""The parameter gradient and its mixed derivative, against finite differences and plain double backward."""

import pytest
import torch
from rounds import observe, random_batch
from torch.nn.functional import cross_entropy

from lab.attacks.derivative.matcher import match
from lab.attacks.matching.distances.cosine import Cosine
from lab.federated.gradients import parameter_gradient
from lab.federated.networks.base import Activation, BatchNorm
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options import catalogue

SMALL = [
    pytest.param(MLP(depth=3, width=16, activation=Activation.TANH), id="mlp"),
    pytest.param(LeNet(), id="lenet"),
    pytest.param(SmallConvNet(width=4, activation=Activation.SILU), id="small_convnet"),
    pytest.param(SmallConvNet(width=4), id="small_convnet-relu"),
    pytest.param(ConvNet(width=4), id="convnet"),
    pytest.param(ResNet(depth=8), id="resnet"),
    pytest.param(ResNet(depth=8, batch_norm=BatchNorm.TRAIN), id="resnet-batch-statistics"),
]
DISTANCES = [pytest.param(entry(), id=name) for name, entry in catalogue.entries("distance").items()]


def setting(network, protocol=None, count=2):
    """A round in float64 and another picture to compare it with."""
    observation = observe(network, random_batch(count, dtype=torch.float64), protocol)
    candidate = random_batch(count, seed=1, dtype=torch.float64)
    return observation, candidate.images, observation.labels


def rule_of(observation):
    """What the client would send, in the graph of the pictures."""
    return lambda images, targets: observation.protocol.update(observation.network, images, targets, differentiable=True)


@pytest.mark.parametrize("network", SMALL)
def test_parameter_gradient_is_the_finite_difference_of_the_loss(network):
    observation, images, labels = setting(network)
    model = observation.network
    gradient = parameter_gradient(model, images, labels)
    assert list(gradient) == [name for name, _ in model.named_parameters()]
    for name, parameter in model.named_parameters():
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        direction /= direction.norm()
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * 1e-6 * direction)
                sides.append(cross_entropy(model(images), labels))
                parameter.sub_(sign * 1e-6 * direction)
        expected = (sides[0] - sides[1]) / 2e-6
        torch.testing.assert_close((gradient[name] * direction).sum(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("network", SMALL)
def test_mixed_derivative_is_plain_double_backward(network, distance):
    observation, images, labels = setting(network)
    found = match(rule_of(observation), images, labels, distance, observation.update)
    leaf = images.clone().requires_grad_()
    parameters = list(observation.network.parameters())
    value = cross_entropy(observation.network(leaf), labels)
    gradients = torch.autograd.grad(value, parameters, create_graph=True)
    total = distance(dict(zip(observation.update, gradients, strict=True)), observation.update)
    torch.testing.assert_close(found.distance, total.detach())
    torch.testing.assert_close(found.input_gradient, torch.autograd.grad(total, leaf)[0])


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=3, batch_size=1, learning_rate=0.05)], ids=repr)
@pytest.mark.parametrize("network", SMALL)
def test_mixed_derivative_is_the_finite_difference_of_the_distance(network, protocol):
    observation, images, labels = setting(network, protocol)
    found = match(rule_of(observation), images, labels, Cosine(), observation.update)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    direction /= direction.norm()

    def at(step):
        update = protocol.update(observation.network, images + step * direction, labels)
        return Cosine()(update, observation.update)

    expected = (at(1e-6) - at(-1e-6)) / 2e-6
    torch.testing.assert_close((found.input_gradient * direction).sum(), expected, rtol=1e-3, atol=1e-8)


def test_soft_targets_get_their_own_derivative():
    observation, images, _ = setting(LeNet(), count=1)
    soft = torch.full((1, 10), 0.1, dtype=torch.float64)
    found = match(rule_of(observation), images, soft, Cosine(), observation.update)
    for entry in range(10):
        moved = [soft.clone(), soft.clone()]
        moved[0][0, entry] += 1e-6
        moved[1][0, entry] -= 1e-6
        values = [Cosine()(FedSGD().update(observation.network, images, targets), observation.update) for targets in moved]
        torch.testing.assert_close(found.target_gradient[0, entry], (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_slope_of_a_distance_is_its_finite_difference(distance):
    observation, images, labels = setting(MLP(depth=2, width=8))
    update = FedSGD().update(observation.network, images, labels)
    value, direction = distance.value_and_gradient(update, observation.update)
    torch.testing.assert_close(value, distance(update, observation.update))
    for name, tensor in update.items():
        step = torch.zeros_like(tensor)
        step.view(-1)[3] = 1e-7
        up = distance({**update, name: tensor + step}, observation.update)
        down = distance({**update, name: tensor - step}, observation.update)
        torch.testing.assert_close(direction[name].view(-1)[3], (up - down) / 2e-7, rtol=1e-4, atol=1e-7)


def test_nothing_is_left_on_the_network():
    observation, images, labels = setting(LeNet())
    match(rule_of(observation), images, labels, Cosine(), observation.update)
    assert all(parameter.grad is None for parameter in observation.network.parameters())
    assert not images.requires_grad
