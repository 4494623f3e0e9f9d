"""Defences against truths of their own: what each sends, over rounds and in a federation, and what it cannot be told."""

from dataclasses import replace

import pytest
import torch

from lab import Experiment, LabError
from lab.client.defences.base import Defence
from lab.client.defences.clipping import Clipping
from lab.client.defences.low_rank import LowRank
from lab.client.defences.quantisation import Quantisation
from lab.client.defences.top_k import TopK
from lab.experiments.links import read, write
from lab.federated.networks.mlp import MLP
from lab.federated.protocols.fedavg import FedAvg
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


@pytest.mark.parametrize(
    "words",
    [
        *("clipping:longest=0", "clipping:longest=inf", "clipping:longest=nan", "quantisation:bits=0", "quantisation:bits=33"),
        *("low_rank:rank=0", "top_k:strength=1.1", "top_k:strength=-1"),
    ],
)
def test_what_bounds_nothing_or_everything_is_refused_in_a_sentence(words):
    with pytest.raises(LabError, match=r"is out of range; give a value from .* to "):
        parse_entry(Defence, words)
