"""Local steps taken for one: where it stands, what it costs, what sets it right, and how far it gets beside simulating them."""

import math

import pytest
import torch
from peak_memory import Living, size_of
from rounds import as_round, observe, random_batch, smooth_batch

from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.local_steps import CORRECTIONS, ROUNDING_TOLERANCE, Correction, LongStepSurrogate
from lab.attacks.matching.settings import Derivative, Steps
from lab.evaluation.scoring import score
from lab.federated.gradients import parameter_gradient
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.rounding import rounding

NETWORK = SmallConvNet(width=8)
SMOOTH = MLP(depth=2, width=16, activation=Activation.TANH)


def gap(one, other):
    """Relative to the other."""
    wrong = sum(float((one[name] - other[name]).double().square().sum()) for name in other)
    return math.sqrt(wrong / sum(float(tensor.double().square().sum()) for tensor in other.values()))


def last(attack, observation):
    *_, state = attack.reconstruct(observation, torch.Generator().manual_seed(0))
    return state


def passes(attack, observation):
    """Forward passes through the network's last layer, of the whole attack."""
    counted = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: counted.append(1) if isinstance(module, torch.nn.Linear) else None
    )
    try:
        last(attack, observation)
    finally:
        hook.remove()
    return len(counted)


def single(surrogate, batch):
    """What the private pictures' single step would have sent."""
    stands_in = surrogate.observation
    return stands_in.protocol.update(stands_in.network, batch.images, batch.labels)


def test_in_the_middle_the_error_is_of_second_order_in_the_rate():
    """At the shared weights it is of the first: ten times smaller steps leave a tenth of it, here a hundredth."""
    batch = random_batch(dtype=torch.float64)
    errors = {"middle": [], "start": []}
    for rate in (1e-4, 1e-5):
        observed = observe(SMOOTH, batch, FedAvg(local_steps=5, learning_rate=rate))
        errors["middle"].append(gap(single(LongStepSurrogate(observed), batch), observed.update))
        slope = parameter_gradient(observed.network, batch.images, batch.labels)
        errors["start"].append(gap({name: -5 * rate * tensor for name, tensor in slope.items()}, observed.update))
    (coarse, fine), (first, then) = errors["middle"], errors["start"]
    assert 50 < coarse / fine < 200
    assert 5 < first / then < 20
    assert coarse < first / 5


def test_the_middle_is_the_mean_of_the_places_of_an_even_way():
    batch = random_batch(dtype=torch.float64)
    observed = observe(SMOOTH, batch, FedAvg(local_steps=4, learning_rate=1e-5))
    places = torch.stack([torch.cat([p.flatten() for p in places.values()]) for places in way(observed, batch)])
    middle = torch.cat([tensor.detach().flatten() for tensor in LongStepSurrogate(observed).observation.network.parameters()])
    moved = (places[-1] - places[0]).norm()
    assert float((places.mean(0) - middle).norm() / moved) < 0.01


def way(observed, batch):
    """The weights at which the client took each of its steps."""
    weights = {name: tensor.detach() for name, tensor in observed.network.named_parameters()}
    for steps in range(observed.protocol.local_steps):
        shorter = FedAvg(local_steps=steps, learning_rate=observed.protocol.learning_rate) if steps else None
        change = shorter.update(observed.network, batch.images, batch.labels) if shorter else {}
        yield {name: tensor + change[name] if change else tensor for name, tensor in weights.items()}


@pytest.mark.parametrize("size", [0, 1])
def test_corrected_by_the_truth_the_truth_is_matched(size):
    batch = random_batch(2, dtype=torch.float64)
    observed = observe(NETWORK, batch, FedAvg(local_steps=4, batch_size=size, learning_rate=0.1))
    surrogate = LongStepSurrogate(observed)
    before = gap(single(surrogate, batch), observed.update)
    corrected = surrogate.correction(batch.images, batch.labels).shared
    assert before > 1e-2
    assert gap(single(surrogate, batch), corrected) < 1e-12


def test_a_candidate_whose_update_explains_nothing_corrects_nothing():
    observed = observe(NETWORK, random_batch(labels=[0]), FedAvg(local_steps=3, learning_rate=0.1))
    assert LongStepSurrogate(observed).correction(random_batch(seed=1).images, torch.tensor([5])).shared is None


def test_the_clients_network_and_update_stay_as_they_are():
    batch = smooth_batch()
    observed = observe(NETWORK, batch, FedAvg(local_steps=5, learning_rate=0.1))
    weights, update = (
        {n: t.detach().clone() for n, t in tensors}
        for tensors in (observed.network.named_parameters(), observed.update.items())
    )
    last(GradientMatching(iterations=40), observed)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in observed.network.named_parameters())
    assert all(torch.equal(tensor, update[name]) for name, tensor in observed.update.items())


def test_its_corrections_are_spread_evenly_and_cost_no_more_than_the_matching():
    few, many = (observe(NETWORK, smooth_batch(), FedAvg(local_steps=steps, learning_rate=1e-2)) for steps in (5, 100))
    assert [k for k in range(201) if LongStepSurrogate(few).is_due(k, 200)] == list(range(10, 201, 10))
    due = [k for k in range(201) if LongStepSurrogate(many).is_due(k, 200)]
    assert due == [50, 100, 150, 200]
    assert len(due) * 100 <= 200 * 2


def test_a_correction_needs_two_sets_of_weights_and_keeps_one():
    batch = random_batch()
    observed = observe(MLP(width=512, activation=Activation.TANH), batch, FedAvg(local_steps=4, learning_rate=1e-3))
    surrogate, weights = LongStepSurrogate(observed), size_of(observed.network)
    with Living() as memory:
        kept = surrogate.correction(0.9 * batch.images, batch.labels)
        assert kept.shared is not None
        assert 0.95 < memory.now / weights < 1.05
    assert memory.peak / weights < 2.1


def test_steps_too_small_for_float32_need_none():
    tiny, wide = (observe(NETWORK, smooth_batch(), FedAvg(local_steps=5, learning_rate=rate)) for rate in (1e-6, 1e-2))
    assert rounding(tiny) > ROUNDING_TOLERANCE > rounding(wide)
    assert not any(LongStepSurrogate(tiny).is_due(iteration, 200) for iteration in range(201))


def test_its_work_hardly_grows_with_the_local_steps():
    """Counted by passes: simulating asks for two of each local step an iteration."""
    attack, simulated = GradientMatching(iterations=40), GradientMatching(iterations=40, local_steps=Steps.SIMULATED)
    one, five, many = (observe(NETWORK, smooth_batch(), FedAvg(local_steps=k, learning_rate=1e-2)) for k in (1, 5, 20))
    base = passes(attack, one)
    corrected = {k: 40 // max(40 // CORRECTIONS, -(-k // 2)) for k in (5, 20)}
    assert base <= 2 * 41 + 8  # the proof of the fast derivative comes first, and the last candidate is simulated at the end
    for k, observed in ((5, five), (20, many)):
        assert passes(attack, observed) <= base + corrected[k] * (k + 1) + k + 4 <= 2.4 * base
    assert passes(simulated, five) > 4 * base


def test_one_step_is_plain_matching():
    batch = smooth_batch(dtype=torch.float64)
    stepped = observe(NETWORK, batch, FedAvg(local_steps=1, learning_rate=1e-3))
    plain = last(GradientMatching(iterations=5), observe(NETWORK, batch, FedSGD()))
    torch.testing.assert_close(last(GradientMatching(iterations=5), stepped).candidate, plain.candidate, rtol=0, atol=1e-5)


def test_it_compares_one_long_step_in_the_middle_with_what_was_sent():
    batch = smooth_batch(dtype=torch.float64)
    observed = observe(NETWORK, batch, FedAvg(local_steps=4, learning_rate=1e-2))
    attack = GradientMatching(distance=Euclidean(), iterations=1)
    first, *_ = attack.reconstruct(observed, torch.Generator().manual_seed(0))
    weights = {name: tensor + 3 / 8 * observed.update[name] for name, tensor in observed.network.named_parameters()}
    logits = torch.func.functional_call(observed.network, weights, (first.candidate,))
    slopes = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, observed.labels), list(weights.values()))
    gaps = (-0.04 * slope - sent for slope, sent in zip(slopes, observed.update.values(), strict=True))
    assert first.terms["distance"] == pytest.approx(sum(float(gap.square().sum()) for gap in gaps), rel=1e-6)


def quality(attack, rate, steps=5):
    batch = smooth_batch()
    observed = observe(NETWORK, batch, FedAvg(local_steps=steps, learning_rate=rate))
    return score(as_round(batch, observed), last(attack, observed)).psnr_db


@pytest.mark.parametrize("rate", [1e-4, 1e-2])
def test_it_ends_where_simulating_ends(rate):
    own, simulated = (quality(GradientMatching(iterations=100, local_steps=steps), rate) for steps in Steps)
    assert own > simulated - 2


@pytest.mark.parametrize(("rate", "told"), [(1e-3, False), (1.0, True)])
def test_a_candidate_led_astray_is_told_of(rate, told):
    observed = observe(NETWORK, smooth_batch(), FedAvg(local_steps=5, learning_rate=rate))
    note = last(GradientMatching(iterations=40), observed).note
    assert ("5 local steps miss the shared update by" in note and "local_steps = simulated" in note) is told
    assert bool(note) is told


@pytest.mark.parametrize("astray", [0, 1])
def test_each_restart_is_told_of_by_itself(astray, monkeypatch):
    """One of two attempts is said to go astray: the note stands beside the end if, and only if, that attempt won."""
    seen = []

    def correction(surrogate, images, targets):
        seen.append(len(seen) // 6)  # of 20 iterations every third, the first aside, is due
        return Correction(None, 0.5 if seen[-1] == astray else 0.1)

    monkeypatch.setattr(LongStepSurrogate, "correction", correction)
    observed = observe(NETWORK, smooth_batch(), FedAvg(local_steps=5, learning_rate=1e-2))
    end = last(GradientMatching(iterations=20, restarts=2), observed)
    assert seen == [0] * 6 + [1] * 6
    assert bool(end.note) is (end.restart == astray)


def test_without_corrections_large_steps_cost_quality(monkeypatch):
    corrected = quality(GradientMatching(iterations=100), 0.1)
    monkeypatch.setattr(LongStepSurrogate, "is_due", lambda *_: False)
    assert corrected > quality(GradientMatching(iterations=100), 0.1) + 3


@pytest.mark.parametrize("derivative", [Derivative.EXACT, Derivative.FROZEN])
@pytest.mark.parametrize("source", list(LabelSource))
def test_every_derivative_and_source_of_labels_is_corrected(derivative, source, monkeypatch):
    seen = []
    genuine = LongStepSurrogate.correction
    monkeypatch.setattr(LongStepSurrogate, "correction", lambda *given: seen.append(genuine(*given)) or seen[-1])
    observed = observe(NETWORK, smooth_batch(), FedAvg(local_steps=3, learning_rate=1e-2), source)
    state = last(GradientMatching(iterations=20, derivative=derivative), observed)
    assert math.isfinite(state.objective)
    assert len(seen) == 10
