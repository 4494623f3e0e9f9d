"""How a client steps: against torch's own optimisers, as sums, under two derivatives, told and not told."""

from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from rounds import as_round, observe, random_batch, smooth_batch
from torch.nn.functional import cross_entropy

from lab import Experiment, LabError
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.derivative.matcher import match
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.matching import protocol_inference
from lab.attacks.matching.adaptive_steps import SoftStepsSurrogate
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.local_steps import LongStepSurrogate
from lab.attacks.matching.protocol_inference import infer_protocol
from lab.attacks.matching.settings import Derivative, Steps
from lab.attacks.recursive import Recursive
from lab.client.datasets.gallery import Gallery
from lab.evaluation.derivation import derive
from lab.evaluation.scoring import score
from lab.experiments import links
from lab.experiments.cost import cost
from lab.experiments.edits import edit
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.linear_steps import linear_steps
from lab.federated.local_optimisers.adam import LocalAdam
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.fedavg import FedAvg
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from lab.randomness import stream
from widgets.form.admission import edited
from widgets.form.controls import schema

SETTINGS = {
    "sgd": (
        LocalSGD(),
        LocalSGD(momentum=0.9),
        LocalSGD(momentum=0.9, nesterov=True),
        LocalSGD(weight_decay=0.1),
        LocalSGD(momentum=0.5, nesterov=True, weight_decay=0.01),
    ),
    "adam": (LocalAdam(), LocalAdam(weight_decay=0.1), LocalAdam(beta1=0.5, beta2=0.9, eps=1e-3)),
}
"""Of every entry; the first law asks whether one is missing."""
ALL = [pytest.param(optimiser, id=str(optimiser)) for settings in SETTINGS.values() for optimiser in settings]
SUMS = [param for param in ALL if param.values[0].is_linear]
TINY = MLP(depth=2, width=24, activation=Activation.TANH)
SHAPE = (3, 8, 8)


def torchs(optimiser, weights, rate):
    """The same of torch's own."""
    options = {field.name: getattr(optimiser, field.name) for field in fields_of(type(optimiser))}
    if isinstance(optimiser, LocalSGD):
        return torch.optim.SGD(weights, lr=rate, **options)
    return torch.optim.Adam(weights, lr=rate, betas=(options.pop("beta1"), options.pop("beta2")), **options)


def last(attack, observed):
    *_, state = attack.reconstruct(observed, stream(0, "candidate"))
    return state


def gap(one, other):
    wrong = sum(float((one[name] - other[name]).detach().double().square().sum()) for name in other)
    return (wrong / sum(float(tensor.double().square().sum()) for tensor in other.values())) ** 0.5


def test_every_optimiser_of_the_catalogue_is_tried():
    assert set(SETTINGS) == set(entries("local_optimiser"))
    assert all(type(optimiser).name == name for name, settings in SETTINGS.items() for optimiser in settings)


@pytest.mark.parametrize("optimiser", ALL)
@pytest.mark.parametrize(("count", "steps", "size"), [(1, 1, 0), (1, 5, 0), (4, 3, 2)])
def test_a_clients_steps_are_those_of_torchs_optimiser(optimiser, count, steps, size):
    batch = random_batch(count, SHAPE, dtype=torch.float64)
    protocol = FedAvg(local_steps=steps, batch_size=size, learning_rate=0.01, optimiser=optimiser)
    observed = observe(MLP(depth=2, width=16), batch, protocol)
    model = deepcopy(observed.network)
    stepper = torchs(optimiser, model.parameters(), 0.01)
    for step in range(steps):
        rows = [(step * size + k) % count for k in range(size or count)]
        stepper.zero_grad()
        cross_entropy(model(batch.images[rows]), batch.labels[rows]).backward()
        stepper.step()
    before = dict(observed.network.named_parameters())
    unrolled = protocol.update(observed.network, batch.images.clone().requires_grad_(), batch.labels, differentiable=True)
    for name, after in model.named_parameters():
        expected = (after - before[name]).detach()
        torch.testing.assert_close(observed.update[name], expected, rtol=1e-8, atol=1e-12)
        torch.testing.assert_close(unrolled[name].detach(), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("optimiser", ALL)
@pytest.mark.parametrize("dead", [False, True])
def test_the_derivative_through_all_steps_is_right_where_a_root_of_zero_stands_too(optimiser, dead):
    """Against differences; dead units have gradients of zero, whose root has an infinite slope."""
    optimiser = replace(optimiser, eps=1e-3) if isinstance(optimiser, LocalAdam) else optimiser
    batch, other = (random_batch(1, SHAPE, seed=seed, dtype=torch.float64) for seed in (0, 1))
    protocol = FedAvg(local_steps=3, learning_rate=1e-3, optimiser=optimiser)
    observed = observe(MLP(depth=3, width=16, activation=Activation.TANH), batch, protocol)
    if dead:
        with torch.no_grad():
            dict(observed.network.named_parameters())["head.4.weight"][:, :5] = 0

    def at(images, *, differentiable=True):
        def rule(leaf, labels):
            return protocol.update(observed.network, leaf, labels, differentiable=differentiable)

        return match(rule, images, other.labels, Euclidean(), observed.update)

    found, way = at(other.images), random_batch(1, SHAPE, seed=2, dtype=torch.float64).images - 0.5
    step = 1e-5
    difference = (at(other.images + step * way).distance - at(other.images - step * way).distance) / (2 * step)
    assert found.input_gradient.isfinite().all()
    torch.testing.assert_close((found.input_gradient * way).sum(), difference, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("optimiser", SUMS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_of_sums_the_mean_gradient_is_told(optimiser, steps):
    """On one and the same gradient at every step it is that gradient, whatever decays."""
    weights, gradient = ({"w": torch.randn(9, generator=stream(seed, "numbers"), dtype=torch.float64)} for seed in (0, 1))
    weight, memory = weights["w"], ()
    for step in range(steps):
        direction, memory = optimiser.direction(step, weight, gradient["w"], memory)
        weight = weight - 0.02 * direction
    told = linear_steps(optimiser, 0.02, steps).mean_gradient({"w": weight - weights["w"]}, weights)
    torch.testing.assert_close(told["w"], gradient["w"])


@pytest.mark.parametrize("optimiser", SUMS)
def test_where_the_single_step_stands_the_error_is_of_second_order(optimiser):
    batch, errors = random_batch(1, SHAPE, dtype=torch.float64), []
    for rate in (1e-3, 1e-4):
        observed = observe(TINY, batch, FedAvg(local_steps=5, learning_rate=rate, optimiser=optimiser))
        stand_in = LongStepSurrogate(observed).observation
        errors.append(gap(stand_in.protocol.update(stand_in.network, batch.images, batch.labels), stand_in.update))
    assert 50 < errors[0] / errors[1] < 200


@pytest.mark.parametrize("optimiser", [param for param in ALL if param not in SUMS])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_corrected_by_the_truth_soft_steps_send_what_was_shared(optimiser, steps):
    batch = random_batch(2, SHAPE, dtype=torch.float64)
    observed = observe(TINY, batch, FedAvg(local_steps=steps, learning_rate=1e-2, optimiser=optimiser))
    surrogate = SoftStepsSurrogate(observed)
    before = gap(surrogate.update(batch.images, batch.labels), observed.update)
    assert surrogate.correction(batch.images, batch.labels).residual < 1e-9
    assert gap(surrogate.update(batch.images, batch.labels), observed.update) < 1e-6
    assert steps == 1 or before > 1e-3


@pytest.mark.parametrize("optimiser", ALL)
@pytest.mark.parametrize("steps", [1, 5, 12])
def test_each_way_of_matching_follows_each_optimiser(optimiser, steps):
    """Both end nearer than they began, in finite numbers; the frozen derivative follows or refuses in one sentence."""
    observed = observe(
        SmallConvNet(width=4), smooth_batch(), FedAvg(local_steps=steps, learning_rate=1e-3, optimiser=optimiser)
    )
    for way in Steps:
        attack = GradientMatching(iterations=6, local_steps=way)
        states = list(attack.reconstruct(observed, stream(0, "candidate")))
        assert states[-1].candidate.isfinite().all()
        assert "prove right" not in states[-1].note
        follows = optimiser.is_plain or (optimiser.is_linear and way is Steps.SURROGATE)
        frozen = replace(attack, derivative=Derivative.FROZEN)
        if follows:
            assert last(frozen, observed).candidate.isfinite().all()
        else:
            with pytest.raises(LabError, match=f"does not follow the steps of {optimiser.name}"):
                last(frozen, observed)


@pytest.mark.parametrize("optimiser", SUMS)
@pytest.mark.parametrize("attack", [Analytic(), Recursive(hand_over=False), HeadStart()], ids=lambda attack: attack.name)
def test_sums_leave_the_first_layers_input_exact(optimiser, attack):
    batch = random_batch(1, SHAPE, dtype=torch.float64)
    observed = observe(TINY, batch, FedAvg(local_steps=9, learning_rate=0.05, optimiser=optimiser))
    state = last(attack, observed)
    assert float((state.candidate - batch.images).abs().max()) < 1e-8
    assert state.outcome is ClosedFormOutcome.UNMOVED_INPUT


@pytest.mark.parametrize("attack", [Analytic(), Recursive(hand_over=False)], ids=lambda attack: attack.name)
@pytest.mark.parametrize("network", [TINY, SmallConvNet(width=4)], ids=lambda network: network.name)
@pytest.mark.parametrize("pictures", [1, 3])
def test_where_sizes_were_divided_by_the_algebra_refuses_in_a_sentence(attack, network, pictures):
    batch = random_batch(pictures)
    observed = observe(network, batch, FedAvg(local_steps=4, learning_rate=1e-3, optimiser=LocalAdam()))
    state = last(attack, observed)
    assert state.outcome is ClosedFormOutcome.DIVIDED_STEPS
    assert "4 local steps" in state.note
    assert derive(as_round(batch, observed)) is None


@pytest.mark.parametrize("optimiser", ALL)
@pytest.mark.parametrize("rule", list(Rule), ids=lambda rule: rule.value)
def test_labels_are_read_or_refused_in_a_sentence(optimiser, rule):
    for pictures in (1, 3):
        batch = smooth_batch(pictures)
        protocol = FedAvg(local_steps=4, learning_rate=1e-3, optimiser=optimiser)
        observed = observe(SmallConvNet(width=8), batch, protocol, LabelSource.INFERRED)
        refuses = not optimiser.is_linear and (pictures > 1 or rule is Rule.ILRG)
        if refuses:
            with pytest.raises(LabError, match="own size"):
                last(LabelReading(rule=rule), observed)
        else:
            assert last(LabelReading(rule=rule), observed).labels.tolist() == batch.labels.tolist()


@pytest.mark.parametrize("optimiser", [LocalSGD(), LocalSGD(momentum=0.9), LocalAdam()], ids=str)
def test_what_was_not_told_is_guessed_by_what_it_leaves_unexplained(optimiser):
    protocol = FedAvg(local_steps=5, learning_rate=1e-2, optimiser=optimiser, optimiser_told=False)
    observed = observe(SmallConvNet(width=8), smooth_batch(), protocol)
    observed = replace(observed, protocol=protocol.server_view())
    assert observed.protocol.optimiser == LocalSGD(), "the server was told"
    states = []
    tried = infer_protocol(GradientMatching(), observed, stream(0, "candidate"))
    while True:
        try:
            states.append(next(tried))
        except StopIteration as end:
            told, steps, sentence = end.value
            break
    assert replace(told.protocol.optimiser, weight_decay=0.0) == optimiser
    assert optimiser.name in sentence
    assert [state.iteration for state in states] == list(range(steps))


def test_a_server_that_guesses_says_so_at_the_end_and_keeps_counting(monkeypatch):
    monkeypatch.setattr(protocol_inference, "TRIAL_STEPS", 2)
    protocol = FedAvg(local_steps=2, learning_rate=1e-2, optimiser=LocalSGD(momentum=0.9), optimiser_told=False)
    observed = replace(observe(SmallConvNet(width=4), smooth_batch(), protocol), protocol=protocol.server_view())
    states = list(GradientMatching(iterations=3).reconstruct(observed, stream(0, "candidate")))
    assert all(after.iteration >= before.iteration for before, after in pairwise(states))
    assert len({state.iterations for state in states}) == 1
    assert states[-1].iteration == states[-1].iterations
    assert "was not told" in states[-1].note
    assert sum(state.outcome is not None for state in states) == 1


@pytest.mark.parametrize("optimiser", ALL)
def test_each_is_told_by_a_link_a_file_and_the_form(optimiser):
    experiment = Experiment(protocol=FedAvg(optimiser=optimiser, optimiser_told=False))
    assert links.read(links.write(experiment)).experiment == experiment
    assert Experiment.from_plain(experiment.to_plain()) == experiment
    plain = Experiment(protocol=FedAvg())
    chosen = edited(plain, [("protocol.optimiser", optimiser.name)])
    assert type(chosen.protocol.optimiser) is type(optimiser)
    controls = {control["path"]: control for control in schema(chosen)}
    for field in fields_of(type(optimiser)):
        assert controls[f"protocol.optimiser.{field.name}"]["advanced"]
        assert controls[f"protocol.optimiser.{field.name}"]["help"]
    assert not any("optimiser" in control["path"] for control in schema(Experiment()) if control["path"].startswith("protocol"))


@pytest.mark.parametrize("optimiser", ALL)
def test_its_cost_is_counted(optimiser):
    told = Experiment(protocol=FedAvg(optimiser=optimiser))
    plain, untold = Experiment(protocol=FedAvg()), edit(told, "protocol.optimiser_told", False)
    assert cost(told).bytes >= cost(plain).bytes
    assert cost(untold).attack_products > cost(told).attack_products


def test_looking_ahead_without_momentum_changes_nothing():
    assert LocalSGD(nesterov=True).is_plain
    gradient = torch.ones(3)
    direction, memory = LocalSGD(nesterov=True).direction(0, gradient, gradient, ())
    assert direction is gradient
    assert memory == ()


@pytest.mark.parametrize(
    ("rate", "optimiser", "least"),
    [
        pytest.param(1e-2, LocalSGD(momentum=0.9), 35, id="momentum"),
        pytest.param(1e-3, LocalAdam(), 28, id="adam", marks=pytest.mark.slow),
    ],
)
def test_known_steps_cost_little_of_the_picture(rate, optimiser, least):
    """On the page's first picture; on ten held-out ones in benchmarks/README.md."""
    protocol = FedAvg(local_steps=5, learning_rate=rate, optimiser=optimiser)
    experiment = Experiment(dataset=Gallery(), protocol=protocol, seed=1)
    attacked = simulate_round(experiment, torch.device("cpu"))
    *_, state = reconstruct(experiment, attacked.observation)
    assert score(attacked, state).psnr_db >= least
