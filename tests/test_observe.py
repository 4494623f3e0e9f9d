"""Models that the lab has never seen, and updates in every form: attacked as they are, or refused in one sentence."""

import math
import re
import warnings
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
import torch
from of_pictures import of_pictures
from rounds import smooth_batch
from torch import nn
from torch.nn import functional
from torchvision import models

import lab
from lab.randomness import stream

SIZE = 16


class Functional(nn.Module):
    """A small CNN as people write them: functional ReLUs and poolings, a check of its input, a reshape by hand."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 32, 3, 2, 1)
        self.out = nn.Linear(32 * (SIZE // 2) ** 2, 10)

    def forward(self, images):
        if images.shape[1] != 3:
            raise ValueError("three channels, please")
        values = functional.relu(self.second(functional.relu(self.first(images))))
        return self.out(values.view(values.size(0), -1))


class FunctionalMLP(nn.Module):
    """Fully connected, under a log-softmax and a dropout that is off."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3 * SIZE**2, 32), nn.Linear(32, 10)

    def forward(self, images):
        hidden = functional.dropout(torch.relu(self.first(torch.flatten(images, 1))), training=self.training)
        return functional.log_softmax(self.second(hidden), dim=1)


class Attentive(nn.Module):
    """Patches with a class token that look at one another; ``len`` keeps it from being traced."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 12, 4, 4)
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, 12)), nn.Parameter(0.1 * torch.randn(1, 17, 12))
        self.mix, self.head = nn.MultiheadAttention(12, 2, batch_first=True), nn.Linear(12, 10)

    def forward(self, images):
        patches = self.patch(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(patches), -1, -1), patches], 1) + self.place
        return self.head((tokens + self.mix(tokens, tokens, tokens, need_weights=False)[0])[:, 0])


class Spare(nn.Module):
    """A layer that takes no part."""

    def __init__(self):
        super().__init__()
        self.body, self.spare = convolutions(), nn.Linear(4, 4)

    def forward(self, images):
        return self.body(images)


class Tied(nn.Module):
    """One convolution used twice."""

    def __init__(self):
        super().__init__()
        self.stem, self.twice, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(512, 10)

    def forward(self, images):
        return self.head(self.twice(self.twice(self.stem(images).tanh()).tanh()).flatten(1))


class Repeated(nn.Module):
    """As tutorials write it: one pooling and one activation, each used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5), nn.Linear(16, 10)
        self.pool, self.kink = nn.MaxPool2d(2, 2), nn.ReLU()

    def forward(self, images):
        values = self.pool(self.kink(self.second(self.pool(self.kink(self.first(images))))))
        return self.head(values.view(-1, 16))


class TiedHead(nn.Module):
    """The last layer's weights are those of the one below it."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3 * SIZE**2, 10), nn.Linear(10, 10), nn.Linear(10, 10)
        self.third.weight = self.second.weight

    def forward(self, images):
        return self.third(torch.sigmoid(self.second(torch.sigmoid(self.first(images.flatten(1))))))


def mlp(*, bias=True):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 32, bias=bias), nn.ReLU(), nn.Linear(32, 10, bias=bias))


def convolutions(*extra):
    layers = nn.Conv2d(3, 8, 3, 1, 1), *extra, nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(inplace=True)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * (SIZE // 2) ** 2, 10))


def frozen_first():
    model = convolutions()
    model[0].requires_grad_(False)
    return model


MODELS = {
    "MLP": mlp,
    "MLP without biases": lambda: mlp(bias=False),
    "functional MLP": lambda: FunctionalMLP().eval(),
    "CNN": convolutions,
    "functional CNN": Functional,
    "resnet18": lambda: models.resnet18(num_classes=10).eval(),
    "squeezenet": lambda: models.squeezenet1_1(num_classes=10).eval(),
    "mobilenet": lambda: models.mobilenet_v2(num_classes=10, width_mult=0.25).eval(),
    "attention": Attentive,
    "unused layer": Spare,
    "frozen layer": frozen_first,
    "tied layers": Tied,
    "layers used twice": Repeated,
    "tied head": TiedHead,
    "batch norm in train mode": lambda: convolutions(nn.BatchNorm2d(8)),
    "double precision": lambda: convolutions().double(),
}
SIZES = {"resnet18": 32, "squeezenet": 32, "mobilenet": 32}


def made(name):
    """The model with weights of its own stream."""
    return fresh(MODELS[name])


def fresh(build):
    """What is built, drawn from a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return build()


def captured(model, size=SIZE, pictures=1):
    """Pictures, labels and the gradient as ``torch.autograd.grad`` gives it."""
    batch = smooth_batch(pictures, size=size, dtype=next(model.parameters()).dtype)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    value = functional.cross_entropy(model(batch.images), batch.labels)
    return batch, torch.autograd.grad(value, weights, allow_unused=True)


def seen_of(name, pictures=1, **granted):
    model, size = made(name), SIZES.get(name, SIZE)
    batch, update = captured(model, size, pictures)
    return batch, lab.observe(model, update, input_shape=(3, size, size), batch_size=pictures, **granted)


def end(seen, attack=None, iterations=40):
    chosen = replace(attack, iterations=iterations) if hasattr(attack, "iterations") else attack
    *states, last = lab.attack(seen, chosen)
    assert last.outcome is not None
    assert torch.isfinite(last.candidate).all()
    return states, last


@pytest.mark.parametrize("name", MODELS)
def test_matching_works_on_any_model(name):
    """The distance falls: the model that is attacked is the client's, with all its weights in their places."""
    batch, seen = seen_of(name, labels=[0])
    truth = seen.protocol.update(seen.network, batch.images.to(next(seen.network.parameters()).dtype), batch.labels)
    for weight, tensor in seen.update.items():
        assert torch.allclose(truth[weight], tensor, rtol=1e-3, atol=1e-5 * float(tensor.abs().max()) + 1e-12)
    states, last = end(seen, lab.GradientMatching(), 4 if name in SIZES else 12)
    assert last.terms["distance"] < states[0].terms["distance"]


QUICK = [name for name in MODELS if name not in (*SIZES, "CNN", "functional CNN", "unused layer", "double precision")]


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("attack", [entry() for entry in of_pictures("attack").values()], ids=lambda attack: attack.name)
def test_every_attack_ends_on_any_model_or_says_why_not(name, attack):
    for granted in ({}, {"label_source": lab.LabelSource.JOINT}):
        _, seen = seen_of(name, **granted)
        try:
            end(seen, attack, 2)
        except lab.LabError as error:
            assert str(error).endswith(".")  # noqa: PT017


@pytest.mark.parametrize("name", ["MLP", "functional MLP"])
def test_a_fully_connected_model_is_read_off_exactly(name):
    """By Proposition 3.1, by the way down, and by what is recommended; labels inferred."""
    batch, seen = seen_of(name)
    for attack in (lab.Analytic(), lab.Recursive(), None):
        _, last = end(seen, attack)
        assert last.outcome is lab.ClosedFormOutcome.EXACT
        assert float((last.candidate - batch.images).abs().max()) < 1e-4
        assert last.labels is None or last.labels.tolist() == batch.labels.tolist()
    assert lab.score(last, batch, seen=seen).verdict is lab.Verdict.RECOGNISABLE


def test_a_convolutional_model_is_undone_layer_by_layer():
    batch, seen = seen_of("functional CNN")
    _, last = end(seen, lab.Recursive())
    assert last.layers
    assert float((last.candidate - batch.images).abs().max()) < 0.05


LABELLED = [name for name in MODELS if name not in ("squeezenet", "tied head")]


@pytest.mark.parametrize("name", LABELLED)
def test_labels_are_read_off_the_last_layer(name):
    batch, seen = seen_of(name)
    *_, last = lab.attack(seen, lab.LabelReading())
    assert last.labels.tolist() == batch.labels.tolist()


@pytest.mark.parametrize("name", ["squeezenet", "tied head"])
def test_where_no_linear_layer_makes_the_logits_no_other_is_read_for_one(name):
    _, seen = seen_of(name)
    with pytest.raises(lab.LabError, match="Labels cannot be inferred: this network ends in no linear layer"):
        list(lab.attack(seen, lab.LabelReading()))
    _, told = seen_of(name, labels=[0])
    *_, last = lab.attack(told, lab.Analytic())
    assert last.outcome is lab.ClosedFormOutcome.NO_LINEAR_LAYER


def named(model, update):
    weights = [name for name, weight in model.named_parameters() if weight.requires_grad]
    given = {name: weight.new_zeros(weight.shape) for name, weight in model.named_parameters() if weight.requires_grad}
    return given | {name: tensor for name, tensor in zip(weights, update, strict=True) if tensor is not None}


FORMS = {
    "list": list,
    "generator": iter,
    "numpy": lambda update: [tensor.numpy() for tensor in update],
    "by name": lambda update: named(made("CNN"), update),
    "by name, reordered": lambda update: dict(reversed(named(made("CNN"), update).items())),
    "of a wrapped model": lambda update: {f"module.{k}": v for k, v in named(made("CNN"), update).items()},
    "double": lambda update: [tensor.double() for tensor in update],
    "in a graph": lambda update: [tensor.clone().requires_grad_() for tensor in update],
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_an_update_changes_nothing(form):
    model = made("CNN")
    _, update = captured(model)
    plain, changed = (lab.observe(model, given, input_shape=(3, SIZE, SIZE)) for given in (update, FORMS[form](update)))
    assert all(torch.equal(tensor, plain.update[name]) for name, tensor in changed.update.items())
    assert list(changed.update) == list(plain.update)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_cast_once(dtype):
    model = made("CNN")
    _, update = captured(model)
    seen = lab.observe(model, [tensor.to(dtype) for tensor in update], input_shape=(3, SIZE, SIZE))
    for sent, tensor in zip(seen.update.values(), update, strict=True):
        assert torch.equal(sent, tensor.to(dtype).float())
    halved = lab.observe(made("CNN").to(dtype), update, input_shape=(3, SIZE, SIZE))
    assert any("half precision" in note for note in halved.notes)
    assert next(halved.network.parameters()).dtype is torch.float32


def test_a_state_dictionary_in_order_is_known_by_its_statistics():
    """As Flower's clients send it: parameters and buffers, in one list."""
    model = fresh(lambda: convolutions(nn.BatchNorm2d(8)).eval())
    _, update = captured(model)
    by_name = named(model, update)
    state = [by_name.get(name, value).detach().numpy() for name, value in model.state_dict().items()]
    seen = lab.observe(model, state, input_shape=(3, SIZE, SIZE))
    assert [tuple(tensor.shape) for tensor in seen.update.values()] == [tuple(weight.shape) for weight in model.parameters()]


NOTED = {
    "a missing name": ("CNN", lambda update: {k: v for k, v in update.items() if k != "0.bias"}, r"The update lacks 0\.bias"),
    "an unused layer": ("unused layer", lambda update: update, r"does not use spare\.bias, spare\.weight"),
    "a frozen layer": ("frozen layer", lambda update: update, r"Frozen, and left out: 0\.weight, 0\.bias"),
    "numbers of an unused layer": (
        "unused layer",
        lambda update: {**update, "spare.bias": torch.ones(4)},
        r"not zero there: spare\.bias",
    ),
    "batch norm": ("batch norm in train mode", lambda update: update, r"Batch norm is in train mode \(1\)"),
    "no trace": ("attention", lambda update: update, "cannot be taken apart, so closed forms reach what enters its last"),
    "tied weights": ("tied head", lambda update: update, "ends in no linear layer with weights of its own"),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_is_left_out_or_put_right_is_said(case):
    name, change, sentence = NOTED[case]
    model = made(name)
    _, update = captured(model)
    seen = lab.observe(model, change(named(model, update)), input_shape=(3, SIZE, SIZE), labels=[0])
    assert sum(bool(re.search(sentence, note)) for note in seen.notes) == 1
    *_, last = lab.attack(seen, lab.GradientMatching(iterations=2))
    assert all(note in last.note for note in seen.notes)


class Random(nn.Module):
    """What is drawn at random, by a layer or by a function."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(3 * SIZE**2, 10)

    def forward(self, images):
        values = images.flatten(1)
        values = self.layer(values) if self.layer else functional.dropout(values, training=self.training)
        return self.out(values)


@pytest.mark.parametrize("layer", [nn.Dropout(0.3), nn.AlphaDropout(0.3), None], ids=lambda layer: type(layer).__name__)
def test_chance_in_train_mode_is_said_and_left_out(layer):
    """And torch's own random numbers stay where they were (``no_global_randomness`` looks after every test)."""
    model = fresh(lambda: Random(layer))
    update = [torch.ones_like(weight) for weight in model.parameters()]
    seen = lab.observe(model.train(), update, input_shape=(3, SIZE, SIZE))
    assert any("draws at random" in note for note in seen.notes)
    images = torch.rand(2, 3, SIZE, SIZE, generator=stream(0, "chance"))
    assert torch.equal(seen.network(images), seen.network(images))
    assert not lab.observe(model.eval(), update, input_shape=(3, SIZE, SIZE)).notes


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_left_as_it_was(name):
    model, size = made(name), SIZES.get(name, SIZE)
    _, update = captured(model, size)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [(module.training, dict(vars(module)).get("inplace")) for module in model.modules()]
    flags = [weight.requires_grad for weight in model.parameters()]
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = lab.observe(model, update, input_shape=(3, size, size), labels=[0])
        for _ in lab.attack(seen, lab.GradientMatching(iterations=1)):
            assert torch.get_num_threads() == threads
    assert [(module.training, dict(vars(module)).get("inplace")) for module in model.modules()] == modes
    assert [weight.requires_grad for weight in model.parameters()] == flags
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_pixels_are_sought_in_front_of_the_normalisation():
    model, batch = made("MLP"), smooth_batch(size=SIZE)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    normal = (batch.images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    update = torch.autograd.grad(functional.cross_entropy(model(normal), batch.labels), list(model.parameters()))
    for given in ((mean, std), (list(mean), np.array(std)), (torch.tensor(mean), torch.tensor(std))):
        seen = lab.observe(model, update, input_shape=(3, SIZE, SIZE), mean=given[0], std=given[1])
        assert float((end(seen)[1].candidate - batch.images).abs().max()) < 1e-4


def test_local_steps_are_attacked_as_such():
    model, batch = made("CNN"), smooth_batch(2, size=SIZE)
    protocol = lab.FedAvg(local_steps=3, learning_rate=1e-2)
    change = protocol.update(model, batch.images, batch.labels)
    seen = lab.observe(model, change, input_shape=(3, SIZE, SIZE), labels=batch.labels, protocol=protocol)
    states, last = end(seen, lab.GradientMatching(), 20)
    assert last.terms["distance"] < 0.5 * states[0].terms["distance"]


def update_of(model):
    return {name: torch.ones_like(weight) for name, weight in model.named_parameters()}


class Tuple(nn.Sequential):
    """Gives more than logits."""

    def forward(self, images):
        return super().forward(images), images


CNN = "CNN"
SHAPE = (3, SIZE, SIZE)
REFUSED = {
    "spare names": (CNN, {"0.weigth": torch.ones(8, 3, 3, 3)}, {}, r"names 0\.weigth, which the model does not have"),
    "reordered list": (CNN, lambda u: list(u.values())[::-1], {}, r"Number 0 of the update \(counted from 0\) has the shape"),
    "short list": (CNN, lambda u: list(u.values())[:3], {}, r"a list of 3 tensors, and the model has 6 parameters"),
    "long list": (
        CNN,
        lambda u: [*u.values(), *u.values()],
        {},
        r"a list of more than 6 tensors, and the model has 6 parameters",
    ),
    "a list without an end": (CNN, lambda _: repeat(torch.zeros(1)), {}, r"a list of more than 6 tensors"),
    "a shape without an end": (CNN, lambda u: u, {"input_shape": repeat(0.5)}, r"is not the shape of a picture"),
    "one tensor": (CNN, lambda u: torch.cat([t.flatten() for t in u.values()]), {}, r"and this is one Tensor"),
    "a path": (CNN, lambda _: "update.pt", {}, r"There is no capture update"),
    "nothing": (CNN, lambda _: None, {}, r"and this is one NoneType"),
    "an empty mapping": (CNN, lambda _: {}, {}, r"names none of the network's parameters|is empty"),
    "NaN": (CNN, lambda u: u | {"2.bias": torch.full((8,), math.nan)}, {}, r"8 of the 8 numbers of 2\.bias are NaN"),
    "another shape": (CNN, lambda u: u | {"2.bias": torch.ones(9)}, {}, r"2\.bias of the update has the shape \(9,\)"),
    "flat pictures": (CNN, lambda u: u, {"input_shape": (768,)}, r"input_shape = \(768,\) is not the shape of a picture"),
    "another size": (CNN, lambda u: u, {"input_shape": (3, 8, 8)}, r"cannot take pictures of the shape \(3, 8, 8\)"),
    "other channels": ("functional CNN", lambda u: u, {"input_shape": (1, 16, 16)}, r"ValueError: three channels, please"),
    "labels beyond": (CNN, lambda u: u, {"labels": [10]}, r"reach beyond the model's 10 classes"),
    "labels as text": (CNN, lambda u: u, {"labels": "cat"}, r"labels = 'cat' are no class numbers"),
    "soft labels": (CNN, lambda u: u, {"labels": torch.full((1, 10), 0.1)}, r"are no class numbers"),
    "several labels": (CNN, lambda u: u, {"labels": torch.ones(1, 10)}, r"cross_entropy takes one class for each picture"),
    "too few labels": (CNN, lambda u: u, {"labels": [1], "batch_size": 2}, r"There are 1 labels for batch_size = 2"),
    "no pictures": (CNN, lambda u: u, {"batch_size": 0}, r"batch_size = 0 is not possible"),
    "no std": (CNN, lambda u: u, {"std": 0.0}, r"std = 0\.0 is not possible"),
    "two means": (CNN, lambda u: u, {"mean": (0.1, 0.2)}, r"mean = \(0\.1, 0\.2\) is not possible"),
    "no protocol": (CNN, lambda u: u, {"protocol": "fedsgd"}, r"protocol = 'fedsgd' is no protocol"),
    "known without labels": (CNN, lambda u: u, {"label_source": lab.LabelSource.KNOWN}, r"needs labels"),
    "zeros": ("frozen layer", lambda u: {"0.weight": torch.zeros(8, 3, 3, 3)}, {}, r"nothing but zeros"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_attacked_is_refused_in_a_sentence(case):
    name, change, granted, sentence = REFUSED[case]
    model = made(name)
    update = update_of(model) | change if isinstance(change, dict) else change(update_of(model))
    with pytest.raises(lab.LabError, match=sentence) as caught:
        lab.observe(model, update, **{"input_shape": SHAPE, **granted})
    assert str(caught.value).endswith(".")


NO_MODELS = {
    "a path": (lambda: "model.pt", "is no torch.nn.Module"),
    "no parameters": (nn.Flatten, "has no parameters"),
    "without numbers": (lambda: nn.Linear(3, 3, device="meta"), "has no numbers yet in weight, bias"),
    "lazy": (lambda: nn.LazyLinear(3), "has no numbers yet in weight, bias"),
    "a tuple of outputs": (lambda: Tuple(*mlp()), "gives a tuple and not a tensor"),
    "maps of logits": (lambda: nn.Conv2d(3, 10, 1), r"gives numbers of the shape \(1, 10, 16, 16\) for 1 pictures"),
    "one logit": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 1)),
        "gives 1 number for each picture, and of a single class",
    ),
    "weights of NaN": (lambda: nn.Sequential(nn.Flatten(), filled(math.nan)), "own weights are no finite numbers"),
    "weights too large": (lambda: nn.Sequential(nn.Flatten(), filled(3e38)), "logits are no finite numbers"),
}


def filled(value):
    layer = nn.Linear(768, 10)
    nn.init.constant_(layer.weight, value)
    return layer


@pytest.mark.parametrize("case", NO_MODELS)
def test_what_is_no_classifier_is_refused_in_a_sentence(case):
    build, sentence = NO_MODELS[case]
    model = fresh(build)
    update = update_of(model) if isinstance(model, nn.Module) and case not in ("without numbers", "lazy") else {}
    with pytest.raises(lab.LabError, match=sentence):
        lab.observe(model, update, input_shape=SHAPE)


def test_what_is_no_attack_no_observation_or_no_truth_is_refused_in_a_sentence():
    batch, seen = seen_of("MLP")
    *_, last = lab.attack(seen)
    refused = (
        (lambda: lab.attack(None), "seen = None is no observation"),
        (lambda: lab.attack(seen, "recursive"), "attack = 'recursive' is no attack"),
        (lambda: lab.score(seen, batch), "is no state of an attack"),
        (lambda: lab.score(last, "a picture"), "truth = 'a picture' is no batch of pictures"),
        (lambda: lab.score(last, batch.images[0]), r"truth has the shape \(3, 16, 16\)"),
        (lambda: lab.score(last, 255 * batch.images), "numbers beyond 0 and 1"),
    )
    for ask, sentence in refused:
        with pytest.raises(lab.LabError, match=sentence):
            ask()


def test_a_score_is_the_same_whichever_way_the_truth_is_given():
    attacked = lab.simulate_round(lab.Experiment(network=lab.MLP(), labels=lab.LabelSource.INFERRED))
    *_, last = lab.attack(attacked.observation, lab.Analytic())
    assert lab.score(last, attacked) == lab.score(attacked, last)
    alone, whole = lab.score(last, attacked.batch.images.numpy()), lab.score(last, attacked)
    assert alone.psnr_db == whole.psnr_db
    assert (alone.label_accuracy, alone.max_abs_error, alone.by_input[0].label) == (None, None, None)
    asked = lab.score(last, attacked.batch, seen=attacked.observation)
    assert (asked.label_accuracy, asked.max_abs_error) == (whole.label_accuracy, whole.max_abs_error)
