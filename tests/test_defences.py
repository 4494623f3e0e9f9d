"""Defences against truths of their own: what each sends, over rounds and in a federation, and what it cannot be told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from of_pictures import of_pictures
from rounds import observe, random_batch
from torch.nn.functional import one_hot

from lab import Experiment, LabError
from lab.client.defences.base import Defence, TrainingDefence
from lab.client.defences.clipping import Clipping
from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.dropout import Dropout
from lab.client.defences.low_rank import LowRank
from lab.client.defences.mixup import Mixup
from lab.client.defences.quantisation import Quantisation
from lab.client.defences.soteria import Soteria
from lab.client.defences.top_k import TopK
from lab.client.defending import trained
from lab.client.representation import last_layer
from lab.experiments.links import read, write
from lab.federated.gradients import trainable
from lab.federated.losses.base import Reduction
from lab.federated.losses.cross_entropy import CrossEntropy
from lab.federated.networks.base import Activation
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.updates import flat, length
from lab.federation.settings import Federation
from lab.federation.training import federate
from lab.options.catalogue import entries
from lab.options.text import parse_entry, to_text
from lab.randomness import stream

DEFENCES = [pytest.param(entry, id=name) for name, entry in entries("defence").items()]
SMALL = Federation(
    network=MLP(depth=2, width=8), clients=3, rounds=2, pictures=12, protocol=FedAvg(local_steps=2, batch_size=6)
)


def drawn(seed=0):
    generator = stream(seed, "update")
    shapes = {"convolution": (8, 3, 3, 3), "weight": (10, 40), "bias": (10,), "silent": (4, 5)}
    update = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return update | {"silent": torch.zeros(4, 5)}


def sent(defence, update, seed=0):
    return defence.apply(update, stream(seed, "defence"))


@pytest.mark.parametrize("entry", DEFENCES)
def test_each_travels_in_words_links_and_files(entry):
    for defence in (entry(), entry.weakest(), entry.strongest()):
        assert parse_entry(Defence, to_text(defence)) == defence
        chosen = Experiment(defences=(defence, defence))
        assert read(write(chosen)).experiment == chosen
        assert Experiment.from_plain(chosen.to_plain()) == chosen


@pytest.mark.parametrize("entry", DEFENCES)
def test_in_a_federation_the_weakest_changes_nothing_and_the_strongest_something(entry):
    def last(*defences):
        *_, played = federate(replace(SMALL, defences=defences))
        return played

    plain, weakest = last(), last(entry.weakest())
    for name, weights in plain.before.items():
        torch.testing.assert_close(weakest.before[name], weights)
    strongest = last(entry.strongest())
    assert any(not torch.equal(strongest.sent[0][name], plain.sent[0][name]) for name in plain.before)


def test_clipping_keeps_the_direction():
    update = drawn()
    for longest in (0.01, 1.0, 1e4):
        found = sent(Clipping(longest=longest), update)
        assert float(length(found)) == pytest.approx(min(longest, float(length(update))), rel=1e-5)
        torch.testing.assert_close(flat(found) / length(found), flat(update) / length(update))


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_so_many_bits_have_so_many_values_and_the_nearest_ones(bits, stochastic):
    update = drawn()
    found = sent(Quantisation(bits=bits, stochastic=stochastic), update)
    for name, tensor in found.items():
        assert len(tensor.unique()) <= 2**bits
        assert tensor.any() == update[name].any()
        step = float(update[name].abs().max()) / max(1, 2 ** (bits - 1) - 1)
        off = float((tensor - update[name]).abs().max())
        assert bits == 1 or off <= (1 if stochastic else 0.5) * step * (1 + 1e-4)
    if bits == 1 and not stochastic:
        assert all(torch.equal(tensor.sign(), update[name].sign()) for name, tensor in found.items())


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_rounding_by_chance_is_right_on_average(bits):
    """Truth: the mean of 4,000 draws is as far off as chance has it."""
    update = {"weight": torch.linspace(-1, 1, 7)}
    generator, draws = stream(0, "defence"), 4000
    found = sum(Quantisation(bits=bits, stochastic=True).apply(update, generator)["weight"] for _ in range(draws)) / draws
    step = 2.0 if bits == 1 else 1 / (2 ** (bits - 1) - 1)
    assert float((found - update["weight"]).abs().max()) < 4 * step / 2 / draws**0.5


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_sends_the_nearest_matrix_of_that_rank(rank):
    """Truth: Eckart and Young; what is left is as long as the singular values left out."""
    update = drawn()
    found = sent(LowRank(rank=rank), update)
    for name in ("convolution", "weight"):
        whole, kept = update[name].flatten(1), found[name].flatten(1)
        assert int(torch.linalg.matrix_rank(kept, rtol=1e-4)) == rank
        torch.testing.assert_close((whole - kept).norm(), torch.linalg.svdvals(whole)[rank:].norm())
    assert torch.equal(found["bias"], update["bias"])


def test_what_top_k_leaves_out_is_sent_in_a_later_round():
    defence, memory, total, all_sent = TopK(strength=0.8), {}, 0, 0
    for number in range(5):
        update = drawn(number)
        given, memory = defence.remembering(update, memory, stream(number, "defence"))
        total, all_sent = total + flat(update), all_sent + flat(given)
        assert int(flat(given).ne(0).sum()) <= round(0.2 * flat(update).numel()) + 1
    torch.testing.assert_close(all_sent + flat(memory), total, rtol=1e-4, atol=1e-5)


SHALLOW = [pytest.param(entry, id=name) for name, entry in of_pictures("network").items() if entry.image_size == 32]


@pytest.mark.parametrize("entry", SHALLOW)
def test_the_gradients_of_single_examples_are_those_of_batches_of_one(entry):
    """Truth: one backward pass for each; the general rule of a defence makes them so, too."""
    seen, batch = observe(entry(), random_batch(2)), random_batch(2)
    weights = trainable(seen.network)
    single = FedSGD().rule.each(seen.network, weights, batch.images, batch.labels)
    for place in range(2):
        one = slice(place, place + 1)
        alone = FedSGD().update(seen.network, batch.images[one], batch.labels[one])
        for name, tensor in alone.items():
            torch.testing.assert_close(single[name][place], tensor, rtol=1e-3, atol=1e-5)


def one_step(defence, batch, network, seed=0):
    generator = stream(seed, "defence")
    return trained([defence], FedSGD(), network, batch, generator)


def test_dp_sgd_clips_each_example_and_then_adds_noise_to_the_sum(monkeypatch):
    """Truth: clipping one by one; the noise by its mean and deviation over all numbers; in parts as at once."""
    batch = random_batch(6, (3, 8, 8))
    network = observe(MLP(depth=2, width=16), batch).network
    single = [FedSGD().update(network, batch.images[[k]], batch.labels[[k]]) for k in range(6)]
    longest = float(length(single[2]))
    factors = [min(1.0, longest / float(length(one))) for one in single]
    expected = sum(factor * flat(one) for factor, one in zip(factors, single, strict=True)) / 6
    clipped = flat(one_step(DPSGD(longest=longest, multiplier=0.0), batch, network))
    torch.testing.assert_close(clipped, expected)
    monkeypatch.setattr("lab.client.defences.dp_sgd.AT_ONCE", 2 * len(expected))
    torch.testing.assert_close(flat(one_step(DPSGD(longest=longest, multiplier=0.0), batch, network)), expected)
    noise = flat(one_step(DPSGD(longest=longest, multiplier=3.0), batch, network)) - expected
    assert float(noise.std()) == pytest.approx(3 * longest / 6, rel=0.05)
    assert abs(float(noise.mean())) < 4 * float(noise.std()) / len(noise) ** 0.5


@pytest.mark.parametrize("reduction", Reduction)
@pytest.mark.parametrize("entry", [entry for entry in entries("defence").values() if issubclass(entry, TrainingDefence)])
def test_a_defence_at_its_weakest_leaves_a_sum_a_sum(entry, reduction):
    batch, protocol = random_batch(4, (3, 8, 8)), FedSGD(loss=CrossEntropy(reduction))
    network = observe(MLP(depth=2, width=16), batch).network
    found = trained([entry.weakest()], protocol, network, batch, stream(0, "defence"))
    torch.testing.assert_close(flat(found), flat(protocol.update(network, batch.images, batch.labels)))


def test_mixup_is_training_on_mixtures_with_soft_labels():
    batch = random_batch(5, (3, 8, 8))
    network = observe(MLP(depth=2, width=16), batch).network
    found = one_step(Mixup(strength=2.0), batch, network)
    generator = stream(0, "defence")
    order = torch.randperm(5, generator=generator)
    drawn = torch.randint(2**31, (), generator=generator)
    weight = np.random.default_rng(int(drawn)).beta(2.0, 2.0)
    labels = one_hot(batch.labels, 10).float()
    mixed = weight * batch.images + (1 - weight) * batch.images[order]
    soft = FedSGD().update(network, mixed, weight * labels + (1 - weight) * labels[order])
    torch.testing.assert_close(flat(found), flat(soft))
    alone = replace(batch, inputs=batch.images[:1], labels=batch.labels[:1])
    torch.testing.assert_close(
        flat(one_step(Mixup(), alone, network)), flat(FedSGD().update(network, alone.images, alone.labels))
    )


def silent_columns(update):
    return update["head.2.weight"].eq(0).all(0)


def test_dropout_leaves_no_gradient_for_the_features_that_were_off():
    batch = random_batch(1, (3, 8, 8))
    network = observe(MLP(depth=2, width=400, activation=Activation.TANH), batch).network
    off = silent_columns(one_step(Dropout(strength=0.3), batch, network))
    assert float(off.double().mean()) == pytest.approx(0.3, abs=0.08)
    assert not torch.equal(off, silent_columns(one_step(Dropout(strength=0.3), batch, network, seed=1)))
    after = FedSGD().update(network, batch.images, batch.labels)
    assert not silent_columns(after).any(), "it stays when the training is over"


def test_soteria_leaves_out_the_features_that_tell_most():
    """Truth: a feature tanh(z), z = w x + b, moves with x by (1 - tanh^2) ||w / std||."""
    batch = random_batch(1, (3, 8, 8))
    network = observe(MLP(depth=2, width=40, activation=Activation.TANH), batch).network
    update = one_step(Soteria(strength=0.25), batch, network)
    with torch.no_grad():
        features = torch.tanh(network.head[0](network.embed(batch.images)))[0]
        std = network.normalise.std.expand(1, 3, 8, 8).flatten()
        telling = features.abs() / ((1 - features**2) * (network.head[0].weight / std).norm(dim=1))
    left_out = set(torch.nonzero(silent_columns(update))[:, 0].tolist())
    assert len(left_out) == 10
    assert len(left_out & set(telling.argsort(descending=True)[:10].tolist())) >= 8
    clean = FedSGD().update(network, batch.images, batch.labels)
    assert all(torch.equal(update[name], clean[name]) for name in clean if name != "head.2.weight")


def test_what_works_before_the_last_layer_needs_one():
    with pytest.raises(LabError, match="has no fully connected layer"):
        last_layer(torch.nn.ReLU())


@pytest.mark.parametrize(
    "words",
    [
        *("clipping:longest=0", "clipping:longest=inf", "clipping:longest=nan", "quantisation:bits=0", "quantisation:bits=33"),
        *("low_rank:rank=0", "top_k:strength=1.1", "top_k:strength=-1", "dropout:strength=1", "mixup:strength=inf"),
        *("dp_sgd:longest=0", "dp_sgd:longest=inf", "dp_sgd:multiplier=nan", "dp_sgd:multiplier=-1", "soteria:strength=2"),
    ],
)
def test_what_bounds_nothing_or_everything_is_refused_in_a_sentence(words):
    with pytest.raises(LabError, match=r"is out of range; give a value from .* to "):
        parse_entry(Defence, words)
