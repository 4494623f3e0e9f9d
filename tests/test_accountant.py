"""Epsilon: against Opacus run on the same client, who is worst off in a federation, and what no promise is made for."""

import math
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rounds import smooth_batch
from torch import nn
from torch.nn import functional

from lab.client.accountant import Guarantee, Mechanism, epsilon
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.mixup import Mixup
from lab.client.defences.pruning import Pruning
from lab.commands import federating
from lab.errors import LabError
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federation.privacy_guarantees import guarantee_sentences, guarantees
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.options.words import percent, rounded

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    opacus = pytest.importorskip("opacus", reason="pip install .[opacus]")

ROOT = Path(__file__).parent.parent
SMALL = Federation(
    network=MLP(width=8), clients=4, sampled=3, rounds=5, pictures=24, protocol=FedAvg(local_steps=3, batch_size=8)
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("multiplier", "batch", "epochs"), [(1.0, 4, 2), (0.6, 10, 3), (3.0, 20, 1)])
def test_epsilon_is_that_of_opacus_run_on_the_same_client(multiplier, batch, epochs):
    """Truth: a client of 20 pictures that trains under Opacus' own engine, whose hooks count the steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = smooth_batch(20, size=8)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
        data = torch.utils.data.TensorDataset(images.images, images.labels)
        engine = opacus.PrivacyEngine(accountant="rdp")
        private, optimiser, loader = engine.make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            data_loader=torch.utils.data.DataLoader(data, batch_size=batch),
            noise_multiplier=multiplier,
            max_grad_norm=1.0,
        )
        steps = 0
        for _ in range(epochs):
            for pixels, labels in loader:
                optimiser.zero_grad()
                functional.cross_entropy(private(pixels), labels).backward()
                optimiser.step()
                steps += 1
    for delta in (1e-5, 1e-2):
        found = epsilon(Mechanism(multiplier, batch / 20, steps), delta)
        assert found == pytest.approx(engine.get_epsilon(delta), abs=1e-6)


def test_more_noise_fewer_steps_and_smaller_shares_promise_more():
    base = Mechanism(1.0, 0.2, 20)
    for better in (replace(base, multiplier=2.0), replace(base, rate=0.1), replace(base, steps=10)):
        assert epsilon(better, 1e-5) < epsilon(base, 1e-5)
    assert epsilon(replace(base, steps=0), 1e-5) == 0
    assert epsilon(replace(base, multiplier=0.0), 1e-5) == math.inf
    assert all(math.isfinite(epsilon(replace(base, multiplier=extreme), 1e-5)) for extreme in (1e-3, 1000.0))


@pytest.mark.parametrize("protocol", [FedSGD(), SMALL.protocol], ids=lambda protocol: protocol.name)
def test_an_examples_promise_is_that_of_the_client_who_is_worst_off(protocol):
    settings, defence = replace(SMALL, protocol=protocol), DPSGD(multiplier=2.0)
    shards = Shards.of(settings)
    (found,) = guarantees(replace(settings, defences=(defence,)), shards, 1e-5)
    steps, size = (3, 8) if isinstance(protocol, FedAvg) else (1, 24)
    drawn = [sum(client in settings.drawn(number) for number in range(1, 6)) for client in range(4)]
    each = [
        epsilon(Mechanism(2.0, min(size, len(own)) / len(own), steps * drawn[client]), 1e-5)
        for client, own in enumerate(shards.owned)
    ]
    assert found.epsilon == max(each)


def test_a_clients_promise_is_better_where_the_mean_alone_is_seen():
    """The noise of a mean grows with the clients, against what one of them can change."""
    settings = replace(SMALL, defences=(DPFedAvg(multiplier=1.0), Pruning()))
    seen, mean = guarantees(settings, Shards.of(settings), 1e-5)
    assert mean.epsilon < seen.epsilon
    assert mean.mechanism == Mechanism(3**0.5, 3 / 4, 5)
    assert seen.mechanism == Mechanism(1.0, 1.0, 5)


def test_what_looks_at_the_examples_again_breaks_the_promise():
    shards = Shards.of(SMALL)
    for defences, says in [
        ((Mixup(), DPSGD()), "epsilon = "),
        ((DPSGD(), Mixup()), "none is promised, for mixup comes after dp_sgd"),
        ((DPSGD(multiplier=0.0),), "none, for there is no noise"),
        ((DPSGD(multiplier=0.1),), "promises next to nothing"),
    ]:
        (told,) = guarantee_sentences(replace(SMALL, defences=defences), shards, 1e-5)
        assert says in told
    assert guarantee_sentences(SMALL, shards, 1e-5) == []


def test_a_promise_is_told_in_words():
    told = str(Guarantee.of("example", "every update", Mechanism(2.0, 0.1, 10), 1e-5))
    found = epsilon(Mechanism(2.0, 0.1, 10), 1e-5)
    assert f"epsilon = {rounded(found, 3)} at delta = 1e-05" in told
    assert f"more than {rounded(math.exp(found), 3)} times likelier, but for a chance of 1e-05" in told


def test_the_command_tells_it(tmp_path):
    settings = replace(SMALL, rounds=1, defences=(DPSGD(), DPFedAvg()))
    told = federating.run(settings, tmp_path, None, None, 1e-3)
    assert told.count("at delta = 0.001") == 3


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan, math.inf])
def test_a_delta_that_is_no_chance_is_told_in_a_sentence_before_anybody_trains(delta, tmp_path):
    with pytest.raises(LabError, match="is out of range; give a chance above 0 and below 1"):
        federating.run(replace(SMALL, defences=(DPSGD(),)), tmp_path, None, None, delta)
    assert not any(tmp_path.iterdir())


def test_without_opacus_the_sentence_says_how_to_get_it_and_the_training_goes_on(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    told = federating.run(replace(SMALL, rounds=1, defences=(DPSGD(),)), tmp_path, None, None)
    assert "4 clients trained for 1 rounds" in told
    assert "pip install 'inverting-gradients-lab[opacus]'" in told


def test_large_numbers_have_their_thousands_apart_and_no_exponent():
    assert [rounded(number, 2) for number in (0.0123, 96.14, 1762.0, 123_456.0, 2.5e7)] == [
        "0.012",
        "96",
        "1,800",
        "120,000",
        "2.5·10⁷",
    ]


def test_a_share_has_no_exponent_wherever_it_is_told():
    """To two digits ``:.2g`` writes all of it as 1e+02 %."""
    assert [percent(share) for share in (0.00012, 0.0423, 0.999, 1.0, 17.6)] == [
        "0.012 %",
        "4.2 %",
        "100 %",
        "100 %",
        "1,800 %",
    ]
    sources = [path for room in ("lab", "widgets") for path in (ROOT / room).rglob("*.py")]
    assert len(sources) > 500
    assert [str(path) for path in sources if ":.2g} %" in path.read_text(encoding="utf-8")] == []
