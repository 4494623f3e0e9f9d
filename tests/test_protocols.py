"""What a client sends, against a plain loop of torch's own SGD on a copy of the network."""

from copy import deepcopy

import pytest
import torch
from peak_memory import Living, size_of
from rounds import observe, random_batch
from torch.nn.functional import cross_entropy

from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD


def plain_sgd(network, batch, steps, size, rate):
    """The weight change after plain SGD, pictures taken in turn."""
    model = deepcopy(network)
    stepper = torch.optim.SGD(model.parameters(), lr=rate)
    for step in range(steps):
        rows = [(step * size + k) % len(batch.images) for k in range(size)]
        stepper.zero_grad()
        cross_entropy(model(batch.images[rows]), batch.labels[rows]).backward()
        stepper.step()
    before = dict(network.named_parameters())
    return {name: (after - before[name]).detach() for name, after in model.named_parameters()}


@pytest.mark.parametrize("network", [MLP(depth=2, width=16), LeNet(), ConvNet(width=4)], ids=lambda n: n.name)
@pytest.mark.parametrize(("count", "steps", "size"), [(1, 5, 1), (4, 2, 2), (4, 4, 2), (3, 4, 2), (4, 3, 0)])
def test_federated_averaging_is_a_plain_loop_of_sgd(network, count, steps, size):
    batch = random_batch(count, dtype=torch.float64)
    protocol = FedAvg(local_steps=steps, batch_size=size, learning_rate=0.1)
    observation = observe(network, batch, protocol)
    expected = plain_sgd(observation.network, batch, steps, size or count, 0.1)
    assert list(observation.update) == list(expected)
    for name, change in observation.update.items():
        torch.testing.assert_close(change, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=3, batch_size=2, learning_rate=0.1)], ids=repr)
def test_differentiable_update_has_the_same_value(protocol):
    batch = random_batch(4, dtype=torch.float64)
    observation = observe(LeNet(), batch, protocol)
    leaf = batch.images.clone().requires_grad_()
    update = protocol.update(observation.network, leaf, batch.labels, differentiable=True)
    assert all(tensor.requires_grad for tensor in update.values())
    assert not any(tensor.requires_grad for tensor in observation.update.values())
    for name, tensor in update.items():
        torch.testing.assert_close(tensor.detach(), observation.update[name])


def test_a_client_does_not_change_its_network():
    batch = random_batch(2)
    observation = observe(LeNet(), batch)
    before = deepcopy(observation.network.state_dict())
    FedAvg(local_steps=3, learning_rate=0.5).update(observation.network, batch.images, batch.labels)
    for name, tensor in observation.network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_client_needs_its_weights_and_one_gradient_however_many_steps_it_takes():
    batch = random_batch()
    network = observe(MLP(width=512), batch).network
    for steps in (1, 4):
        with Living() as memory:
            FedAvg(local_steps=steps, learning_rate=1e-3).update(network, batch.images, batch.labels)
        assert 1.9 < memory.peak / size_of(network) < 2.1


def test_one_local_step_sends_the_gradient_scaled():
    batch = random_batch(2, dtype=torch.float64)
    observation = observe(LeNet(), batch, FedAvg(local_steps=1, learning_rate=0.01))
    gradient = FedSGD().update(observation.network, batch.images, batch.labels)
    for name, tensor in observation.mean_gradient().items():
        torch.testing.assert_close(tensor, gradient[name], rtol=1e-9, atol=1e-12)
