"""What a client minimises: against torch's own losses, under every derivative, attack, label rule, file and finding."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch, smooth_batch
from torch import nn
from torch.nn.functional import log_softmax, one_hot
from typer.testing import CliRunner

import lab
from lab import Experiment, LabelSource, LabError
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.batch_by_labels import separate_by_labels
from lab.attacks.closed_form.local_steps import without_drift
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.derivative.frozen_matcher import FrozenMatcher
from lab.attacks.derivative.matcher import match
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.matching.adaptive_steps import SoftStepsSurrogate
from lab.attacks.matching.distances.euclidean import Euclidean
from lab.attacks.matching.local_steps import LongStepSurrogate
from lab.attacks.matching.settings import Steps
from lab.attacks.recursive import Recursive
from lab.capture import capturing
from lab.cli import app
from lab.experiments import links
from lab.experiments.edits import edit
from lab.federated.gradient_rules import GradientRule, PlainGradient
from lab.federated.local_optimisers.adam import LocalAdam
from lab.federated.local_optimisers.sgd import LocalSGD
from lab.federated.losses.base import Reduction
from lab.federated.losses.bce_with_logits import BCEWithLogits
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.losses.mse import MSE
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.findings.diagnosis import diagnose
from lab.options.catalogue import entries
from lab.options.fields import fields_of
from lab.options.text import to_text
from lab.randomness import stream
from widgets.form.admission import edited
from widgets.form.controls import schema

CLASSES = 5
WEIGHTS = (1.0, 0.5, 2.0, 1.5, 0.8)
SETTINGS = {
    "cross_entropy": (
        CrossEntropy(),
        CrossEntropy(label_smoothing=0.1),
        CrossEntropy(class_weights=WEIGHTS),
        CrossEntropy(label_smoothing=0.2, class_weights=WEIGHTS),
    ),
    "bce_with_logits": (BCEWithLogits(),),
    "mse": (MSE(),),
}
"""Of every entry; the first law asks whether one is missing."""
MEANS = [loss for settings in SETTINGS.values() for loss in settings]
ALL = [pytest.param(each, id=to_text(each)) for loss in MEANS for each in (loss, replace(loss, reduction=Reduction.SUM))]
ONCE = [
    param for param in ALL if param.values[0].reduction is Reduction.MEAN or param.values[0] == MSE(reduction=Reduction.SUM)
]
"""Each kind of derivatives, and a sum."""
SHAPE = (3, 8, 8)
SMOOTH = MLP(depth=2, width=24, activation=Activation.TANH)


def torchs(loss):
    """The same of torch's own."""
    reduction = loss.reduction.value
    if isinstance(loss, CrossEntropy):
        weight = torch.tensor(loss.class_weights, dtype=torch.float64) if loss.class_weights else None
        return nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=loss.label_smoothing)
    return {BCEWithLogits: nn.BCEWithLogitsLoss, MSE: nn.MSELoss}[type(loss)](reduction=reduction)


def torchs_value(loss, logits, labels):
    return torchs(loss)(logits, labels if isinstance(loss, CrossEntropy) else one_hot(labels, logits.shape[1]).to(logits))


def drawn(count=3, seed=0):
    generator = stream(seed, "logits")
    logits = torch.randn(count, CLASSES, generator=generator, dtype=torch.float64)
    return logits, torch.randint(CLASSES, (count,), generator=generator)


def seen(network, loss, count=1, source=LabelSource.KNOWN, seed=0, protocol=None, batch=None):
    batch = random_batch(count, SHAPE, CLASSES, seed, torch.float64) if batch is None else batch
    protocol = replace(protocol or FedSGD(), loss=loss)
    return observe(network, batch, protocol, source, CLASSES, seed), batch


def last(attack, observed):
    *_, state = attack.reconstruct(observed, stream(0, "candidate"))
    return state


def gap(one, other):
    wrong = sum(float((one[name] - other[name]).detach().square().sum()) for name in other)
    return (wrong / sum(float(tensor.square().sum()) for tensor in other.values())) ** 0.5


def test_every_loss_of_the_catalogue_is_tried():
    assert set(SETTINGS) == set(entries("loss"))
    assert all(type(loss).name == name for name, settings in SETTINGS.items() for loss in settings)


@pytest.mark.parametrize("loss", ALL)
def test_a_loss_is_torchs_with_its_two_derivatives(loss):
    logits, labels = drawn()
    logits.requires_grad_()
    value = loss.value(logits, labels)
    torch.testing.assert_close(value, torchs_value(loss, logits, labels))
    torch.testing.assert_close(value, loss.value(logits, one_hot(labels, CLASSES).double()))
    (found,) = torch.autograd.grad(value, logits, create_graph=True)
    residual, directions = (
        loss.logit_gradient(logits, labels),
        torch.randn(4, CLASSES, dtype=torch.float64, generator=stream(1, "d")),
    )
    torch.testing.assert_close(residual, found)
    moved = [torch.autograd.grad((residual * direction).sum(), logits, retain_graph=True)[0] for direction in directions]
    torch.testing.assert_close(loss.hessian_products(logits, labels, directions), torch.stack(moved, 1))
    assert bool((residual.sum(1).abs() < 1e-12).all()) is loss.is_shift_invariant
    alone = [torch.autograd.grad(torchs_value(loss, logits[k : k + 1], labels[k : k + 1]), logits)[0][k] for k in range(3)]
    torch.testing.assert_close(loss.per_example_logit_gradient(logits, labels), torch.stack(alone))
    assert loss.length(3) == (1 if loss.reduction is Reduction.MEAN else 3)


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("optimiser", [LocalSGD(), LocalAdam()], ids=lambda optimiser: optimiser.name)
def test_a_client_trains_by_it(loss, optimiser):
    protocol = FedAvg(local_steps=3, batch_size=2, learning_rate=0.01, optimiser=optimiser)
    observed, batch = seen(SMOOTH, loss, 4, protocol=protocol)
    model = deepcopy(observed.network)
    kind = torch.optim.SGD if optimiser == LocalSGD() else torch.optim.Adam
    stepper = kind(model.parameters(), lr=0.01)
    for rows in ([0, 1], [2, 3], [0, 1]):
        stepper.zero_grad()
        torchs_value(loss, model(batch.images[rows]), batch.labels[rows]).backward()
        stepper.step()
    before = dict(observed.network.named_parameters())
    for name, after in model.named_parameters():
        torch.testing.assert_close(observed.update[name], (after - before[name]).detach(), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("loss", ALL)
def test_its_gradient_of_each_picture_alone_is_that_of_a_batch_of_one(loss):
    """Which clients clip one by one (DP-SGD)."""
    observed, batch = seen(SMOOTH, loss, 3)
    weights = {name: weight.detach() for name, weight in observed.network.named_parameters()}
    rule, given = PlainGradient(loss), (observed.network, weights, batch.images, batch.labels)
    quick, plain = rule.each(*given), GradientRule.each(rule, *given)
    torch.testing.assert_close(quick, plain)


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("steps", [0, 3])
def test_the_frozen_derivative_is_that_of_double_backward(loss, steps):
    protocol = FedAvg(local_steps=steps, learning_rate=1e-3) if steps else FedSGD()
    observed, _ = seen(SmallConvNet(width=4), loss, 2, protocol=protocol)
    candidate = random_batch(2, SHAPE, seed=5, dtype=torch.float64).images
    rule = partial(observed.protocol.update, observed.network, differentiable=True)
    frozen = FrozenMatcher(observed.network, observed.protocol.steps(2), Euclidean(), observed.update)
    targets = loss.to_soft_targets(drawn(2)[0])
    for given in (observed.labels, targets):
        exact, fast = match(rule, candidate, given, Euclidean(), observed.update), frozen(candidate, given)
        torch.testing.assert_close(fast.distance, exact.distance)
        assert float((fast.input_gradient - exact.input_gradient).norm() / exact.input_gradient.norm()) < 1e-4


@pytest.mark.parametrize("loss", ONCE)
@pytest.mark.parametrize("attack", [Analytic(), Recursive(hand_over=False), HeadStart()], ids=lambda attack: attack.name)
@pytest.mark.parametrize("source", [LabelSource.KNOWN, LabelSource.INFERRED], ids=lambda source: source.value)
def test_a_first_layers_input_is_a_ratio_whatever_the_loss(loss, attack, source):
    for network in (SMOOTH, MLP(depth=1)):
        observed, batch = seen(network, loss, source=source)
        state = last(attack, observed)
        assert float((state.candidate - batch.images).abs().max()) < 1e-8
        assert state.outcome is ClosedFormOutcome.EXACT


@pytest.mark.parametrize("loss", ONCE)
@pytest.mark.parametrize("known", [True, False])
def test_without_a_bias_the_sign_of_what_is_known_up_to_scale_is_right(loss, known):
    for seed in range(2):
        source = LabelSource.KNOWN if known else LabelSource.INFERRED
        observed, batch = seen(MLP(depth=1, bias=False), loss, source=source, seed=seed)
        state = last(Analytic(), observed)
        entered = observed.network.embed(batch.images)[0]
        right = float(torch.cosine_similarity(state.features[0], entered, dim=0)) > 1 - 1e-9
        guessed = isinstance(loss, MSE) and not known  # whose numbers may point either way
        assert right or (guessed and state.outcome is ClosedFormOutcome.INCONSISTENT)


@pytest.mark.parametrize("loss", ONCE)
def test_the_way_down_through_convolutions_is_exact_whatever_the_loss(loss):
    observed, batch = seen(SmallConvNet(width=12, activation=Activation.TANH), loss)
    state = last(Recursive(hand_over=False), observed)
    assert state.outcome is ClosedFormOutcome.PEELED
    assert float((state.candidate - batch.images).abs().max()) < 1e-3


@pytest.mark.parametrize("loss", ONCE)
def test_several_pictures_are_set_apart_by_their_labels_whatever_the_loss(loss):
    observed, batch = seen(SMOOTH, loss, batch=random_batch(3, SHAPE, dtype=torch.float64, labels=[0, 2, 4]))
    state = last(Recursive(hand_over=False), observed)
    assert state.outcome is ClosedFormOutcome.SET_APART
    assert float((state.candidate - batch.images).abs().max()) < 1e-4


@pytest.mark.parametrize("labels", [[1, 1], [1, 1, 1], [2, 2, 2, 0]], ids=str)
def test_three_pictures_of_one_label_are_not_claimed_of_a_squared_error(labels):
    """Turned into one another about what they share they send the same: no circle tells them apart."""
    generator = stream(0, "layer")
    weight, inputs = (torch.randn(rows, 7, generator=generator, dtype=torch.float64) for rows in (CLASSES, len(labels)))
    bias, given = torch.randn(CLASSES, generator=generator, dtype=torch.float64), torch.tensor(labels)
    for loss, apart in ((MSE(), labels.count(labels[0]) < 3), (CrossEntropy(), True)):
        sent = loss.logit_gradient(inputs @ weight.T + bias, given)
        found = separate_by_labels(sent.T @ inputs, sent.sum(0), weight, bias, given, loss)
        assert (found is not None) is apart
        if found is not None:
            nearest = torch.cdist(inputs, found.inputs).amin(1)
            assert float(nearest.max()) < 1e-4


@pytest.mark.parametrize("loss", ALL)
def test_local_steps_are_undone_and_stood_for_whatever_the_loss(loss):
    """The truth is a fixed point of each: of a sum each step is of its own part of the batch alone."""
    protocol = FedAvg(local_steps=4, batch_size=2, learning_rate=1e-3)
    observed, batch = seen(SMOOTH, loss, 4, protocol=protocol)
    corrected, at_once = without_drift(observed, batch.images), FedSGD(loss=loss)
    assert gap(at_once.update(observed.network, batch.images, batch.labels), corrected.update) < 1e-9
    surrogate = LongStepSurrogate(observed)
    single = surrogate.observation
    made = single.protocol.update(single.network, batch.images, batch.labels)
    if not getattr(loss, "class_weights", ()):  # a mean by weights is another one of each part
        assert gap(made, single.update) < 0.1
    assert gap(made, surrogate.correction(batch.images, batch.labels).shared) < 1e-9
    divided = replace(protocol, optimiser=LocalAdam(), batch_size=0)
    soft = SoftStepsSurrogate(seen(SMOOTH, loss, 4, protocol=divided)[0])
    assert soft.correction(batch.images, batch.labels).residual < 1e-9
    assert gap(soft.update(batch.images, batch.labels), soft.client.update) < 1e-6


ROUNDS = (
    (LabelSource.KNOWN, FedSGD(), {}),
    (LabelSource.INFERRED, FedAvg(local_steps=2, learning_rate=1e-3), {"local_steps": Steps.SURROGATE}),
    (LabelSource.JOINT, FedAvg(local_steps=2, learning_rate=1e-3), {"local_steps": Steps.SIMULATED}),
)


@pytest.mark.parametrize("loss", ONCE)
@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in of_pictures("attack").items()])
def test_every_attack_works_under_it(loss, entry):
    """It ends in numbers, and where it compares updates it comes nearer than it began."""
    known = {field.name for field in fields_of(entry)}
    for source, protocol, options in ROUNDS:
        attack = entry(**{name: value for name, value in {"iterations": 6, **options}.items() if name in known})
        batch = replace(smooth_batch(size=8, dtype=torch.float64), labels=torch.tensor([3]))
        observed, _ = seen(SMOOTH, loss, source=source, protocol=protocol, batch=batch)
        states = list(attack.reconstruct(observed, stream(0, "candidate")))
        assert states[-1].outcome is not None
        assert states[-1].candidate.isfinite().all()
        distances = [state.terms["distance"] for state in states if "distance" in state.terms]
        assert not distances or min(distances) < distances[0]


@pytest.mark.parametrize("loss", ONCE)
def test_patches_are_one_linear_system_whatever_the_loss(loss):
    network = VisionTransformer(patch=4, width=32, depth=1, heads=2)
    batch = random_batch(1, (3, 16, 16), CLASSES, dtype=torch.float64)
    observed, _ = seen(network, loss, batch=batch)
    state = last(lab.PatchEmbedding(hand_over=False), observed)
    assert float((state.candidate - batch.images).abs().max()) < 1e-4


@pytest.mark.parametrize("loss", ONCE)
def test_labels_are_read_whatever_the_loss(loss):
    for label in range(CLASSES):
        for network in (SmallConvNet(width=8), SMOOTH):
            batch = random_batch(1, SHAPE, seed=label, labels=[label])
            observed, _ = seen(network, loss, source=LabelSource.INFERRED, seed=label, batch=batch)
            assert last(LabelReading(), observed).labels.tolist() == [label]
    for labels in ([1, 4], [2, 2], [0, 3, 3, 3]):
        for rule in (Rule.LLG, Rule.ILRG):
            batch = random_batch(len(labels), SHAPE, labels=labels)
            observed, _ = seen(SmallConvNet(width=8), loss, source=LabelSource.INFERRED, batch=batch)
            assert last(LabelReading(rule), observed).labels.tolist() == labels


@pytest.mark.parametrize("loss", [MSE(), CrossEntropy(label_smoothing=0.4)], ids=lambda loss: loss.name)
def test_one_label_is_read_where_the_lowest_number_is_anothers(loss):
    """Of a network that is quite sure of it."""
    misled = 0
    for seed in range(5):
        observed, batch = seen(SMOOTH, loss, seed=seed)
        with torch.no_grad():
            observed.network.head[-1].weight.mul_(40)
            labels = observed.network(batch.images).argmax(1)
        update = observed.protocol.update(observed.network, batch.images, labels)
        told = replace(observed, update=update, label_source=LabelSource.INFERRED, labels=None)
        misled += int(update["head.2.bias"].argmin()) != int(labels)
        assert last(LabelReading(), told).labels.tolist() == labels.tolist()
    assert misled


@pytest.mark.parametrize("loss", ALL)
def test_it_is_told_by_a_link_a_file_the_form_and_the_command_line(loss, tmp_path):
    experiment = Experiment(protocol=FedAvg(loss=loss))
    assert links.read(links.write(experiment)).experiment == experiment
    assert Experiment.from_plain(experiment.to_plain()) == experiment
    chosen = edited(Experiment(), [("protocol.loss", loss.name)])
    assert type(chosen.protocol.loss) is type(loss)
    controls = {control["path"]: control for control in schema(chosen)}
    assert {option["value"] for option in controls["protocol.loss"]["options"]} == set(entries("loss"))
    assert controls["protocol.loss.reduction"]["advanced"]
    for start in (Experiment(protocol=FedSGD(loss=loss)), experiment):
        for path, value in (("local_steps", 0), ("local_steps", 3), ("local_lr", 0.1)):
            assert edit(start, path, value).protocol.loss == loss, "steps changed the loss"
    weightless = replace(loss, class_weights=()) if isinstance(loss, CrossEntropy) else loss
    words = ["run", "--client-loss", to_text(weightless), "--iterations", "1", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert Experiment.from_file(tmp_path / "result.json").protocol == FedSGD(loss=weightless)


def test_what_is_wrong_with_a_loss_is_told_in_a_sentence():
    with pytest.raises(
        LabError, match=r"class_weights are given for 5 classes, and the network tells 10 apart; give one for each"
    ):
        lab.simulate_round(Experiment(protocol=FedSGD(loss=CrossEntropy(class_weights=WEIGHTS))))
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(LabError, match="class_weights must be finite numbers above 0"):
            CrossEntropy(class_weights=(1.0, wrong))
    with pytest.raises(LabError, match=r"There is no loss called 'hinge'"):
        edit(Experiment(), "client_loss", "hinge")


@pytest.mark.parametrize("loss", ALL)
def test_a_capture_tells_it_where_it_is_a_module(loss, tmp_path):
    model, batch = (
        SMOOTH.build(SHAPE, CLASSES, stream(0, "weights")).double(),
        random_batch(2, SHAPE, CLASSES, dtype=torch.float64),
    )
    stepper, criterion = torch.optim.SGD(model.parameters(), lr=0.1), torchs(loss)
    targets = batch.labels if isinstance(loss, CrossEntropy) else one_hot(batch.labels, CLASSES).double()
    with capturing(model, tmp_path / "update.safetensors"):
        criterion(model(batch.images), targets).backward()
        stepper.step()
    observed = lab.observe(model, tmp_path / "update.safetensors", labels=batch.labels)
    assert observed.loss == loss
    assert not any("loss" in note for note in observed.notes)
    assert gap(observed.protocol.update(observed.network, batch.images, batch.labels), observed.update) < 1e-6


class Certain(nn.Module):
    """It ends in logarithms of probabilities."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(48, CLASSES)

    def forward(self, x):
        return log_softmax(self.layer(x.flatten(1)), dim=1)


@pytest.mark.parametrize("loss", ALL)
def test_a_model_of_ones_own_keeps_its_last_layer_where_the_loss_sees_it(loss):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Certain()
    batch = random_batch(1, (3, 4, 4), CLASSES)
    sent = torch.autograd.grad(loss.value(model(batch.images), batch.labels), list(model.parameters()))
    observed = lab.observe(model, sent, input_shape=(3, 4, 4), labels=batch.labels, protocol=FedSGD(loss=loss))
    made = observed.protocol.update(observed.network, batch.images, batch.labels)
    assert gap(made, observed.update) < 1e-5
    assert bool(list(observed.network.head)) is loss.is_shift_invariant


@pytest.mark.parametrize("loss", ONCE)
@pytest.mark.parametrize("labels", [[3], [0, 2, 4]], ids=str)
def test_the_doctor_finds_nothing_wrong_with_it(loss, labels):
    batch = replace(smooth_batch(len(labels), 16, dtype=torch.float32), labels=torch.tensor(labels))
    for source in (LabelSource.KNOWN, LabelSource.INFERRED):
        observed, _ = seen(SmallConvNet(width=8), loss, source=source, batch=batch)
        assert [found.sentence for found in diagnose(observed).findings] == []
