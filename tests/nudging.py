"""``pytest --nudge SEED``: every attack begins a rounding away, as it would on another processor.

One processor rounds a sum up where another rounds it down; a ReLU then falls the other way, and after a hundred steps two
runs of one attack are decibels apart. What a test says of an attack has to hold on both. So that this can be tried on one
machine, the option moves what an attack begins with, each number by 1e-7 of itself times a normal draw of SEED (of numbers
in double precision, by their own rounding):

- the weights that the server holds, and with them all algebra;
- the first candidate of every search; one that algebra hands over has moved with the weights.

An even SEED computes with one thread and an odd one with two, whatever the size of the network. A seed moves two attacks
on like observations alike, so what compares two runs bit for bit still may; what compares one with a number that is
written down, or with what was never nudged, carries the mark ``unnudged`` and is left out.
"""

from copy import deepcopy
from dataclasses import replace
from functools import wraps

import pytest
import torch

from lab.federated.inputs import as_mapping as tensors_of
from lab.machine import threads
from lab.options.catalogue import entries
from lab.randomness import stream

NUDGE = 1e-7
"""Half the distance of two neighbours in single precision, relative to them."""


def pytest_addoption(parser):
    parser.addoption("--nudge", type=int, metavar="SEED", help="move what attacks begin with by a rounding; odd: two threads")


def pytest_configure(config):
    config.addinivalue_line("markers", "unnudged(why): compares an attack with what is never nudged; left out by --nudge")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--nudge") is None:
        return
    for item in items:
        for mark in item.iter_markers("unnudged"):
            item.add_marker(pytest.mark.skip(reason=f"not under --nudge: {mark.args[0]}"))


@pytest.fixture(autouse=True)
def nudged(request, one_thread):
    """Every test's attacks, where the option is given."""
    seed = request.config.getoption("--nudge")
    if seed is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        nudge(patch, seed)
        yield


def nudge(patch, seed):
    """From now on each attack of the catalogue begins elsewhere, and computes with one thread or with two."""
    patch.setattr(threads, "SMALL_NETWORK", 0)
    torch.set_num_threads(1 + seed % 2)
    for modality in entries("modality").values():
        patch.setattr(modality, "start", _moved_start(modality.start, seed))
    for attack in entries("attack").values():
        patch.setattr(attack, "reconstruct", _by_moved_weights(attack.reconstruct, seed))


@torch.no_grad()
def move(tensor, generator):
    """Each number by 1e-7 of itself, or by its rounding, times a normal draw; in place."""
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
    tensor.mul_(1 + min(NUDGE, torch.finfo(tensor.dtype).eps) * noise)


def _moved_start(begin, seed):
    @wraps(begin)
    def moved(modality, *arguments, **named):
        start = begin(modality, *arguments, **named)
        for tensor in tensors_of(start).values():
            move(tensor, stream(seed, "nudge of the start"))
        return start

    return moved


def _by_moved_weights(reconstruct, seed):
    @wraps(reconstruct)
    def moved(attack, observation, *arguments, **named):
        return reconstruct(attack, _moved(observation, seed), *arguments, **named)

    return moved


def _moved(observation, seed):
    """With a network of its own, whose weights are moved; once, also where one attack hands over to another."""
    if hasattr(observation.network, "nudge"):
        return observation
    network, generator = deepcopy(observation.network), stream(seed, "nudge of the weights")
    network.nudge = seed
    for weights in network.parameters():
        move(weights, generator)
    return replace(observation, network=network)
