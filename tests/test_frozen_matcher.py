"""The fast route to the mixed derivative: equal to the exact one, at a counted price, chosen where it is safe."""

from functools import partial
from statistics import mean

import pytest
import torch
from peak_memory import Living, size_of
from rounds import observe, random_batch, smooth_batch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.floor import floor
from lab.attacks.derivative.frozen_matcher import CONSTANT_CURVATURE, FrozenMatcher, _Inputs
from lab.attacks.derivative.frozen_network import Freezable, LeanBatchNorm
from lab.attacks.derivative.matcher import ExactMatcher
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.balanced_cosine import BalancedCosine
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.distances.layer_cosine import LayerCosine
from lab.attacks.matching.distances.top_heavy_cosine import TopHeavyCosine
from lab.attacks.matching.matcher_choice import matcher_of
from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.settings import Derivative
from lab.client.batch import Batch
from lab.federated.gradients import parameter_gradient
from lab.federated.networks.base import Activation, BatchNorm, Padding
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.squeezenet import SqueezeNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.updates import length
from lab.randomness import stream

NETWORKS = [
    pytest.param(MLP(width=32), id="mlp"),
    pytest.param(LeNet(), id="lenet"),
    pytest.param(SmallConvNet(width=8), id="small_convnet"),
    pytest.param(SmallConvNet(width=8, activation=Activation.LEAKY_RELU, padding=Padding.CIRCULAR), id="leaky-circular"),
    pytest.param(SmallConvNet(width=8, activation=Activation.SILU), id="silu"),
    pytest.param(ConvNet(width=8), id="convnet"),
    pytest.param(ResNet(depth=8), id="resnet"),
    pytest.param(ResNet(depth=8, batch_norm=BatchNorm.TRAIN), id="resnet-batch-statistics"),
    pytest.param(ImageNetResNet(), id="imagenet_resnet"),
    pytest.param(SqueezeNet(), id="squeezenet"),
]
PROTOCOLS = [
    FedSGD(),
    FedAvg(local_steps=3, learning_rate=0.02),
    FedAvg(local_steps=4, batch_size=1, learning_rate=0.02),
]


def matchers(observation, distance):
    rule = partial(observation.protocol.update, observation.network, differentiable=True)
    steps = observation.protocol.steps(observation.batch_size)
    exact = ExactMatcher(rule, distance, observation.update)
    return exact, FrozenMatcher(observation.network, steps, distance, observation.update)


def near(batch, noise):
    """The private pictures with some noise: far from the solution, or close to it."""
    return batch.images + noise * torch.randn(batch.images.shape, generator=stream(1, "noise"), dtype=batch.images.dtype)


def alignment(one, other):
    return float(functional.cosine_similarity(one.double().flatten(), other.double().flatten(), dim=0))


@pytest.mark.parametrize("noise", [0.3, 0.02])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_fast_derivative_is_the_exact_one(network, dtype, noise):
    batch = smooth_batch(1, 64 if network.image_size == 224 else 32, dtype=dtype)
    observation = observe(network, batch)
    exact, fast = (matcher(near(batch, noise), batch.labels) for matcher in matchers(observation, Cosine()))
    torch.testing.assert_close(fast.distance, exact.distance, rtol=1e-3, atol=1e-6)
    assert alignment(fast.input_gradient, exact.input_gradient) > 0.99999
    assert float(fast.input_gradient.norm() / exact.input_gradient.norm()) == pytest.approx(1, abs=3e-3)
    assert fast.target_gradient is None


@pytest.mark.parametrize(("protocol", "distance"), list(zip(PROTOCOLS, [Euclidean(), Cosine(), LayerCosine()], strict=True)))
@pytest.mark.parametrize(
    "network",
    [MLP(width=32), LeNet(), ConvNet(width=4), ResNet(depth=8), SmallConvNet(width=8, activation=Activation.LEAKY_RELU)],
    ids=lambda n: n.name,
)
def test_it_holds_through_local_steps_and_for_each_distance(network, protocol, distance):
    batch = smooth_batch(2, dtype=torch.float64)
    observation = observe(network, batch, protocol)
    exact, fast = (matcher(near(batch, 0.1), batch.labels) for matcher in matchers(observation, distance))
    torch.testing.assert_close(fast.distance, exact.distance, rtol=1e-9, atol=1e-12)
    assert alignment(fast.input_gradient, exact.input_gradient) > 0.999999
    assert float(fast.input_gradient.norm() / exact.input_gradient.norm()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("batch_size", [0, 1], ids=["same pictures", "other pictures each step"])
@pytest.mark.parametrize("network", [LeNet(), ConvNet(width=4)], ids=lambda n: n.name)
def test_where_local_steps_hardly_bend_one_curvature_serves_them_all(network, batch_size):
    batch = smooth_batch(2, dtype=torch.float64)
    observation = observe(network, batch, FedAvg(local_steps=6, batch_size=batch_size, learning_rate=1e-4))
    exact, fast = (matcher(near(batch, 0.1), batch.labels) for matcher in matchers(observation, Cosine()))
    assert alignment(fast.input_gradient, exact.input_gradient) > 0.999999
    assert float(fast.input_gradient.norm() / exact.input_gradient.norm()) == pytest.approx(1, abs=CONSTANT_CURVATURE)


@pytest.mark.parametrize("network", [LeNet(), SmallConvNet(width=8)], ids=lambda n: n.name)
def test_soft_targets_are_differentiated_too(network):
    batch = smooth_batch(1, dtype=torch.float64)
    soft = torch.full((1, 10), 0.1, dtype=torch.float64)
    observation = observe(network, batch)
    exact, fast = (matcher(near(batch, 0.1), soft) for matcher in matchers(observation, Cosine()))
    assert alignment(fast.input_gradient, exact.input_gradient) > 0.99999
    assert alignment(fast.target_gradient, exact.target_gradient) > 0.99999


@pytest.mark.parametrize("network", [SmallConvNet(width=8), ConvNet(width=8)], ids=lambda n: n.name)
def test_without_freezing_the_difference_would_be_wrong(network):
    """Why the pattern is frozen: a finite difference on the network itself crosses kinks at every useful step."""
    batch = smooth_batch(1)
    observation = observe(network, batch)
    exact, fast = matchers(observation, Cosine())
    network, candidate = observation.network, near(batch, 0.02)
    expected = exact(candidate, batch.labels).input_gradient
    before = slope(network, candidate, batch.labels)
    _, direction = Cosine().value_and_gradient(FedSGD().update(network, candidate, batch.labels), observation.update)
    h = fast.step_lengths[0] / float(length(direction))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(direction[name], alpha=h)
    after = slope(network, candidate, batch.labels)
    assert alignment((after - before) / h, expected) < 0.9


def slope(network, images, labels):
    leaf = images.clone().requires_grad_()
    return torch.autograd.grad(functional.cross_entropy(network(leaf), labels), leaf)[0]


class Operations(TorchDispatchMode):
    """Counts floating-point operations by torch's own table."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        self.total += formula(*args, **(kwargs or {}), out_val=result) if formula else 0
        return result


def counted(action):
    with Operations() as counter:
        action()
    return counter.total


class Passes:
    """Counts forward passes of the first layer and gradients reaching it."""

    def __init__(self, model):
        self.forward = self.backward = 0
        model.register_forward_hook(self.seen)

    def seen(self, module, inputs, output):
        self.forward += 1
        output.register_hook(self.pulled)

    def pulled(self, gradient):
        self.backward += 1


@pytest.mark.parametrize(
    ("protocol", "passes"), [(FedSGD(), 2), (FedAvg(local_steps=3, learning_rate=0.01), 6)], ids=["gradient", "local-steps"]
)
def test_two_passes_forward_and_two_backward_for_each_step(protocol, passes):
    batch = smooth_batch(1)
    _, fast = matchers(observe(SmallConvNet(width=8), batch, protocol), Cosine())
    fast(near(batch, 0.11), batch.labels)  # the first call finds the length of the step
    count = Passes(fast.model)
    fast(near(batch, 0.1), batch.labels)
    assert (count.forward, count.backward) == (passes, passes)


@pytest.mark.parametrize(
    ("network", "exact_steps"),
    [(ConvNet(width=16), 2.67), (ResNet(depth=20), 2.69), (SmallConvNet(), 2.89), (LeNet(), 2.68)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_iteration_costs_the_floor_of_its_network_in_operations(network, exact_steps):
    """The floor is told from the layers' shapes; here torch counts what is really done."""
    batch = smooth_batch(1)
    observation = observe(network, batch)
    exact, fast = matchers(observation, Cosine())
    fast(near(batch, 0.11), batch.labels)  # the first call finds the length of the step
    training = counted(lambda: parameter_gradient(observation.network, batch.images, batch.labels))
    assert counted(lambda: fast(near(batch, 0.1), batch.labels)) / training == pytest.approx(floor(network), abs=0.005)
    assert counted(lambda: exact(near(batch, 0.1), batch.labels)) / training == pytest.approx(exact_steps, abs=0.02)


@pytest.mark.parametrize(("rate", "steps"), [(1e-5, 5 + 1 + 4 * 2 / 3), (0.1, 5 + 4 + 2 / 3)], ids=["steady", "bending"])
def test_five_local_steps_cost_nine_or_ten_training_steps_in_operations(rate, steps):
    batch = smooth_batch(1)
    observation = observe(ConvNet(width=16), batch, FedAvg(local_steps=5, learning_rate=rate))
    _, fast = matchers(observation, Cosine())
    fast(near(batch, 0.11), batch.labels)  # the first call finds the length of the step
    training = counted(lambda: parameter_gradient(observation.network, batch.images, batch.labels))
    assert counted(lambda: fast(near(batch, 0.1), batch.labels)) / training == pytest.approx(steps, abs=0.1)


def test_local_steps_keep_their_decisions_in_an_eighth_to_a_quarter_of_the_memory():
    network = SmallConvNet(width=8)
    batch = smooth_batch(1)

    def recorded(protocol):
        _, fast = matchers(observe(network, batch, protocol), Cosine())
        fast._record(_Inputs(batch.images.clone().requires_grad_(), batch.labels))
        return sum(tensor.nbytes for tensor in fast.model.tape.decisions)

    assert recorded(FedAvg(local_steps=2)) <= recorded(FedSGD()) / 4


def test_between_two_calls_no_second_set_of_weights_is_kept():
    batch = random_batch()
    observed = observe(MLP(width=512), batch)
    _, fast = matchers(observed, Cosine())
    with Living() as memory:
        found = fast(smooth_batch().images, batch.labels)
        assert memory.now < 0.1 * size_of(observed.network)
    assert float(found.distance) > 0
    assert memory.peak > size_of(observed.network), "the gradient was counted"


def test_the_network_is_left_alone_and_the_matcher_forgets_nothing():
    batch = smooth_batch(1)
    observation = observe(ConvNet(width=4), batch)
    before = {name: tensor.clone() for name, tensor in observation.network.state_dict().items()}
    kinds = [type(module) for module in observation.network.modules()]
    _, fast = matchers(observation, Cosine())
    first = fast(near(batch, 0.1), batch.labels)
    fast(near(batch, 0.3), batch.labels)
    again = fast(near(batch, 0.1), batch.labels)
    assert alignment(first.input_gradient, again.input_gradient) > 0.99999
    assert [type(module) for module in observation.network.modules()] == kinds
    assert not any(module._forward_hooks for module in observation.network.modules())
    assert all(parameter.grad is None for parameter in observation.network.parameters())
    for name, tensor in observation.network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    ("optimiser", "derivative", "route"),
    [
        (SignedAdam(), Derivative.AUTO, FrozenMatcher),
        (Adam(), Derivative.AUTO, FrozenMatcher),
        (LBFGS(), Derivative.AUTO, ExactMatcher),
        (LBFGS(), Derivative.FROZEN, FrozenMatcher),
        (SignedAdam(), Derivative.EXACT, ExactMatcher),
    ],
)
def test_the_route_is_chosen_by_itself(optimiser, derivative, route):
    observation = observe(MLP(width=8), random_batch(1))
    assert isinstance(matcher_of(GradientMatching(optimiser=optimiser, derivative=derivative), observation), route)


@pytest.mark.parametrize(("distance", "pictures"), [(BalancedCosine(), 1), (TopHeavyCosine(), 6)], ids=("one", "six"))
def test_attacks_on_the_fast_route_end_as_well_as_on_the_exact_one(distance, pictures):
    """One picture, or on average: two runs of signed steps that differ in rounding alone part by a decibel, either way."""
    ends = {
        derivative: mean(
            _end_db(smooth_batch(1, seed=seed), GradientMatching(distance, iterations=100, derivative=derivative))
            for seed in range(pictures)
        )
        for derivative in (Derivative.EXACT, Derivative.FROZEN)
    }
    assert ends[Derivative.FROZEN] > ends[Derivative.EXACT] - 0.5
    assert ends[Derivative.EXACT] > 15


def _end_db(batch: Batch, attack: GradientMatching) -> float:
    """PSNR of the last candidate."""
    *_, last = attack.reconstruct(observe(SmallConvNet(width=8), batch), stream(0, "candidate"))
    return float(-10 * (last.candidate - batch.images).square().mean().log10())


@pytest.mark.parametrize("replaying", [False, True])
def test_only_the_first_pass_keeps_the_input_of_a_batch_norm(replaying):
    """Counted from all that autograd saves; the outputs are torch's own in both passes."""
    observation = observe(ConvNet(width=4), smooth_batch(dtype=torch.float64))
    model = Freezable(observation.network)
    model.use({name: tensor.detach() for name, tensor in observation.network.named_parameters()})
    model.tape.replaying = replaying
    norm = next(module for module in model.modules() if isinstance(module, LeanBatchNorm))
    values = random_batch(shape=(len(norm.mean), 6, 6), dtype=torch.float64).images.requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):
        found = norm(values)
    expected = functional.batch_norm(values, norm.mean, norm.variance, norm.weight, norm.bias, False, 0.0, norm.eps)
    torch.testing.assert_close(found, expected)
    assert (max(kept) < values.numel()) is replaying
