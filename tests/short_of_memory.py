"""Prints, for each of many experiments with too little memory, what a page would say (test_resource_exhaustion.py).

Copies of one process, since each needs all imports and a limit of its own.
"""

import os
import resource
from itertools import islice

import torch

from lab import Experiment, reconstruct, simulate_round
from lab.attacks.analytic import Analytic
from lab.client.defences.pruning import Pruning
from lab.federated.networks.convnet import ConvNet
from lab.federated.networks.imagenet_resnet import ImageNetResNet
from lab.federated.networks.lenet import LeNet
from lab.federated.networks.mlp import MLP
from lab.federated.networks.squeezenet import SqueezeNet
from widgets.door.sentences import sentence
from widgets.serving.limits import data_bytes

TRIED = (
    Experiment(network=ConvNet(), batch_size=8),
    Experiment(network=LeNet(), image_size=224),
    Experiment(network=MLP(depth=2, width=2048)),
    Experiment(network=MLP(depth=2, width=1024, bias=False), attack=Analytic()),
    Experiment(network=MLP(depth=2, width=1024), defences=(Pruning(),)),
    Experiment(network=ImageNetResNet(18), image_size=64),
    Experiment(network=SqueezeNet(), image_size=224),
)
LEFT = (4_000_000, 20_000_000, 40_000_000)
"""Bytes; each experiment wants more."""


def told(experiment, left):
    """What is said of it in this process, which has so many bytes left."""
    bound = data_bytes(os.getpid()) + left
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    try:
        for _ in islice(reconstruct(experiment, simulate_round(experiment).observation), 3):
            pass
    except Exception as error:  # which of them comes is what is asked
        return sentence(error)
    return "fits"


def main():
    torch.set_num_threads(1)
    simulate_round(Experiment())  # what is loaded late is loaded
    for experiment in TRIED:
        for left in LEFT:
            pid = os.fork()
            if not pid:
                os.write(1, f"{told(experiment, left)}\n".encode())
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            if status:
                print(f"ended by signal {os.WTERMSIG(status)}", flush=True)


if __name__ == "__main__":
    main()
