"""Options check themselves; every sentence says what was given, what is allowed, what to do."""

from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Annotated

import pytest

from lab import Experiment
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.matching.distances.cosine import Cosine
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.settings import Start
from lab.errors import LabError, unknown_name
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.resnet import ResNet
from lab.federated.protocols.fedavg import FedAvg
from lab.options.fields import Bounds, Choices, Field, Help, Option, fields_of
from lab.options.words import percent


@dataclass(frozen=True)
class Sample(Option):
    """Options of every type."""

    size: Annotated[float, Bounds(0.5, 2.0, log=True), Help("how large", "pixels")] = 1.0
    count: Annotated[int | None, Bounds(1, 5), Help("how many")] = None
    side: Annotated[int, Choices((32, 64)), Help("which")] = 32
    start: Annotated[Start, Help("where from")] = Start.GREY
    flag: Annotated[bool, Help("whether")] = False
    parts: Annotated[tuple[Option, ...], Help("what else")] = ()
    text: Annotated[str, Help("words")] = ""


def test_fields_hold_all_that_a_form_needs():
    assert fields_of(Sample)[0] == Field("size", float, 1.0, Bounds(0.5, 2.0, log=True), None, Help("how large", "pixels"))
    assert [field.name for field in fields_of(Sample)] == ["size", "count", "side", "start", "flag", "parts", "text"]
    assert fields_of(Sample)[2].choices == (32, 64)


def test_values_are_brought_to_their_type():
    sample = Sample(size=2, start="noise", parts=[Cosine()])
    assert isinstance(sample.size, float)
    assert sample.start is Start.NOISE
    assert sample.parts == (Cosine(),)
    assert Sample(count=3).count == 3


def test_options_are_frozen_and_compare_by_value():
    with pytest.raises(FrozenInstanceError):
        Sample().size = 2.0
    assert replace(Sample(), size=2.0) == Sample(size=2.0)
    with pytest.raises(LabError, match="out of range"):
        replace(Sample(), size=3.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 3.0}, "Sample: size = 3 is out of range; give a value from 0.5 to 2 pixels."),
        ({"size": 0}, "Sample: size = 0 is out of range; give a value from 0.5 to 2 pixels."),
        ({"size": float("nan")}, "Sample: size = nan is out of range; give a value from 0.5 to 2 pixels."),
        ({"size": float("inf")}, "Sample: size = inf is out of range; give a value from 0.5 to 2 pixels."),
        ({"size": "big"}, "Sample: size = 'big' must be a number."),
        ({"size": True}, "Sample: size = True must be a number."),
        ({"count": 1.5}, "Sample: count = 1.5 must be a whole number."),
        ({"count": 9}, "Sample: count = 9 is out of range; give a value from 1 to 5."),
        ({"side": 33}, "Sample: side = 33 is not possible; choose one of: 32, 64."),
        ({"flag": 1}, "Sample: flag = 1 must be true or false."),
        ({"text": None}, "Sample: text = None must be text."),
        ({"parts": Cosine()}, "Sample: parts = Cosine() must be a list."),
        ({"parts": ["x"]}, "Sample: parts = 'x' must be an Option."),
        (
            {"start": "nois"},
            "There is no value of Sample: start called 'nois'. Did you mean 'noise'? Choose one of: grey, noise.",
        ),
    ],
)
def test_a_wrong_value_is_one_clear_sentence(options, sentence):
    with pytest.raises(LabError) as caught:
        Sample(**options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Experiment(batch_size=0), "Experiment: batch_size = 0 is out of range; give a value from 1 to 100 pictures."),
        (lambda: Experiment(seed=-1), "seed = -1 is out of range"),
        (lambda: Experiment(network="lenet"), "Experiment: network = 'lenet' must be a network."),
        (lambda: GradientMatching(iterations=0), "gradient_matching: iterations = 0 is out of range"),
        (lambda: ConvNet(width=1000), "convnet: width = 1000 is out of range; give a value from 4 to 256."),
        (lambda: ResNet(depth=21), "resnet: depth = 21 is not possible; choose one of: 8, 14, 20, 32, 44, 56, 110."),
        (lambda: FedAvg(learning_rate=0), "fedavg: learning_rate = 0 is out of range"),
        (lambda: SignedAdam(step=-1.0), "signed_adam: step = -1 is out of range"),
        (lambda: LeNet(activation="relux"), "Did you mean 'relu'?"),
    ],
)
def test_the_catalogues_options_are_checked_too(make, sentence):
    with pytest.raises(LabError) as caught:
        make()
    assert sentence in str(caught.value)


def test_unknown_names_suggest_the_nearest():
    error = unknown_name("network", "lenett", ["lenet", "mlp"])
    assert str(error) == "There is no network called 'lenett'. Did you mean 'lenet'? Choose one of: lenet, mlp."
    assert "Did you mean" not in str(unknown_name("network", "zzz", ["lenet"]))


@pytest.mark.parametrize(
    ("share", "told"), [(0.0, "0 %"), (0.003, "0.3 %"), (0.0123, "1.2 %"), (0.84, "84 %"), (0.997, "100 %"), (1.0, "100 %")]
)
def test_a_share_is_told_in_plain_digits(share, told):
    assert percent(share) == told
