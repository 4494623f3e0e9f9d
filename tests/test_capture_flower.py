"""A round of Flower, the real library in an environment of its own: what two clients sent is captured, attacked, diagnosed."""

from pathlib import Path

import pytest
import torch
from beside import flower_python
from lessons import overwritten, read
from nbclient import NotebookClient
from torch import nn

import lab
from lab.client.datasets.digits import Digits
from lab.client.datasets.gallery import Gallery
from lab.federated import captures
from lab.randomness import stream
from notebooks.flower.rounds import one_round, pictures_of

CLIENT = """
import torch
from datasets import load_dataset
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr_datasets import FederatedDataset
from torch import nn

app = ClientApp()

def make():
    layers = [nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    layers += [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*layers)

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


def app_in(folder):
    """An app with the quick-start's parts under its names."""
    (folder / "pytorchexample").mkdir()
    for name, text in (("__init__", ""), ("client_app", CLIENT), ("server_app", SERVER)):
        (folder / "pytorchexample" / f"{name}.py").write_text(text)
    return folder


def model():
    with torch.random.fork_rng(devices=[]):
        layers = [nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        layers += [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
        return nn.Sequential(*layers)


@pytest.mark.parametrize(("batch", "count", "steps"), [(1, 1, 1), (4, 4, 1), (2, 4, 2)])
def test_what_flowers_clients_sent_is_captured(batch, count, steps, tmp_path):
    """The recipe, with nothing told but the normalisation, makes of the client's pictures the update that it sent."""
    sent = one_round(app_in(tmp_path), tmp_path, Gallery(), batch=batch, count=count, python=flower_python())
    files, images, labels = list(sent.files), sent.images, sent.labels
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


@pytest.mark.slow
def test_the_worked_example_runs_on_any_app_of_the_quick_starts_parts(tmp_path):
    """From top to bottom, nothing told but where the app is; each cell's claim as its own numbers bear it out."""
    path = Path(__file__).parent.parent / "notebooks" / "flower_quickstart.ipynb"
    notebook = overwritten(read(path), APP=str(app_in(tmp_path)), OUT=str(tmp_path / "out"), FLOWER=str(flower_python()))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    shown = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert not [output for outputs in shown.values() for output in outputs if output.output_type in ("error", "stream")]
    told = {
        name: "".join(output.get("data", {}).get("text/markdown", "") for output in outputs) for name, outputs in shown.items()
    }
    assert "It looks like 1 picture." in told["diagnosed"]
    assert "Nothing stands in the way" in told["diagnosed"]
    assert "explains what was sent" in told["attacked"]
    assert "does not explain what was sent" in told["attacked_many"]
    shown = {name: outputs[0]["data"]["text/plain"] for name, outputs in shown.items() if name.startswith("judged")}
    assert shown["judged"].startswith(f"Pictures: private; {lab.Verdict.RECOGNISABLE.value}, ")
    assert shown["judged_many"] == f"Pictures: {'; '.join(['private', lab.Verdict.HIDDEN.value] * 6)}."


@pytest.mark.parametrize(("given", "count", "whole"), [(Digits(), 64, True), (Gallery(), 24, True), (Gallery(), 64, False)])
def test_pictures_are_whole_where_a_set_holds_so_many_and_the_gallerys_are_cut_up(given, count, whole):
    images, labels = pictures_of(given, count)
    loaded = given.load(count, 32, stream(0, "data")) if whole else given.load(16, 64, stream(0, "data"))
    quarters = [loaded.images[..., y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    assert torch.equal(images, loaded.images if whole else torch.cat(quarters))
    assert torch.equal(labels, loaded.labels if whole else loaded.labels.repeat(4))


@pytest.mark.parametrize("lacking", ["app", "Flower"])
def test_what_a_round_of_flower_lacks_is_said(lacking, tmp_path):
    app = tmp_path if lacking == "app" else app_in(tmp_path)
    with pytest.raises(lab.LabError, match=lacking):
        one_round(app, tmp_path, Gallery(), python=tmp_path / "no python")
