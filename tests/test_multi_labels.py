"""Pictures with any number of labels under binary cross entropy: told as rows, read off one picture, refused elsewhere."""

import pytest
import torch
from rounds import smooth_batch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

import lab
from lab import LabError
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading
from lab.federated.losses.bce_with_logits import BCEWithLogits
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries

SIZE = 10
SHAPE = (3, SIZE, SIZE)
PROTOCOL = FedSGD(loss=BCEWithLogits())
SETS = [(), (2,), (2, 5, 7), tuple(range(10))]


def made(convolutions=False):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten()] if convolutions else [nn.Flatten()]
        inputs = 8 * (SIZE // 2) ** 2 if convolutions else 3 * SIZE**2
        return nn.Sequential(*body, nn.Linear(inputs, 24), nn.Sigmoid(), nn.Linear(24, 10)).double()


def row(*sets):
    found = torch.zeros(len(sets), 10, dtype=torch.float64)
    for place, classes in enumerate(sets):
        found[place, list(classes)] = 1
    return found


def seen(model, images, rows, **known):
    sent = torch.autograd.grad(binary_cross_entropy_with_logits(model(images), rows), list(model.parameters()))
    return lab.observe(model, sent, input_shape=SHAPE, protocol=PROTOCOL, **({"batch_size": len(rows)} | known))


def last(observed, attack=None):
    *_, state = lab.attack(observed, attack)
    return state


@pytest.mark.parametrize("classes", SETS, ids=str)
@pytest.mark.parametrize("told", [True, False], ids=["told", "read"])
def test_one_picture_is_read_off_and_its_labels_are_named(classes, told):
    images, rows = smooth_batch(1, SIZE, dtype=torch.float64).images, row(classes)
    observed = seen(made(), images, rows, **({"labels": rows.long().tolist()} if told else {}))
    for attack in (Analytic(), None):
        state = last(observed, attack)
        assert state.outcome in (ClosedFormOutcome.EXACT, ClosedFormOutcome.PEELED)
        assert float((state.candidate - images).abs().max()) < 1e-4
    if not told:
        listed = ", ".join(map(str, classes)) or "none"
        said = f"the classes whose logits the update raises are these, {listed}."
        for attack in (Analytic(), LabelReading(), GradientMatching(iterations=2)):
            assert (said in last(observed, attack).note) is (len(classes) != 1)


@pytest.mark.parametrize("told", [True, False], ids=["told", "read"])
def test_matching_takes_them_all(told):
    """By rows the update is explained; by the one class that would have been inferred it cannot be."""
    images, rows = smooth_batch(1, SIZE, dtype=torch.float64).images, row((2, 5, 7))
    model = made(convolutions=True)
    attack = GradientMatching(iterations=40)
    right = last(seen(model, images, rows, **({"labels": rows.int().numpy()} if told else {})), attack)
    wrong = last(seen(model, images, rows, labels=[2]), attack)
    assert right.terms["distance"] < 0.3 * wrong.terms["distance"]
    assert right.labels is None


def test_rows_of_several_pictures_are_taken_as_told():
    images, rows = smooth_batch(2, SIZE, dtype=torch.float64).images, row((1, 4), ())
    observed = seen(made(convolutions=True), images, rows, labels=rows.bool().tolist())
    again = observed.protocol.update(observed.network, images, observed.labels)
    for name, tensor in observed.update.items():
        torch.testing.assert_close(again[name], tensor)
    for attack in (GradientMatching(iterations=3), lab.Recursive(iterations=2), Analytic(), None):
        if attack is None or hasattr(attack, "iterations"):
            assert last(observed, attack or lab.HeadStart(iterations=2)).candidate.isfinite().all()
    assert "length" not in [one.name for one in lab.diagnose(observed).findings]


def test_noise_turns_no_sign_into_a_label():
    images, rows = smooth_batch(1, SIZE, dtype=torch.float64).images, row((3,))
    observed = seen(made(), images, rows)
    generator = torch.Generator().manual_seed(0)
    noisy = {
        n: t + 0.5 * t.abs().max() * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        for n, t in observed.update.items()
    }
    noisy = lab.observe(
        made(),
        {n.replace("head.0", "1").replace("head.2", "3"): t for n, t in noisy.items()},
        input_shape=SHAPE,
        protocol=PROTOCOL,
    )
    assert "whose logits the update raises" not in last(noisy, LabelReading()).note


@pytest.mark.parametrize("classes", SETS, ids=str)
def test_the_doctor_names_wrong_rows_and_only_those(classes):
    images, rows = smooth_batch(1, SIZE, dtype=torch.float64).images, row(classes)
    model = made()
    assert "labels" not in [one.name for one in lab.diagnose(seen(model, images, rows, labels=rows)).findings]
    wrong = rows.clone()
    wrong[0, 4] = 1 - wrong[0, 4]
    assert "labels" in [one.name for one in lab.diagnose(seen(model, images, rows, labels=wrong)).findings]


def test_what_is_no_row_of_labels_is_refused_in_a_sentence():
    images, rows = smooth_batch(1, SIZE, dtype=torch.float64).images, row((1,))
    sent = torch.autograd.grad(
        binary_cross_entropy_with_logits(made()(images), rows), list(made().parameters()), allow_unused=True
    )
    sent = [torch.ones_like(weight) for weight in made().parameters()]
    given = {"input_shape": SHAPE}
    for loss in entries("loss").values():
        if not loss.takes_rows:
            with pytest.raises(LabError, match="takes one class for each picture; give class numbers, or"):
                lab.observe(made(), sent, labels=rows, protocol=FedSGD(loss=loss()), **given)
    with pytest.raises(LabError, match="labels have 9 columns, and the model has 10 classes"):
        lab.observe(made(), sent, labels=rows[:, 1:], protocol=PROTOCOL, **given)
    for wrong in ([[0.5] * 10], [[2] * 10], [[[1]]], [[]], [["a"]]):
        with pytest.raises(LabError, match=r"are no class numbers; give .* or a zero or a one for each .*\(batch, classes\)"):
            lab.observe(made(), sent, labels=wrong, protocol=PROTOCOL, **given)
