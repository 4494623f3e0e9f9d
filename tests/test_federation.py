"""A whole federated training: against a plain loop, interrupted and resumed, split, attacked, and asked for the impossible."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from lab.attacks.analytic import Analytic
from lab.client.datasets.gallery import Gallery
from lab.client.defences.base import Defence
from lab.client.defences.clipping import Clipping
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.top_k import TopK
from lab.commands import federating
from lab.commands.federation_attack import UpdateSelection
from lab.errors import LabError
from lab.evaluation.scoring import score
from lab.experiments.rounds import attack
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federation.server_views import observe_client
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.split import dirichlet_split
from lab.federation.training import federate
from lab.randomness import stream

SMALL = Federation(
    network=MLP(depth=2, width=16),
    clients=4,
    sampled=3,
    rounds=3,
    pictures=20,
    protocol=FedAvg(local_steps=3, batch_size=8, learning_rate=0.2),
)


def final(settings, folder=None):
    """The weights before the last round and what was sent in it tell all that came before."""
    *_, last = federate(settings, folder)
    return last


def agree(one, other):
    assert one.point == other.point
    assert one.sent.keys() == other.sent.keys()
    for mine, its in [(one.before, other.before), *((one.sent[client], other.sent[client]) for client in one.sent)]:
        assert all(torch.equal(mine[name], its[name]) for name in mine)


@pytest.mark.parametrize("protocol", [FedSGD(), SMALL.protocol], ids=lambda protocol: protocol.name)
def test_a_federation_is_a_plain_loop_of_local_training_and_averaging(protocol):
    settings = replace(SMALL, protocol=protocol, server_rate=0.7)
    shards = Shards.of(settings)
    played = list(federate(settings))
    model = settings.network.build((1, 8, 8), 10, stream(settings.seed, "weights"))
    for number, found in enumerate(played, 1):
        for name, weights in model.named_parameters():
            torch.testing.assert_close(weights.detach(), found.before[name])
        assert len(found.sent) == settings.sampled
        moves = [plain_move(model, shards.batch(client, number), protocol) for client in found.sent]
        with torch.no_grad():
            for name, weights in model.named_parameters():
                weights.add_(0.7 * torch.stack([move[name] for move in moves]).mean(0))
    right = (model(shards.test).argmax(1) == shards.test_labels).double().mean()
    assert played[-1].point.accuracy == pytest.approx(float(right))


def plain_move(model, batch, protocol):
    """Where one client's training takes the weights; of the gradient alone one step of rate 1."""
    own = deepcopy(model)
    steps, size, rate = (3, 8, 0.2) if isinstance(protocol, FedAvg) else (1, len(batch), 1.0)
    stepper = torch.optim.SGD(own.parameters(), lr=rate)
    for step in range(steps):
        rows = [(step * size + k) % len(batch) for k in range(size)]
        stepper.zero_grad()
        cross_entropy(own(batch.images[rows]), batch.labels[rows]).backward()
        stepper.step()
    before = dict(model.named_parameters())
    return {name: (after - before[name]).detach() for name, after in own.named_parameters()}


def test_the_default_federation_learns_the_digits():
    assert final(Federation()).point.accuracy >= 0.92


def test_an_interrupted_federation_goes_on_to_the_same_weights(tmp_path):
    whole = final(SMALL)
    halted = federate(SMALL, tmp_path)
    next(halted)
    halted.close()
    agree(final(SMALL, tmp_path), whole)
    agree(final(SMALL, tmp_path), whole)
    with pytest.raises(LabError, match="federation with other settings; choose another folder"):
        final(replace(SMALL, seed=1), tmp_path)
    (tmp_path / "round-0002.safetensors").write_bytes(b"no tensors")
    with pytest.raises(LabError, match="missing or damaged; delete the folder"):
        final(SMALL, tmp_path)
    for kind in ("before/", "sent/"):
        kept = load_file(tmp_path / "round-0001.safetensors")
        kept[next(name for name in kept if name.startswith(kind))] = torch.zeros(1)
        save_file(kept, tmp_path / "round-0002.safetensors")
        with pytest.raises(LabError, match="of another network, or damaged; delete the folder"):
            final(SMALL, tmp_path)
    lacking = {name: tensor for name, tensor in kept.items() if name.endswith("weight")}
    save_file(lacking, tmp_path / "round-0002.safetensors")
    with pytest.raises(LabError, match="of another network, or damaged; delete the folder"):
        final(SMALL, tmp_path)
    listing = (tmp_path / "federation.json").read_text(encoding="utf-8")
    for damaged in ("{", *(listing.replace('"number": 1', f'"number": {number}') for number in ("1e999", "[]", "null"))):
        (tmp_path / "federation.json").write_text(damaged)
        with pytest.raises(LabError, match=r"federation.json is damaged; delete"):
            final(SMALL, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        *({kind: dtype} for kind in ("before/", "sent/") for dtype in (torch.complex64, torch.float8_e4m3fn, torch.int64)),
        *({f"memory/0/{place}/rest": torch.zeros(1)} for place in (16, 999_999_999, -1)),
    ],
    ids=str,
)
def test_a_kept_round_with_what_no_round_has_is_damaged_and_makes_nothing_large(changed, tmp_path):
    """A few bytes may name a place beyond all bounds, and numbers that no weight is."""
    next(federate(SMALL, tmp_path))
    kept = load_file(tmp_path / "round-0001.safetensors")
    for name, content in changed.items():
        is_kind = isinstance(content, torch.dtype)
        place = next(own for own in kept if own.startswith(name)) if is_kind else name
        kept[place] = kept[place].to(content) if is_kind else content
    save_file(kept, tmp_path / "round-0001.safetensors")
    with pytest.raises(LabError, match="missing or damaged; delete the folder"):
        final(SMALL, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [lambda memory: memory * torch.nan, lambda memory: memory[:1], lambda memory: memory[None], lambda memory: memory.long()],
    ids=["NaN", "too few", "another dimension", "whole numbers"],
)
def test_a_kept_memory_that_no_update_can_be_added_to_is_damaged(wrong, tmp_path):
    settings = replace(SMALL, defences=(TopK(strength=0.9),))
    next(federate(settings, tmp_path))
    kept = load_file(tmp_path / "round-0001.safetensors")
    name = next(own for own in kept if own.startswith("memory/") and kept[own].dim() > 1)
    save_file(kept | {name: wrong(kept[name]).contiguous()}, tmp_path / "round-0001.safetensors")
    with pytest.raises(LabError, match="missing or damaged; delete the folder"):
        final(settings, tmp_path)


def test_a_federation_goes_on_where_only_the_first_of_two_defences_remembers(tmp_path):
    settings = replace(SMALL, defences=(TopK(strength=0.9), Clipping()), sampled=0, rounds=2)
    next(federate(settings, tmp_path))
    agree(final(settings, tmp_path), final(settings))


def test_a_round_that_was_kept_has_its_clients_in_the_order_in_which_they_are_added_up(tmp_path):
    settings = replace(SMALL, clients=12, sampled=0, rounds=1)
    (played,), (again,) = list(federate(settings, tmp_path)), list(federate(settings, tmp_path))
    assert list(again.sent) == list(played.sent) == list(range(12))


@pytest.mark.parametrize("concentration", [0.05, 0.5, 1000.0])
def test_every_picture_has_one_client(concentration):
    labels = torch.arange(3000) % 10
    owned = dirichlet_split(labels, 5, concentration, stream(1, "split"))
    assert sorted(torch.cat(owned).tolist()) == list(range(3000))
    largest = max(float((labels[own] == 3).sum()) / 300 for own in owned)
    assert largest < 0.3 if concentration > 1 else largest > 0.3


def test_what_the_server_sees_of_a_client_is_its_update_alone_and_can_be_attacked():
    settings = replace(SMALL, protocol=FedSGD(), pictures=1, sampled=0, rounds=2)
    shards, last = Shards.of(settings), final(settings)
    seen = observe_client(shards, last, client=2)
    assert all(torch.equal(seen.observation.update[name], tensor) for name, tensor in last.sent[2].items())
    *_, end = attack(seen.observation, Analytic())
    assert score(end, seen).line_up_rank == 1
    with pytest.raises(LabError, match="sent nothing in round 2; choose one of: 0, 1, 3"):
        observe_client(shards, replace(last, sent={client: last.sent[client] for client in (0, 1, 3)}), client=2)


@dataclass(frozen=True)
class Broken(Defence):
    """Gives something that is no update."""

    kind: ClassVar[str] = "no part of the catalogue"
    how: str = "nan"

    def apply(self, update, generator):
        made = {"nan": lambda tensor: tensor * torch.nan, "shape": lambda tensor: tensor.flatten()[:1]}
        return {} if self.how == "names" else {name: made[self.how](tensor) for name, tensor in update.items()}


@pytest.mark.parametrize(("how", "says"), [("nan", "not finite"), ("shape", "names or shapes"), ("names", "names or shapes")])
def test_a_defence_that_gives_no_update_is_told_in_a_sentence(how, says):
    with pytest.raises(LabError, match=says):
        final(replace(SMALL, defences=(GaussianNoise(), Broken(how=how))))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampled": 5}, "draw at most 4, or 0 for all"),
        ({"clients": 1}, "give a value from 2 to 100 clients"),
        ({"dataset": Gallery()}, "has no training part to share out; choose one of: cifar10"),
        ({"clients": 100, "sampled": 0, "concentration": 0.01}, "without a picture; take a larger concentration"),
        ({"network": ConvNet()}, "cannot take pictures of 8 x 8 pixels"),
        ({"server_rate": 100.0, "rounds": 60, "defences": (GaussianNoise(strength=100.0),)}, "The training diverged"),
    ],
)
def test_what_cannot_be_trained_is_told_in_a_sentence(change, says):
    with pytest.raises(LabError, match=says):
        final(replace(SMALL, **change))


def test_updates_that_do_not_fit_are_told_before_anybody_trains(monkeypatch):
    monkeypatch.setattr("lab.machine.resources.memory", lambda: 1e4)
    with pytest.raises(LabError, match="draw fewer clients for a round, or take a narrower network"):
        next(federate(SMALL))


def test_under_masks_an_update_takes_the_room_of_whole_numbers_too(monkeypatch):
    weights = sum(tensor.nbytes for tensor in next(federate(SMALL)).before.values())
    monkeypatch.setattr("lab.machine.resources.memory", lambda: weights * (2 + 3 * SMALL.per_round))
    next(federate(SMALL))
    with pytest.raises(LabError, match="draw fewer clients for a round, or take a narrower network"):
        next(federate(replace(SMALL, secure=True)))


def test_the_command_trains_and_attacks(tmp_path):
    given = {"clients": 3, "rounds": 2, "pictures": 1, "protocol": "fedsgd", "network": "mlp:width=16", "seed": None}
    settings = federating.prepare(given | {"defences": ["pruning:strength=0.1"]}, None)
    told = federating.run(settings, tmp_path / "out", UpdateSelection.parsed("2:1"), "analytic")
    assert "3 clients trained for 2 rounds" in told
    assert "Client 1 in round 2: Recognisable" in told
    for place in ("3:1", "0:1", "1:3"):
        with pytest.raises(LabError, match="a round from 1 to 2 and a client from 0 to 2") as refused:
            federating.run(settings, tmp_path, UpdateSelection.parsed(place), None)
        assert len(str(refused.value)) < 300
    with pytest.raises(LabError, match="two whole numbers such as 1:3"):
        UpdateSelection.parsed("first")
    with pytest.raises(LabError, match="name its round and its client by --look"):
        federating.run(settings, tmp_path, None, "analytic")
