"""Secure aggregation: masks that cancel to the last bit, what the sum still tells, who breaks it, and who dropped out."""

import json
from dataclasses import replace

import pytest
import torch
from rounds import observe, random_batch

from lab.attacks.gradient_matching import GradientMatching
from lab.client.defences.dp_fedavg import DPFedAvg
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.commands import federating
from lab.commands.federation_attack import UpdateSelection
from lab.errors import LabError
from lab.evaluation.scoring import score
from lab.experiments.rounds import attack
from lab.federated.losses.base import Reduction
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.protocols.secure_sum import SecureSum
from lab.federated.updates import flat
from lab.federation.masking import UNIT, Masking, from_fixed_point, to_fixed_point
from lab.federation.privacy_guarantees import MEAN, guarantees
from lab.federation.server_views import observe_by_inconsistency, observe_client, observe_sum
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import federate
from lab.randomness import stream

SMALL = Federation(
    network=MLP(depth=2, width=8),
    clients=6,
    rounds=3,
    pictures=12,
    protocol=FedAvg(local_steps=2, batch_size=6, learning_rate=0.2),
    secure=True,
)
ALONE = Federation(network=SmallConvNet(width=8), clients=10, rounds=1, pictures=1, protocol=FedSGD(), secure=True)


def updates(clients):
    generator = stream(0, "updates")
    return {
        client: {"b": torch.randn(3, 4, generator=generator), "a": torch.randn(5, generator=generator)} for client in clients
    }


def last(settings, folder=None):
    *_, played = federate(settings, folder)
    return played


def difference(one, other):
    return float((flat(one) - flat({name: other[name] for name in one})).norm() / flat(one).norm())


@pytest.mark.parametrize(("clients", "gone"), [((0, 1), ()), ((3, 1, 8), (1,)), (tuple(range(9)), (0, 4, 8))])
def test_masks_cancel_to_the_last_bit_whoever_drops_out(clients, gone):
    """Truth: the sum of what those sent in fixed point who answered, and it is within rounding of the sum in the clear."""
    sent = updates(clients)
    like, masking = sent[clients[0]], Masking(seed=5, number=2, clients=clients)
    assert not sum(masking.pairwise_masks(client, like) for client in clients).any()
    arrived = {client: masking.add_masks(client, sent[client]) for client in clients if client not in gone}
    total = masking.remove_masks(arrived, like)
    assert torch.equal(total, sum(to_fixed_point(sent[client], len(clients)) for client in arrived))
    for name, tensor in from_fixed_point(total, like).items():
        clear = torch.stack([sent[client][name] for client in arrived]).double().sum(0)
        assert float((tensor.double() - clear).abs().max()) <= len(clients) / UNIT + 1e-6


def test_a_masked_update_tells_nothing_by_itself():
    """Uniform numbers: as many above zero as below, high bits as low ones, and other ones each round."""
    update = {"a": torch.full((20_000,), 0.25)}
    masking = Masking(seed=0, number=1, clients=(0, 1, 2))
    sent = masking.add_masks(1, update)
    for bit in (0, 31, 62):
        assert float((sent >> bit & 1).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float((sent > 0).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert len(sent.unique()) == len(sent)
    assert not torch.equal(sent, replace(masking, number=2).add_masks(1, update))
    without_own = sent - masking.self_mask(1, update)
    assert len((without_own - to_fixed_point(update, 3)).unique()) == len(sent), "pairs alone hide it as well"


def test_too_few_answers_and_too_large_numbers_are_told_in_a_sentence():
    masking, sent = Masking(seed=0, number=4, clients=tuple(range(6))), updates(range(6))
    arrived = {client: masking.add_masks(client, sent[client]) for client in range(3)}
    with pytest.raises(LabError, match="3 of 6 clients answered in round 4, and fewer than 4 unmask nothing"):
        masking.remove_masks(arrived, sent[0])
    with pytest.raises(LabError, match="too large for the fixed point"):
        masking.add_masks(0, {"a": torch.tensor([1e9])})
    with pytest.raises(LabError, match="too large for the fixed point"):
        last(replace(SMALL, defences=(DPFedAvg(longest=1e6, multiplier=1000.0),), rounds=1))


def test_a_federation_trains_under_masks_as_in_the_clear(tmp_path):
    masked, clear = last(SMALL), last(replace(SMALL, secure=False))
    assert difference(masked.before, clear.before) < 1e-6
    halted = federate(SMALL, tmp_path)
    next(halted)
    halted.close()
    assert difference(last(SMALL, tmp_path).before, masked.before) == 0


def test_whoever_drops_out_is_missing_and_too_few_move_nothing():
    settings = replace(SMALL, lost=0.3, rounds=8)
    rounds = list(federate(settings))
    counts = [len(played.sent) for played in rounds]
    assert 0 in counts
    assert all(count == 0 or 4 <= count <= 6 for count in counts)
    assert any(4 <= count < 6 for count in counts)
    place = counts[:-1].index(0)
    assert difference(rounds[place].before, rounds[place + 1].before) == 0
    with pytest.raises(LabError, match="so nothing was unmasked; choose another round"):
        observe_sum(Shards.of(settings), rounds[place])
    with pytest.raises(LabError, match="choose one of: nobody did, so another round"):
        observe_client(Shards.of(settings), rounds[place], 0)


def test_a_folder_of_before_there_were_masks_goes_on(tmp_path):
    settings = replace(SMALL, secure=False)
    last(settings, tmp_path)
    listing = tmp_path / "federation.json"
    kept = json.loads(listing.read_text(encoding="utf-8"))
    for new in ("secure", "lost"):
        del kept["settings"][new]
    listing.write_text(json.dumps(kept), encoding="utf-8")
    last(settings, tmp_path)
    with pytest.raises(LabError, match="other settings"):
        last(SMALL, tmp_path)


@pytest.mark.parametrize("reduction", Reduction)
@pytest.mark.parametrize("steps", [1, 3])
def test_what_is_sent_of_several_clients_is_the_mean_of_their_own_updates(steps, reduction):
    """Truth: each client alone. Of losses that are sums it is the sum; in the graph it is the same."""
    batch, loss = random_batch(6, (3, 8, 8), dtype=torch.float64), CrossEntropy(reduction)
    own = FedAvg(local_steps=steps, batch_size=1, learning_rate=0.05, loss=loss)
    together = SecureSum(clients=3, local_steps=steps, batch_size=1, learning_rate=0.05, loss=loss)
    network = observe(MLP(depth=2, width=8), batch).network
    alone = [own.update(network, batch.images[k : k + 2], batch.labels[k : k + 2]) for k in (0, 2, 4)]
    weight = 1 if reduction is Reduction.SUM else 1 / 3
    for differentiable in (False, True):
        found = together.update(network, batch.images, batch.labels, differentiable=differentiable)
        for name, tensor in found.items():
            torch.testing.assert_close(tensor, weight * sum(one[name] for one in alone))
    assert [rows.tolist() for rows in together.steps(6).rows] == [
        [step % 2 + start for start in (0, 2, 4)] for step in range(steps)
    ]
    assert SecureSum(clients=3).steps(6).rows[0] is None
    with pytest.raises(LabError, match="4 pictures cannot be shared out evenly among 3 clients"):
        together.update(network, batch.images[:4], batch.labels[:4])
    assert SecureSum(clients=3).steps(1).rows == FedAvg().steps(1).rows, "a sum of one is its update"


@pytest.mark.parametrize("protocol", [FedSGD(), FedAvg(local_steps=2, batch_size=1, learning_rate=0.01)], ids=lambda p: p.name)
def test_the_sum_is_what_its_pictures_send_together(protocol):
    settings = replace(ALONE, pictures=2, protocol=protocol, clients=4)
    seen = observe_sum(Shards.of(settings), last(settings))
    assert seen.observation.batch_size == 8
    assert difference(seen.clean_update, seen.observation.update) < 1e-6


@pytest.mark.parametrize("clients", [2, 5, 10])
def test_a_dishonest_server_gets_one_clients_update_out_of_the_sum(clients):
    """Truth: what that client sent; all but its last layer, which the others' are added to."""
    settings = replace(ALONE, clients=clients)
    shards, played = Shards.of(settings), last(settings)
    seen = observe_by_inconsistency(shards, played, 1).observation.update
    assert seen.keys() == {name for name in played.sent[1] if not name.startswith("head.0.")}
    assert difference(seen, played.sent[1]) < 1e-6
    honest = observe_sum(shards, played).observation.update
    assert difference({name: clients * honest[name] for name in seen}, played.sent[1]) > 0.1


def test_the_dishonest_server_finds_what_hides_among_ten():
    shards, played = Shards.of(ALONE), last(ALONE)
    found = []
    for seen in (observe_sum(shards, played), observe_by_inconsistency(shards, played, 3)):
        *_, state = attack(seen.observation, GradientMatching(iterations=60))
        found.append(score(state, seen).psnr_db)
    assert found[1] > found[0] + 6


def test_under_masks_the_promise_is_that_of_the_mean_with_the_noise_of_those_who_surely_answer():
    settings = replace(SMALL, defences=(DPFedAvg(multiplier=1.0),))
    (mean,) = guarantees(settings, Shards.of(settings), 1e-5)
    assert mean.seen == MEAN
    assert mean.mechanism.multiplier == pytest.approx(6**0.5)
    (fewer,) = guarantees(replace(settings, lost=0.2), Shards.of(settings), 1e-5)
    assert fewer.mechanism.multiplier == pytest.approx(4**0.5)


def test_the_command_shows_masks_in_numbers_and_attacks_the_sum(tmp_path):
    told = federating.run(
        replace(ALONE, clients=3), tmp_path, UpdateSelection(1, 2, 1), "gradient_matching:iterations=5"
    ).splitlines()
    table = [line.split() for line in told if line.split()[0].isdigit() or line.startswith("sum")]
    *rows, total = [row for row in table if len(row) == 4]
    assert len(rows) == 3
    assert sum(int(row[2]) for row in rows) == int(total[2])
    assert float(total[1]) == pytest.approx(int(total[2]) / UNIT, abs=1e-6)
    wrapped = (sum(int(row[3]) for row in rows) + 2**63) % 2**64 - 2**63
    assert wrapped == int(total[3])
    assert any(f"the sum under masks is {total[2]}, in the clear {total[2]}" in line for line in told)
    assert told[-1].startswith("The sum of 3 clients in round 1: ")
    dishonest = federating.run(
        replace(ALONE, clients=3), tmp_path, UpdateSelection(1, 2, 1, dishonest=True), "gradient_matching:iterations=5"
    ).splitlines()
    assert dishonest[-1].startswith("Client 2 in round 1: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampled": 1}, "which masks cannot hide; draw at least 2 clients"),
        ({"protocol": SecureSum()}, "take the protocol fedavg, and secure"),
        ({"lost": 1.0}, "give a value from 0 to 0.9"),
        ({"lost": float("nan")}, "give a value from 0 to 0.9"),
    ],
)
def test_what_cannot_be_masked_is_told_in_a_sentence(change, says):
    with pytest.raises(LabError, match=says):
        replace(SMALL, **change)


def test_what_the_server_needs_to_look_is_told_in_a_sentence(tmp_path):
    with pytest.raises(LabError, match="breaks secure aggregation to see one client; give --secure with it"):
        federating.run(replace(SMALL, secure=False), tmp_path, UpdateSelection(1, 2, 1, dishonest=True), None)
    uneven = replace(SMALL, pictures=0, rounds=1, defences=(GaussianNoise(),))
    with pytest.raises(LabError, match="pictures behind their updates, and a sum is attacked where all have as many"):
        observe_sum(Shards.of(uneven), last(uneven))
