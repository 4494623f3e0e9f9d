"""A federation in Flower's simulation, the real library in an environment of its own: the same clients, the same weights."""

import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from beside import flower_python
from safetensors.torch import load_file

from lab.client.defences.dp_sgd import DPSGD
from lab.client.defences.gaussian_noise import GaussianNoise
from lab.client.defences.top_k import TopK
from lab.errors import LabError
from lab.federated.networks.mlp import MLP
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.federation.archive import Archive
from lab.federation.in_flower import simulate
from lab.federation.settings import Federation
from lab.federation.shards import Shards
from lab.federation.training import Server, federate

ROOT = Path(__file__).parent.parent
PLAYED = """
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

class Worker:
    \"\"\"In the place of Ray's processes: whoever is asked answers at once. All else is Flower's own.\"\"\"

    num_workers = 1

    def __init__(self, config):
        pass

    def build(self, app):
        self.app = app()

    def is_worker_idle(self):
        return True

    def process_message(self, message, context):
        return self.app(message, context), context

    def terminate(self):
        pass

for name, content in (("ray", {}), ("flwr.server.superlink.fleet.vce.backend.raybackend", {"RayBackend": Worker})):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__spec__ = ModuleSpec(name, None)
    vars(sys.modules[name]).update(content)

from lab.commands.flowering import main
from lab.errors import LabError
from lab.federation import in_flower

for folder in sys.argv[1:]:
    main(Path(folder))

def failing(*_):
    raise LabError("It went out.")

in_flower.sent_by = failing
try:
    main(Path(sys.argv[1]))
except LabError as problem:
    print(problem)
"""
SMALL = Federation(network=MLP(depth=2, width=8), clients=4, rounds=3, pictures=20)
UNLIKE = {
    "sampled, defended, with drop-outs": replace(
        SMALL,
        network=SmallConvNet(width=4),
        sampled=3,
        lost=0.1,
        server_rate=0.7,
        protocol=FedAvg(local_steps=3, batch_size=8, learning_rate=0.2),
        defences=(TopK(strength=0.9), GaussianNoise(strength=0.1)),
    ),
    "gradients, private": replace(SMALL, protocol=FedSGD(), server_rate=0.1, defences=(DPSGD(multiplier=0.1),)),
}
"""What a client does, and who is asked, in all ways at once. Top-k needs a network without two numbers of one size."""


def test_the_same_clients_give_the_same_weights_in_flowers_simulation(tmp_path):
    folders = []
    for name, settings in UNLIKE.items():
        folders.append(tmp_path / name)
        next(federate(settings, folders[-1]))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [flower_python(), "-c", PLAYED, *map(str, folders)]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for settings, folder in zip(UNLIKE.values(), folders, strict=True):
        found = load_file(folder / "flower.safetensors")
        server = Server(settings, Shards.of(settings))
        fresh = {name: weights.detach().clone() for name, weights in server.network.named_parameters()}
        for number in range(1, settings.rounds + 1):
            server.play(number)
        for name, weights in server.network.named_parameters():
            assert (weights - fresh[name]).abs().max() > 1e-5, "nothing was learnt"
            torch.testing.assert_close(found[name], weights.detach(), rtol=1e-5, atol=1e-6)
        assert found.keys() == fresh.keys()
    assert "A client failed in round 1" in done.stdout
    assert "It went out" in done.stdout


def test_what_flower_cannot_do_is_told_in_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(LabError, match="has no part in the lab's masks; give it a federation without --secure"):
        simulate(replace(SMALL, secure=True))
    monkeypatch.setitem(sys.modules, "flwr", None)
    with pytest.raises(LabError, match="'make beside' makes one that has it"):
        simulate(SMALL)
    with pytest.raises(LabError, match="holds no federation; give the folder that gradlab federate has kept one in"):
        Archive(tmp_path).settings()


@pytest.mark.parametrize(
    ("folders", "says"), [([], "Give one folder"), (["a", "b"], "Give one folder"), (["a"], "no federation")]
)
def test_the_command_without_a_federation_says_so_in_a_sentence(folders, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["flowering", *folders])
    with pytest.raises(SystemExit, match=says):
        runpy.run_module("lab.commands.flowering", run_name="__main__")
