"""An update of zeros: whoever speaks of it says that nothing was sent, and claims neither label nor residual."""

import pytest
import torch
from torch import nn

import lab
from lab.evaluation.evidence import Assessment, evidence
from lab.federated.networks.small_convnet import SmallConvNet
from lab.options.catalogue import entries
from lab.randomness import stream

MODELS = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 20), nn.ReLU(), nn.Linear(20, 5)),
    "convolutions": lambda: SmallConvNet(width=4).build((3, 8, 8), 5, stream(0, "weights")),
}
ATTACKS = [name for name, attack in entries("attack").items() if attack.suits("images")]


def observed(model, **told):
    with torch.random.fork_rng(devices=[]):
        made = MODELS[model]().eval()
    zeros = {name: torch.zeros_like(weight) for name, weight in made.named_parameters()}
    return lab.observe(made, zeros, input_shape=(3, 8, 8), **told)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("told", [{}, {"batch_size": 2}, {"labels": [1]}], ids=["one", "two", "labels known"])
def test_no_attack_claims_a_label_or_a_residual(name, model, told):
    seen = observed(model, **told)
    kind = entries("attack")[name]
    attack = kind(iterations=2) if hasattr(kind, "iterations") else kind()
    if not kind.seeks_inputs:
        with pytest.raises(lab.LabError, match="every shared number is zero"):
            list(lab.attack(seen, attack))
        return
    state = list(lab.attack(seen, attack))[-1]
    assert state.labels is None or "labels" in told
    found = evidence(seen, state)
    assert found.belief is Assessment.NOTHING_SENT
    assert (found.residual, found.hidden) == (None, None)
    assert not any("unexplained" in sentence for sentence in found.sentences)


@pytest.mark.parametrize("model", MODELS)
def test_the_doctor_names_it_alone(model):
    assert [found.name for found in lab.diagnose(observed(model)).findings] == ["nothing_sent"]


@pytest.mark.parametrize("kept", ["features", "head"])
def test_parts_that_came_as_zeros_are_frozen_and_no_dropout(kept):
    made = SmallConvNet(width=16).build((3, 16, 16), 5, stream(0, "weights"))
    images = torch.rand(1, 3, 16, 16, generator=stream(1, "images"), dtype=torch.float32)
    gradient = lab.FedSGD().update(made, images, torch.tensor([2]))
    sent = {name: tensor * name.startswith(kept) for name, tensor in gradient.items()}
    named = [found.name for found in lab.diagnose(lab.observe(made, sent, input_shape=(3, 16, 16))).findings]
    assert "frozen" in named
    assert "dropout" not in named
