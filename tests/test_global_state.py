"""What the lab does depends on its arguments alone, and leaves no trace in what all threads share."""

import io
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from of_pictures import of_pictures
from PIL import Image
from torch import nn

from lab import Experiment, reconstruct, score, simulate_round
from lab.attacks.base import Attack, AttackState
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.mlp import MLP
from lab.federated.networks.resnet import ResNet
from lab.federated.networks.vgg11 import VGG11
from lab.federated.networks.vision_transformer import VisionTransformer
from lab.files import data_folder
from lab.machine import resources, threads
from lab.modalities.images.codec import decode_picture
from lab.options.fields import fields_of
from lab.private_draws import UseGenerator
from lab.randomness import stream

LARGE, TINY = MLP(width=400), MLP(width=8)
SLIM = {"resnet": ResNet(depth=8), "mlp": MLP(width=32)}
SLIM |= {"vision_transformer": VisionTransformer(width=16, depth=1), "imagenet_vit": ImageNetViT(width=192)}
SLIM |= {"vgg11": VGG11(units=16)}
NETWORKS = [pytest.param(SLIM.get(name, entry()), id=name) for name, entry in of_pictures("network").items()]


def weights(network, seed=1):
    model = network.build((3, 64, 64), 10, stream(seed, "weights"))
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values() if tensor.is_floating_point()])


class Disturbing:
    """Another thread that draws from, and seeds, torch's global generator all the time."""

    def __enter__(self):
        self.before, self.over = torch.get_rng_state(), threading.Event()
        self.thread = threading.Thread(target=self._draw)
        self.thread.start()

    def _draw(self):
        while not self.over.is_set():
            torch.manual_seed(0)
            torch.rand(100)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        torch.set_rng_state(self.before)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_seed_alone_makes_the_weights_whatever_other_threads_draw(network):
    alone = weights(network)
    with Disturbing(), ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: weights(network), range(3)))
    assert all(torch.equal(alone, each) for each in found)


class Drawn(nn.Module):
    """Weights from every way of drawing that a network of one's own may use."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Conv2d(3, 4, 3), nn.Linear(4, 4), nn.LSTM(3, 4), nn.MultiheadAttention(8, 2), nn.Embedding(4, 3)]
        )
        filled = [nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.xavier_normal_, nn.init.kaiming_normal_]
        plain = [fill(torch.empty(4, 4)) for fill in filled]
        plain += [nn.init.sparse_(torch.empty(4, 4), 0.2), torch.empty(3).exponential_(), torch.empty(3).cauchy_()]
        plain += [torch.randn(3) * 0.1, torch.rand(2, 2), torch.normal(0.0, 1.0, (3,)), torch.normal(torch.zeros(3), 1.0)]
        plain += [torch.randn_like(torch.zeros(3)), torch.rand_like(torch.zeros(3)), torch.randperm(4).float()]
        plain += [torch.randint(5, (3,)).float(), torch.bernoulli(torch.full((3,), 0.5)), torch.poisson(torch.ones(3))]
        plain += [torch.ones(4).multinomial(2).float(), torch.empty(3).random_(), torch.zeros(3).bernoulli_(0.3)]
        self.plain = nn.ParameterList([nn.Parameter(tensor) for tensor in plain])


def test_every_way_of_drawing_is_caught_and_gives_what_the_global_generator_would():
    before = torch.get_rng_state()
    with UseGenerator(torch.Generator().manual_seed(5)):
        own = Drawn().state_dict()
    assert torch.equal(before, torch.get_rng_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        usual = Drawn().state_dict()
    assert [name for name, tensor in own.items() if not torch.equal(tensor, usual[name])] == []


def settings():
    """All that a process keeps once, and that a run might change (Python's own random aside: shape checks draw from it)."""
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "random": torch.get_rng_state().tolist(),
        "numpy's random": str(np.random.get_state()),
        "environment": dict(os.environ),
        "warnings": list(warnings.filters),
        "streams": (sys.stdout, sys.stderr),
        "mkldnn": torch.backends.mkldnn.enabled,
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "folder": os.getcwd(),
    }


@pytest.mark.parametrize("entry", [pytest.param(entry, id=name) for name, entry in of_pictures("attack").items()])
def test_an_attack_leaves_what_all_share_as_it_was_also_between_two_states(entry):
    options = {"iterations": 3} if "iterations" in {field.name for field in fields_of(entry)} else {}
    experiment = Experiment(network=LARGE, attack=entry(**options))
    torch.set_num_threads(2)
    before = settings()
    attacked = simulate_round(experiment)
    assert settings() == before
    for state in islice(reconstruct(experiment, attacked.observation), 5):
        assert settings() == before
        score(attacked, state)
    assert settings() == before


class Watching(Attack):
    """Tells with how many threads it computes."""

    def reconstruct(self, observation, generator):
        grey = torch.full((observation.batch_size, *observation.image_shape), 0.5)
        for iteration in range(3):
            yield AttackState(iteration, 3, grey, float(torch.get_num_threads()))


def observed(network):
    return simulate_round(Experiment(network=network), torch.device("cpu")).observation


def met(network, observation=None):
    """The threads that each step of an attack found."""
    watched = Experiment(network=network, attack=Watching())
    return [int(state.objective) for state in reconstruct(watched, observation or observed(network))]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("cores", [1, 2, 8])
def test_threads_follow_the_network_within_the_users_limit(limit, cores, monkeypatch):
    monkeypatch.setattr(resources, "usable_cores", lambda: cores)
    torch.set_num_threads(limit)
    assert met(LARGE) == [min(limit, cores)] * 3
    assert met(TINY) == [1, 1, 1]
    assert torch.get_num_threads() == limit


def test_threads_are_set_for_an_observation_that_was_not_simulated_here():
    """An attack's threads are no side effect of another step."""
    observation = observed(TINY)
    torch.set_num_threads(2)
    assert met(TINY, observation) == [1, 1, 1]


def test_a_limit_set_under_way_holds_from_then_on(monkeypatch):
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    torch.set_num_threads(3)
    states = reconstruct(Experiment(network=LARGE, attack=Watching()), observed(LARGE))
    found = [int(next(states).objective)]
    torch.set_num_threads(2)
    found += [int(state.objective) for state in states]
    assert found == [3, 2, 2]
    assert torch.get_num_threads() == 2


def test_a_context_within_another_stays_within_its_limit_and_a_failure_restores(monkeypatch):
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    torch.set_num_threads(2)
    observation = observed(LARGE)
    with threads.computing(1):
        assert met(LARGE, observation) == [1, 1, 1]
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), threads.computing(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_of_several_attacks_at_once_the_last_one_out_restores(monkeypatch):
    monkeypatch.setattr(resources, "usable_cores", lambda: 8)
    torch.set_num_threads(3)
    network, gate, found = observed(LARGE).network, threading.Barrier(2), []

    def other():
        with threads.computing(2):
            gate.wait()
            gate.wait()  # by now the first one has left
            found.append(threads.threads_for(network))
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with threads.computing(1):
        thread.start()
        gate.wait()
    gate.wait()
    thread.join()
    assert found == [2, 3]
    assert torch.get_num_threads() == 3


def test_the_environments_limit_is_never_raised():
    """In a process of its own, as torch reads it once."""
    code = (
        "import torch; from tests_of_threads import met, LARGE; before = torch.get_num_threads(); found = met(LARGE);"
        "assert before == 1 and found == [1, 1, 1] and torch.get_num_threads() == 1, (before, found)"
    ).replace("tests_of_threads", Path(__file__).stem)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_folder_of_data_is_given_to_one_thread_and_only_for_a_while(monkeypatch):
    monkeypatch.setenv(data_folder.VARIABLE, "machine's")
    with data_folder.given("mine"), ThreadPoolExecutor(1) as pool:
        assert data_folder.current() == "mine"
        assert pool.submit(data_folder.current).result() == "machine's"
        with data_folder.given(""):
            assert data_folder.current() == "mine"
    assert data_folder.current() == "machine's"


def test_two_pictures_read_at_once_leave_the_warnings_as_they_were():
    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "PNG")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: decode_picture(file.getvalue(), 32), range(200)))
    assert warnings.filters == before
