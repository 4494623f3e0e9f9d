"""What is said of a model of one's own calls its layers as their owner does."""

import itertools
import re

import pytest
import torch
from torch import nn
from torch.nn import functional

import lab
from lab.federated.given_names import NAME_OF_A_PART
from lab.options.catalogue import entries
from lab.randomness import stream

LABS_OWN = re.compile(r"\b(features|head)\b\.")


class Named(nn.Module):
    """Layers of odd names, a pooling that is a function, and a hidden layer before the logits."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Sigmoid())
        self.hidden, self.top = nn.Linear(4 * 4 * 4, 40), nn.Linear(40, 10)

    def forward(self, images):
        values = functional.max_pool2d(self.stem(images), 2).flatten(1)
        return self.top(functional.relu(self.hidden(values)))


class Opaque(Named):
    """The same where no trace takes it apart."""

    def forward(self, images):
        return super().forward(images.new_tensor(images.tolist()) if images.sum() > 1e9 else images)


class Headless(Named):
    """The same with a custom end."""

    def forward(self, images):
        return super().forward(images) * 1.5


def fresh(make):
    """A model with weights that are the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return make().eval()


def gradient(model, images, labels):
    loss = functional.cross_entropy(model(images), labels)
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True))


SPOILT = {
    "as it is": lambda u: u,
    "stem frozen": lambda u: {n: t * (not n.startswith("stem")) for n, t in u.items()},
    "top frozen": lambda u: {n: t * (not n.startswith("top")) for n, t in u.items()},
    "top alone": lambda u: {n: t for n, t in u.items() if n.startswith("top")},
    "no biases": lambda u: {n: t for n, t in u.items() if not n.endswith("bias")},
    "half off": lambda u: {n: t * (torch.arange(t.shape[-1]) % 2 if n == "hidden.weight" else 1) for n, t in u.items()},
    "turned": lambda u: {n: t.flip(0) if n == "top.bias" else t for n, t in u.items()},
}


def said(seen):
    """Every sentence that the doctor and each attack have for it."""
    yield from lab.diagnose(seen).sentences
    for attack in entries("attack").values():
        if not attack.suits(seen.modality):
            continue
        chosen = attack(iterations=2) if hasattr(attack, "iterations") else attack()
        try:
            for state in itertools.islice(lab.attack(seen, chosen), 20):
                yield state.note
        except lab.LabError as error:
            yield str(error)


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("model", [Named, Opaque, Headless])
def test_no_sentence_speaks_of_the_labs_own_parts(model, how):
    images = torch.rand(1, 3, 16, 16, generator=stream(1, "images"), dtype=torch.float32)
    own = fresh(model)
    seen = lab.observe(own, SPOILT[how](gradient(own, images, torch.tensor([3]))), input_shape=(3, 16, 16))
    assert [sentence for sentence in said(seen) if LABS_OWN.search(sentence)] == []


def test_layers_are_called_as_they_are_in_the_model():
    model = fresh(Named)
    images = torch.rand(1, 3, 16, 16, generator=stream(1, "images"), dtype=torch.float32)
    sent = gradient(model, images, torch.tensor([3]))
    seen = lab.observe(
        model, {name: tensor * (name != "hidden.weight") for name, tensor in sent.items()}, input_shape=(3, 16, 16)
    )
    assert "hidden.weight came as zeros" in " ".join(lab.diagnose(seen).sentences)
    pooled = list(lab.attack(lab.observe(model, sent, input_shape=(3, 16, 16)), lab.Recursive()))[-1]
    assert pooled.note.startswith("MaxPool2d keeps")


def test_a_layer_with_a_number_for_a_name_is_told_to_be_a_layer():
    model = fresh(lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 3)))
    seen = lab.observe(model, gradient(model, torch.ones(1, 3, 4, 4), torch.tensor([1])), input_shape=(3, 4, 4))
    assert seen.as_given("Nothing of head.0 was sent, nor of head.2.bias.") == "Nothing of layer 1 was sent, nor of 3.bias."
    assert NAME_OF_A_PART.findall("features of the head. Of features.0.weight and head.2.") == ["features.0.weight", "head.2"]
