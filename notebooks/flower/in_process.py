"""One round of Flower in one process, run in Flower's own environment: ``python in_process.py APP PICTURES OUT BATCH COUNT``.

``APP`` is a folder with a package ``pytorchexample``, the app as its people wrote it; ``PICTURES`` an ``.npz`` file with
``images`` (uint8, height, width, channels) and ``labels``, in the place of what the app would download. Each of two clients
has ``COUNT`` of them. Nothing of the lab is imported but the one file that captures.
"""

from __future__ import annotations

import sys
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity
from PIL import Image

CLIENTS = 2


class InProcess(Grid):
    """Messages go to the client app straight away."""

    def __init__(self, app, run_config):
        self.app, self.run_config, self.answers = app, run_config, {}

    def set_run(self, run):
        """There is but one."""

    @property
    def run(self):
        """None is asked for."""
        return None

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        """As Flower's own grid makes it."""
        return Message(content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self):
        """One for each client."""
        return range(1, CLIENTS + 1)

    def push_messages(self, messages):
        """Each is answered at once."""
        for number, message in enumerate(messages, len(self.answers)):
            node = message.metadata.dst_node_id
            config = {"partition-id": node - 1, "num-partitions": CLIENTS}
            self.answers[str(number)] = self.app(message, Context(1, node, config, RecordDict(), self.run_config))
            yield str(number)

    def pull_messages(self, message_ids):
        """Their answers."""
        return [self.answers[name] for name in message_ids]

    def send_and_receive(self, messages, *, timeout=None):
        """Both."""
        return self.pull_messages(list(self.push_messages(messages)))


class Pictures(torch.utils.data.Dataset):
    """What a data set of Hugging Face does for such an app."""

    def __init__(self, images, labels, transform=None):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        row = {"img": [Image.fromarray(self.images[place])], "label": [int(self.labels[place])]}
        changed = self.transform(row) if self.transform else row
        return {name: values[0] for name, values in changed.items()}

    def train_test_split(self, **_):
        """Both halves are all there is."""
        return Halves(train=self, test=self)

    def with_format(self, _):
        """It has one."""
        return self

    def with_transform(self, transform):
        """The same, changed when asked for."""
        return Pictures(self.images, self.labels, transform)


class Halves(dict):
    """Named data sets, changed together."""

    def with_transform(self, transform):
        """The same, each changed when asked for."""
        return Halves({name: part.with_transform(transform) for name, part in self.items()})


def stand_in(pictures, count):
    """Modules in the place of those that would download."""
    data = np.load(pictures)
    images, labels = data["images"], data["labels"]

    class FederatedDataset:
        """Partitions of what there is."""

        def __init__(self, **_):
            pass

        def load_partition(self, client):
            """A client's own."""
            rows = slice(client * count, (client + 1) * count)
            return Pictures(images[rows], labels[rows])

    made = {"datasets": {"load_dataset": lambda *_, **__: Pictures(images, labels)}}
    made |= {"flwr_datasets": {"FederatedDataset": FederatedDataset}}
    made |= {"flwr_datasets.partitioner": {"IidPartitioner": lambda **_: None}}
    for name, content in made.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(content)


def main(folder, pictures, out, batch, count):
    """The round."""
    torch.manual_seed(0)
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    stand_in(pictures, int(count))
    sys.path[:0] = [folder, str(Path(__file__).parent.parent.parent / "lab")]
    capture = import_module("capture")
    app = capture.captured(import_module("pytorchexample.client_app").app, out, mean=0.5, std=0.5)
    run_config = {
        "num-server-rounds": 1,
        "fraction-evaluate": 0.5,
        "local-epochs": 1,
        "learning-rate": 0.1,
        "batch-size": int(batch),
    }
    server = import_module("pytorchexample.server_app").app
    server(InProcess(app, run_config), Context(1, 0, {}, RecordDict(), run_config))


if __name__ == "__main__":
    main(*sys.argv[1:])
