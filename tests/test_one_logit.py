"""A network of one logit, yes or no, under binary cross entropy: against torch, read, attacked, diagnosed, refused."""

from dataclasses import replace

import pytest
import torch
from rounds import random_batch, smooth_batch
from torch import nn

import lab
from lab import LabelSource, LabError
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading, Rule
from lab.attacks.recursive import Recursive
from lab.capture import capturing
from lab.client.datasets.gallery import Gallery
from lab.federated.losses.base import Reduction
from lab.federated.losses.bce_with_logits import BCEWithLogits
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.options.catalogue import entries
from lab.randomness import stream

LOSSES = [BCEWithLogits(), BCEWithLogits(Reduction.SUM)]
SIZE = 8


def made(convolutions=True, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = (
            [nn.Conv2d(3, 12, 3, 2, 1), nn.Tanh(), nn.Flatten()]
            if convolutions
            else [nn.Flatten(), nn.Linear(192, 16), nn.Tanh()]
        )
        return nn.Sequential(*body, nn.Linear(192 if convolutions else 16, 1)).double()


def of(answers, seed=0):
    return replace(random_batch(len(answers), (3, SIZE, SIZE), seed=seed, dtype=torch.float64), labels=torch.tensor(answers))


def torchs(loss, model, batch):
    """The gradient of torch's own, of answers as numbers."""
    value = nn.BCEWithLogitsLoss(reduction=loss.reduction.value)(model(batch.images), batch.labels.double().view(-1, 1))
    return torch.autograd.grad(value, list(model.parameters()))


def seen(model, batch, loss=LOSSES[0], told=True, **known):
    labels = {"labels": batch.labels} if told else {"batch_size": len(batch)}
    protocol = FedSGD(loss=loss)
    return lab.observe(model, torchs(loss, model, batch), input_shape=(3, SIZE, SIZE), protocol=protocol, **labels, **known)


def last(attack, observed):
    *_, state = attack.reconstruct(observed, stream(0, "candidate"))
    return state


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.reduction.value)
def test_a_client_sends_what_torchs_own_loss_makes_of_answers(loss):
    batch = of([1, 0, 1])
    observed = seen(made(), batch, loss)
    for name, tensor in observed.protocol.update(observed.network, batch.images, batch.labels).items():
        torch.testing.assert_close(tensor, observed.update[name])
    logits = observed.network(batch.images).detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss.value(logits, batch.labels), logits)
    torch.testing.assert_close(loss.logit_gradient(logits, batch.labels).detach(), slope)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.reduction.value)
@pytest.mark.parametrize("answers", [[0], [1], [0, 0], [0, 1], [1, 1, 1], [0, 0, 1, 1, 1]], ids=str)
def test_answers_are_read(answers, loss):
    for seed in range(3):
        for convolutions in (True, False):
            observed = seen(made(convolutions, seed), of(answers, seed), loss, told=False)
            assert last(LabelReading(), observed).labels.tolist() == answers
    for rule in set(Rule) - {Rule.LLG}:
        with pytest.raises(LabError, match="this network has one logit; take rule=llg"):
            last(LabelReading(rule), observed)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("answer", [0, 1])
def test_one_picture_is_read_off_and_peeled_and_matched(answer, told):
    batch = of([answer])
    plain = seen(made(convolutions=False), batch, told=told)
    for attack in (Analytic(), Recursive(hand_over=False)):
        state = last(attack, plain)
        assert state.outcome is ClosedFormOutcome.EXACT
        assert float((state.candidate - batch.images).abs().max()) < 1e-8
    for name, entry in entries("attack").items():
        if entry.modality in ("", "images") and name not in ("patch_embedding", "label_reading", "soft_pooling"):
            state = last(
                entry(**({"iterations": 5} if "iterations" in entry.__dataclass_fields__ else {})),
                seen(made(), batch, told=told),
            )
            assert state.outcome is not None
            assert state.candidate.isfinite().all()


def test_several_pictures_are_matched():
    batch = replace(smooth_batch(2, SIZE, dtype=torch.float64), labels=torch.tensor([0, 1]))
    for source in ({"told": True}, {"told": False}, {"told": False, "label_source": LabelSource.JOINT}):
        states = list(GradientMatching(iterations=30).reconstruct(seen(made(), batch, **source), stream(0, "candidate")))
        distances = [state.terms["distance"] for state in states]
        assert min(distances) < 0.5 * distances[0]
    assert last(Recursive(iterations=3), seen(made(), batch)).candidate.isfinite().all()


def test_a_capture_tells_it(tmp_path):
    model, batch = made(), of([1, 0])
    stepper, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.BCEWithLogitsLoss()
    with capturing(model, tmp_path / "update.safetensors"):
        criterion(model(batch.images), batch.labels.double().view(-1, 1)).backward()
        stepper.step()
    observed = lab.observe(model, tmp_path / "update.safetensors", labels=batch.labels)
    assert observed.protocol == FedAvg(local_steps=1, learning_rate=0.1, loss=BCEWithLogits())
    for name, tensor in observed.protocol.update(observed.network, batch.images, batch.labels).items():
        torch.testing.assert_close(tensor, observed.update[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("answers", [[0], [1], [0, 1, 1]], ids=str)
def test_the_doctor_says_it_and_names_a_wrong_answer(answers):
    model = made()
    batch = replace(Gallery().load(len(answers), SIZE, stream(0, "data")), labels=torch.tensor(answers))
    batch = replace(batch, inputs=batch.images.double())
    for told in (True, False):
        found = lab.diagnose(seen(model, batch, told=told))
        assert "one logit, so each picture's label is a yes (class 1) or a no (class 0)" in " ".join(found.looks)
        assert not found.findings
    if len(answers) == 1:
        observed = seen(model, batch)
        (wrong,) = lab.diagnose(replace(observed, labels=1 - batch.labels)).findings
        assert wrong.name == "labels"
        assert f"Give class {answers[0]}" in wrong.sentence


def test_what_one_logit_does_not_take_is_told_in_a_sentence():
    batch = of([1])
    update = torchs(LOSSES[0], made(), batch)
    for loss in entries("loss").values():
        if not loss.takes_one_logit:
            with pytest.raises(LabError, match=r"of a single class the client's loss tells nothing.*loss=BCEWithLogits"):
                lab.observe(made(), update, input_shape=(3, SIZE, SIZE), protocol=FedSGD(loss=loss()))
    for wrong in (2, -1):
        with pytest.raises(LabError, match="give numbers from 0 to 1"):
            lab.observe(made(), update, input_shape=(3, SIZE, SIZE), labels=[wrong], protocol=FedSGD(loss=LOSSES[0]))
