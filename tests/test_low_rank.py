"""Low-rank pairs (LoRA): recognised by what they compute, read off where the equations tell, said where they do not."""

import pytest
import torch
from rounds import smooth_batch
from torch import nn
from torch.nn import functional
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import lab
from lab import LabError
from lab.attacks.analytic import Analytic
from lab.attacks.closed_form.outcomes import ClosedFormOutcome
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.label_reading import LabelReading
from lab.attacks.recursive import Recursive
from lab.federated.losses.bce_with_logits import BCEWithLogits
from lab.federated.low_rank import LowRankLinear
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream

SIZE, RANK = 8, 3
SHAPE = (3, SIZE, SIZE)


class Modules(nn.Module):
    """As libraries write it: two layers beside a frozen one."""

    def __init__(self, base, scale=2.0, bias=False):
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), scale
        self.lora_a = nn.Linear(base.in_features, RANK, bias=False)
        self.lora_b = nn.Linear(RANK, base.out_features, bias=False)
        if bias:
            base.bias.requires_grad_(True)

    def forward(self, values):
        return self.base(values) + self.scale * self.lora_b(nn.functional.dropout(self.lora_a(values), 0.5, self.training))


class Matrices(Modules):
    """Parameters and products, the weight updated before it is applied."""

    def forward(self, values):
        pair = self.lora_b.weight @ self.lora_a.weight
        return functional.linear(values, self.base.weight + pair * self.scale, self.base.bias)


class Guarded(Modules):
    """As ``peft`` has it: options by name, adapters in dictionaries, and questions about types on the way."""

    def __init__(self, base, scale=2.0, bias=False):
        nn.Module.__init__(self)
        self.base_layer, self.scaling, self.active = base.requires_grad_(False), {"default": scale}, ["default"]
        pair = nn.Linear(base.in_features, RANK, bias=False), nn.Linear(RANK, base.out_features, bias=False)
        self.lora_A, self.lora_B = (nn.ModuleDict({"default": half}) for half in pair)
        base.bias.requires_grad_(bias)

    def forward(self, values, *args, **kwargs):
        if kwargs.pop("adapter_names", None) is not None:
            raise ValueError(args)
        result = self.base_layer(values, *args, **kwargs)
        for name in self.active:
            down = self.lora_A[name]
            cast = values if values.dtype == down.weight.dtype else values.to(down.weight.dtype)
            result = result + self.lora_B[name](down(cast)) * self.scaling[name]
        return result.to(values.dtype)


class PeftModel(nn.Module):
    """As ``peft`` wraps a model: its names have two parts more, and its forward pass takes anything."""

    def __init__(self, model):
        super().__init__()
        self.base_model = nn.ModuleDict({"model": model})

    def get_base_model(self):
        return self.base_model["model"]

    def forward(self, *args, **kwargs):
        return self.get_base_model()(*args, **kwargs)


PeftModel.__module__ = "peft.peft_model"


class Bent(Modules):
    """No pair: something bends between its halves."""

    def forward(self, values):
        return self.base(values) + self.lora_b(self.lora_a(values).tanh())


def made(kind=Modules, activation=nn.ReLU, body=False, seed=0, zero=False, **more):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        below = [nn.Conv2d(3, 4, 3, 2, 1), nn.Sigmoid(), nn.Flatten()] if body else [nn.Flatten()]
        inputs = 4 * (SIZE // 2) ** 2 if body else 3 * SIZE**2
        layers = [kind(nn.Linear(inputs, 24), **more), activation(), kind(nn.Linear(24, 10), **more)]
        model = nn.Sequential(*below, *layers).double().eval()
    for module in model:
        if zero and isinstance(module, Modules):
            nn.init.zeros_(module.lora_b.weight)
        if isinstance(module, nn.Conv2d):
            module.requires_grad_(False)
    return model


def pictures(count=1, seed=0):
    batch = smooth_batch(count, SIZE, seed, torch.float64)
    return batch.images, torch.arange(count) + 3 + seed


def seen(model, images, labels, told=True):
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    sent = torch.autograd.grad(cross_entropy(model(images), labels), list(weights.values()))
    known = {"labels": labels} if told else {"batch_size": len(labels)}
    return lab.observe(model, dict(zip(weights, sent, strict=True)), input_shape=SHAPE, **known)


def last(observed, attack=None):
    *_, state = lab.attack(observed, attack)
    return state


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("kind", [Modules, Matrices])
def test_a_pair_is_recognised_by_what_it_computes(kind, zero):
    model = made(kind, zero=zero)
    images, labels = pictures(3)
    observed = seen(model, images, labels)
    found = [layer for layer in observed.network.head if isinstance(layer, LowRankLinear)]
    assert [layer.scale for layer in found] == pytest.approx([2.0, 2.0])
    for layer, own in zip(found, (model[1], model[3]), strict=True):
        assert torch.equal(layer.down, own.lora_a.weight)
        torch.testing.assert_close(layer.weight, own.base.weight + 2 * own.lora_b.weight @ own.lora_a.weight)
    torch.testing.assert_close(observed.network(images), model(images))
    again = observed.protocol.update(observed.network, images, labels)
    assert again.keys() == observed.update.keys()
    for name, tensor in again.items():
        torch.testing.assert_close(tensor, observed.update[name])


def test_what_computes_something_else_is_no_pair_and_is_matched():
    images, labels = pictures()
    observed = seen(made(Bent), images, labels)
    assert not any(isinstance(module, LowRankLinear) for module in observed.network.modules())
    assert last(observed, GradientMatching(iterations=3)).candidate.isfinite().all()


@pytest.mark.parametrize("told", [True, False], ids=["labels", "no labels"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("more", [{}, {"bias": True}], ids=["pair", "pair and bias"])
@pytest.mark.parametrize("kind", [Modules, Matrices, Guarded])
def test_one_picture_is_read_off(kind, more, activation, told):
    for seed in range(2):
        images, labels = pictures(seed=seed)
        observed = seen(made(kind, activation, seed=seed, **more), images, labels, told)
        state = last(observed)
        assert state.outcome is ClosedFormOutcome.EXACT
        assert float((state.candidate - images).abs().max()) < 1e-3
        assert state.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("listed", [False, True])
def test_a_model_in_the_wrapper_of_peft_is_read_off(listed):
    images, labels = pictures()
    model = PeftModel(made(Guarded))
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    sent = torch.autograd.grad(cross_entropy(model(images), labels), list(weights.values()))
    update = list(sent) if listed else dict(zip(weights, sent, strict=True))
    state = last(lab.observe(model, update, input_shape=SHAPE, labels=labels))
    assert state.outcome is ClosedFormOutcome.EXACT
    assert float((state.candidate - images).abs().max()) < 1e-3


def test_behind_a_body_that_does_not_train_its_features_are_read_off():
    images, labels = pictures()
    model = made(body=True)
    state = last(seen(model, images, labels), Analytic())
    assert state.outcome is ClosedFormOutcome.FEATURES_ONLY
    torch.testing.assert_close(state.features, model[:3](images).detach(), rtol=1e-3, atol=1e-4)


def test_in_a_first_round_it_is_said_how_little_is_told():
    images, labels = pictures()
    observed = seen(made(zero=True), images, labels)
    for attack in (Analytic(), Recursive(iterations=2)):
        state = last(observed, attack)
        assert f"of the 24 numbers that enter it only {RANK} sums are told" in state.note
    assert last(observed, GradientMatching(iterations=2)).candidate.isfinite().all()


def test_several_pictures_are_a_mixture_and_matched():
    images, labels = pictures(2)
    observed = seen(made(), images, labels)
    assert last(observed, Analytic()).outcome is ClosedFormOutcome.MIXTURE
    states = list(GradientMatching(iterations=40).reconstruct(observed, stream(0, "candidate")))
    distances = [state.terms["distance"] for state in states]
    assert min(distances) < 0.5 * distances[0]
    with pytest.raises(LabError, match=r"of 2 pictures 3\.lora_b\.weight, one of a low-rank pair, tells a mixture"):
        last(seen(made(), images, labels, told=False))


@pytest.mark.parametrize("zero", [False, True])
def test_the_doctor_names_what_was_frozen_and_nothing_else(zero):
    images, labels = pictures()
    found = lab.diagnose(seen(made(zero=zero), images, labels)).findings
    assert [one.name for one in found][:1] == ["frozen"]
    assert not {one.name for one in found} - {"frozen"}


def test_a_head_alone_tells_what_enters_it():
    """Of a convolutional network whose body is frozen."""
    images, labels = pictures()
    model = made(body=True)
    model = nn.Sequential(*model[:3], model[3].base.requires_grad_(True))
    observed = seen(model, images, labels)
    assert list(observed.update) == ["head.0.weight", "head.0.bias"]
    state = last(observed, Analytic())
    assert state.outcome is ClosedFormOutcome.FEATURES_ONLY
    torch.testing.assert_close(state.features, model[:3](images).detach())
    assert last(observed).candidate.isfinite().all()


@pytest.mark.parametrize("answer", [0, 1])
def test_of_one_logit_a_pair_tells_no_answer_and_it_is_asked_for(answer):
    """Both tensors are the same of a yes and of a no to the negative picture, whose length they do not tell."""
    for seed in range(2):
        images, labels = pictures(seed=seed)[0], torch.tensor([answer])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Flatten(), Modules(nn.Linear(3 * SIZE**2, 1))).double().eval()
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        value = binary_cross_entropy_with_logits(model(images)[:, 0], labels.double())
        sent = dict(zip(weights, torch.autograd.grad(value, list(weights.values())), strict=True))
        asked = {"input_shape": SHAPE, "protocol": FedSGD(loss=BCEWithLogits())}
        told = last(lab.observe(model, sent, labels=labels, **asked), Analytic()).candidate
        assert torch.corrcoef(torch.stack([told.flatten(), images.flatten()]))[0, 1] > 0.99
        untold = lab.observe(model, sent, **asked)
        for attack in (Analytic(), LabelReading()):
            with pytest.raises(LabError, match=r"one logit.*Let the server know the labels"):
                last(untold, attack)
