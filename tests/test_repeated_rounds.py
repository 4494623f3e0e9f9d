"""A server that asks again and again: what a defence draws by chance fades in the mean, and no bound is passed."""

from dataclasses import replace
from weakref import WeakSet

import pytest
import torch

from lab import Experiment, LabError
from lab.attacks.analytic import Analytic
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.digits import Digits
from lab.client.datasets.gallery import Gallery
from lab.client.datasets.split import Split
from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.dropout import Dropout
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.mixup import Mixup
from lab.client.defences.pruning import Pruning
from lab.client.defences.quantisation import Quantisation
from lab.client.defences.top_k import TopK
from lab.commands import federating
from lab.commands.federation_attack import UpdateSelection
from lab.evaluation.scoring import score
from lab.experiments.cost import cost
from lab.experiments.rounds import reconstruct, simulate_round
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.updates import flat
from lab.federation.archive import Archive
from lab.federation.server_views import observe_client, observe_client_mean
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import federate
from lab.modalities.images.privacy_bounds import bound_with_prior_db

TINY = Experiment(network=MLP(depth=2, width=16), image_size=8)
SLOW = Federation(
    network=MLP(depth=1),
    clients=5,
    rounds=16,
    pictures=0,
    protocol=FedSGD(),
    server_rate=1e-4,
    defences=(GaussianNoise(strength=1.0),),
)
"""A server that hardly moves its weights."""


def off(experiment):
    """How far what is attacked is from the update without a defence, relative to it."""
    attacked = simulate_round(experiment)
    clean, sent = flat(attacked.clean_update), flat(attacked.observation.update)
    return float((sent - clean).norm() / clean.norm())


@pytest.mark.parametrize(
    "defence",
    [GaussianNoise(strength=1.0), Quantisation(bits=2, stochastic=True), Quantisation(bits=1, stochastic=True), Dropout()],
    ids=["noise", "three values by chance", "signs by chance", "dropout"],
)
def test_what_is_drawn_by_chance_fades_as_the_root_of_the_rounds(defence):
    """Truth: the deviation of a mean of independent draws; asked once, it is the round as it always was."""
    alone = off(replace(TINY, defences=(defence,)))
    for rounds in (4, 25):
        assert off(replace(TINY, defences=(defence,), rounds=rounds)) == pytest.approx(alone / rounds**0.5, rel=0.35)


def test_what_top_k_left_out_is_paid_by_and_by():
    """Truth: after R rounds all but what is left in memory was sent, so that R times the mean is R g - e."""
    found = [off(replace(TINY, defences=(TopK(strength=0.9),), rounds=rounds)) for rounds in (1, 5, 20)]
    assert found[0] > 1.5 * found[1] > 2 * found[2]


def test_without_chance_and_memory_asking_again_brings_nothing():
    once = simulate_round(replace(TINY, defences=(Pruning(strength=0.5),)))
    often = simulate_round(replace(TINY, defences=(Pruning(strength=0.5),), rounds=7))
    torch.testing.assert_close(flat(often.observation.update), flat(once.observation.update))
    bare = simulate_round(replace(TINY, rounds=7))
    assert torch.equal(flat(bare.observation.update), flat(bare.clean_update))
    assert not bare.observation.notes
    assert "asked 7 times at the same weights" in often.observation.notes[0]


def test_what_one_round_hides_twenty_give_away():
    """Noise as long as the gradient: PSNR and SSIM rise from 1 to 5 to 20 rounds."""
    scores = []
    for rounds in (1, 5, 20):
        experiment = Experiment(
            dataset=Gallery(first="cat"),
            network=SmallConvNet(width=16),
            defences=(GaussianNoise(strength=1.0),),
            rounds=rounds,
            attack=GradientMatching(iterations=60),
        )
        attacked = simulate_round(experiment)
        *_, last = reconstruct(experiment, attacked.observation)
        scores.append(score(last, attacked))
    assert scores[2].psnr_db > scores[1].psnr_db + 0.5 > scores[0].psnr_db + 1
    assert scores[2].ssim > scores[1].ssim + 0.02 > scores[0].ssim + 0.04


@pytest.mark.parametrize(("multiplier", "rounds"), [(0.7, 1), (3.0, 5), (3.0, 20), (20.0, 100)])
def test_no_measured_picture_lies_above_the_bound_composed_over_the_rounds(multiplier, rounds):
    """Six digits under DP-SGD; the mean of R updates is as one with 1 / sqrt(R) of the noise."""
    pixels, _ = Digits().everything(Split.TRAIN)
    bound = bound_with_prior_db(pixels.float() / 255, multiplier, rounds)
    assert bound < 60, "it says something"
    for seed in range(6):
        experiment = Experiment(
            dataset=Digits(),
            network=MLP(depth=1),
            image_size=8,
            defences=(DPSGD(multiplier=multiplier),),
            rounds=rounds,
            attack=Analytic(),
            seed=seed,
        )
        attacked = simulate_round(experiment)
        *_, last = reconstruct(experiment, attacked.observation)
        assert score(last, attacked).psnr_db <= bound


def test_asking_often_costs_the_client_as_often():
    noisy = replace(TINY, defences=(Mixup(),))
    assert cost(replace(noisy, rounds=20)).round_products == 20 * cost(noisy).round_products
    assert cost(replace(TINY, rounds=20)).round_products == cost(TINY).round_products


def test_in_a_federation_the_mean_of_a_clients_rounds_is_attacked():
    shards, rounds = Shards.of(SLOW), list(federate(SLOW))
    truth = flat(observe_client(shards, rounds[0], 2).clean_update)
    one, many = (
        float((flat(observe_client_mean(shards, taken, 2).observation.update) - truth).norm()) for taken in (rounds[:1], rounds)
    )
    assert many == pytest.approx(one / 4, rel=0.3)
    assert torch.equal(flat(observe_client_mean(shards, rounds[:1], 2).observation.update), flat(rounds[0].sent[2]))


def test_the_command_averages_and_composes_the_bound(tmp_path):
    settings = replace(SLOW, rounds=3, defences=(DPSGD(multiplier=3.0),))
    told = federating.run(settings, tmp_path, UpdateSelection.parsed("1-3:2"), "label_reading")
    assert "Client 2 in 3 rounds from 1 to 3: " in told
    alone = federating.run(settings, tmp_path, UpdateSelection.parsed("1:2"), "label_reading")
    assert "Client 2 in round 1: " in alone
    assert told.splitlines()[-1] != alone.splitlines()[-1]


def test_of_many_rounds_those_count_in_which_the_client_was_and_few_are_in_memory(tmp_path, monkeypatch):
    settings = replace(SLOW, sampled=2, defences=(DPSGD(multiplier=3.0),))
    rounds = {client: [n for n in range(1, 17) if client in settings.drawn(n)] for client in range(5)}
    client, drawn = next((client, drawn) for client, drawn in rounds.items() if drawn[0] > 1 and len(drawn) > 3)
    alive, most, read = WeakSet(), [0], Archive.played

    def counted(archive, point):
        played = read(archive, point)
        alive.add(played)
        most.append(len(alive))
        return played

    monkeypatch.setattr(Archive, "played", counted)
    many = federating.run(settings, tmp_path, UpdateSelection.parsed(f"1-16:{client}"), "label_reading")
    assert f"Client {client} in {len(drawn)} rounds from 1 to 16: " in many
    assert len(most) == 1 + len(drawn)
    assert max(most) <= 3
    monkeypatch.undo()
    once, alone = (
        federating.run(settings, tmp_path, UpdateSelection.parsed(place), "label_reading")
        for place in (f"1-{drawn[0]}:{client}", f"{drawn[0]}:{client}")
    )
    assert once == alone
    assert f"Client {client} in round {drawn[0]}: " in once


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":3", "1-:3", "-2:3", "1-2-3:4", "a:b", "1:3:4", "\u0663:1", "9" * 4000 + ":1"]
)
def test_what_is_no_place_is_told_in_a_sentence(text):
    with pytest.raises(LabError, match="give two whole numbers such as 1:3, or rounds such as 1-20:3") as refused:
        UpdateSelection.parsed(text)
    assert len(str(refused.value)) < 300


def test_what_has_no_mean_is_told_in_a_sentence(tmp_path):
    for place in ("3-2:1", "0-1:1", "1-17:1", "1-2:5"):
        with pytest.raises(LabError, match="a round from 1 to 16 and a client from 0 to 4"):
            federating.run(SLOW, tmp_path, UpdateSelection.parsed(place), None)
    with pytest.raises(LabError, match="Under masks a sum is of one round; give --look 1:1"):
        federating.run(replace(SLOW, secure=True), tmp_path, UpdateSelection.parsed("1-2:1"), None)
    fewer = replace(SLOW, pictures=2, rounds=2)
    with pytest.raises(LabError, match="had other pictures in round 2 than in round 1"):
        observe_client_mean(Shards.of(fewer), list(federate(fewer)), 1)
    assert not any(tmp_path.iterdir())
