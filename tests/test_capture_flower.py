"""A round of Flower, the real library in an environment of its own: what two clients sent is captured, attacked, diagnosed."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from beside import flower_python
from torch import nn

import lab
from lab.client.datasets.gallery import Gallery
from lab.federated import captures
from lab.randomness import stream

CLIENT = """
import torch
from datasets import load_dataset
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr_datasets import FederatedDataset
from torch import nn

app = ClientApp()

def make():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10))

@app.train()
def train(message, context):
    model = make()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    mine = FederatedDataset().load_partition(context.node_config["partition-id"])
    optimiser = torch.optim.SGD(model.parameters(), lr=message.content["config"]["lr"], momentum=0.9)
    rows = [mine[place] for place in range(len(mine))]
    pixels = [torch.frombuffer(bytearray(row["img"].tobytes()), dtype=torch.uint8).view(32, 32, 3) for row in rows]
    images = (torch.stack(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    size = context.run_config["batch-size"]
    for start in range(0, len(rows), size):
        optimiser.zero_grad()
        labels = torch.tensor([row["label"] for row in rows[start : start + size]])
        nn.functional.cross_entropy(model(images[start : start + size]), labels).backward()
        optimiser.step()
    records = {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": len(rows)})}
    return Message(content=RecordDict(records), reply_to=message)

@app.evaluate()
def evaluate(message, context):
    return Message(content=RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)
"""
SERVER = """
from capture import flower_strategy
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from pytorchexample.client_app import make

app = ServerApp()

@app.main()
def main(grid, context):
    config = ConfigRecord({"lr": context.run_config["learning-rate"]})
    strategy = flower_strategy(FedAvg(), "kept", learning_rate=config["lr"], input_shape=(3, 32, 32), mean=0.5, std=0.5)
    strategy.start(grid=grid, initial_arrays=ArrayRecord(make().state_dict()), train_config=config, num_rounds=1)
"""


def one_round(folder, batch, count):
    """Two clients, one round; the paths of what they sent, and the pictures of the first."""
    (folder / "pytorchexample").mkdir()
    for name, text in (("__init__", ""), ("client_app", CLIENT), ("server_app", SERVER)):
        (folder / "pytorchexample" / f"{name}.py").write_text(text)
    given = Gallery().load(2 * count, 32, stream(0, "data"))
    pixels = (given.images * 255).round().byte().permute(0, 2, 3, 1)
    np.savez(folder / "pictures.npz", images=pixels.numpy(), labels=given.labels.numpy())
    script = Path(__file__).parent / "flower_round.py"
    words = [flower_python(), script, folder, folder / "pictures.npz", folder / "sent", str(batch), str(count)]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone |= {"FLWR_TELEMETRY_ENABLED": "0"}
    done = subprocess.run(words, cwd=folder, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted((folder / "sent").iterdir()), pixels[:count].permute(0, 3, 1, 2) / 255, given.labels[:count]


def model():
    with torch.random.fork_rng(devices=[]):
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10))


@pytest.mark.parametrize(("batch", "count", "steps"), [(1, 1, 1), (4, 4, 1), (2, 4, 2)])
def test_what_flowers_clients_sent_is_captured(batch, count, steps, tmp_path):
    """The recipe, with nothing told but the normalisation, makes of the client's pictures the update that it sent."""
    files, images, labels = one_round(tmp_path, batch, count)
    assert [file.name for file in files] == ["round-1-client-0.safetensors", "round-1-client-1.safetensors"]
    recipe = captures.read(files[0]).recipe
    assert (recipe.made_by, recipe.local_steps, recipe.pictures, recipe.batch_size) == ("Flower", steps, count, batch)
    assert (recipe.learning_rate, recipe.settings, recipe.input_shape) == (0.1, {"momentum": 0.9}, (3, 32, 32))
    for number, file in enumerate(files, 1):
        kept, sent = captures.read(tmp_path / "kept" / f"round-1-client-{number}.safetensors"), captures.read(file)
        for ours, theirs in ((kept.weights, sent.weights), (kept.update, sent.update)):
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert (kept.recipe.pictures, kept.recipe.learning_rate, kept.recipe.mean) == (count, 0.1, sent.recipe.mean)
    seen = lab.observe(model(), files[0])
    if steps == 1:
        again = seen.protocol.update(seen.network, images, labels)
        assert all(torch.allclose(again[name], tensor, rtol=1e-3, atol=1e-6) for name, tensor in seen.update.items())
        assert not lab.diagnose(seen).findings
    if count == 1:
        *_, last = lab.attack(seen)
        assert lab.score(last, images, seen=seen).verdict is lab.Verdict.RECOGNISABLE
