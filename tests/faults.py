"""What goes wrong with updates on their way to an attack, each fault by itself: a round, spoilt in one way."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedavg import FedAvg
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream


@dataclass(frozen=True, eq=False)
class Scene:
    """A client with its pictures, and what the server believes of it."""

    network: nn.Module
    images: torch.Tensor
    labels: torch.Tensor
    protocol: object = FedSGD()
    told: bool = False
    """Whether the server knows the labels."""

    def sent(self, network=None, images=None, protocol=None):
        """What the client sends, as it should be."""
        protocol = protocol or self.protocol
        images = self.images if images is None else images
        return protocol.update(network or self.network, images, self.labels)

    def seen(self, update=None, network=None, protocol=None, pictures=None, labels=None):
        """What the server believes to have seen."""
        known = self.labels if labels is None else labels
        return Observation(
            network=network or self.network,
            protocol=protocol or self.protocol,
            update=self.sent() if update is None else update,
            input_shape=tuple(self.images.shape[1:]),
            batch_size=pictures or len(self.images),
            label_source=LabelSource.KNOWN if self.told or labels is not None else LabelSource.INFERRED,
            labels=known if self.told or labels is not None else None,
        )


def each(change):
    """A fault of the numbers sent, tensor by tensor."""
    return lambda scene: scene.seen({name: change(tensor) for name, tensor in scene.sent().items()})


def later_weights(scene):
    """The server took the weights from after the round."""
    network = deepcopy(scene.network)
    update = scene.sent()
    moved = update if isinstance(scene.protocol, FedAvg) else {name: -0.05 * tensor for name, tensor in update.items()}
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.add_(moved[name])
    return scene.seen(update, network)


def summed(scene):
    return each(lambda tensor: len(scene.images) * tensor)(scene)


def change_for_gradient(scene):
    return scene.seen(scene.sent(protocol=FedAvg(local_steps=1, learning_rate=0.05)), protocol=FedSGD())


def more_steps(scene):
    """A gradient was told, and it is the mean of several."""
    steps = FedAvg(local_steps=5, learning_rate=0.05)
    weights = dict(scene.network.named_parameters())
    return scene.seen(steps.mean_gradient(scene.sent(protocol=steps), weights), protocol=FedSGD())


def other_pictures(scene):
    """One picture more was told than there is."""
    return scene.seen(pictures=len(scene.images) + 1)


def noisy(scene):
    generator, update = stream(0, "noise of a fault"), scene.sent()
    size = torch.cat([tensor.flatten() for tensor in update.values()]).square().mean().sqrt()
    return scene.seen({n: t + 0.1 * size * torch.randn(t.shape, generator=generator) for n, t in update.items()})


def pruned(scene):
    update = scene.sent()
    sizes = torch.cat([tensor.abs().flatten() for tensor in update.values()])
    least = sizes.sort().values[int(0.7 * len(sizes))]
    return scene.seen({name: tensor * (tensor.abs() > least) for name, tensor in update.items()})


def quantised(scene):
    return each(lambda tensor: (tensor / (tensor.abs().max() / 127 + 1e-30)).round() * tensor.abs().max() / 127)(scene)


def halved(scene):
    return each(lambda tensor: tensor.half().float())(scene)


def train_mode(scene):
    """The client's batch norm used its batch's own statistics; without one there is no such fault."""
    network, norms = deepcopy(scene.network), 0
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats, module.running_mean, module.running_var, norms = False, None, None, norms + 1
    return scene.seen(scene.sent(network)) if norms else None


class Dropped(nn.Module):
    """A network whose features pass a dropout."""

    def __init__(self, network, rate):
        super().__init__()
        self.network, self.generator, self.rate = network, stream(1, "dropout of a fault"), rate

    def __call__(self, images):
        features = self.network.embed(images)
        kept = torch.rand(features.shape, generator=self.generator) >= self.rate
        return self.network.head(features * kept / (1 - self.rate))


def dropout(scene):
    if not isinstance(scene.protocol, FedSGD):
        return None
    weights = dict(scene.network.named_parameters())
    value = functional.cross_entropy(Dropped(scene.network, 0.5)(scene.images), scene.labels)
    return scene.seen(dict(zip(weights, torch.autograd.grad(value, list(weights.values())), strict=True)))


def frozen(scene):
    update = scene.sent()
    first = next(iter(update)).rpartition(".")[0]
    return scene.seen({n: torch.zeros_like(t) if n.startswith(f"{first}.") else t for n, t in update.items()})


def exchanged(scene):
    """Two tensors of one shape stand for one another; none if there are none."""
    update, shapes = scene.sent(), {}
    for name, tensor in update.items():
        shapes.setdefault(tensor.shape, []).append(name)
    pairs = [names for shape, names in shapes.items() if len(shape) > 1 and len(names) > 1]
    if not pairs:
        return None
    one, other = pairs[0][:2]
    return scene.seen({**update, one: update[other], other: update[one]})


def other_preprocessing(scene):
    """The client gave the network pixels as they are."""
    bare = deepcopy(scene.network)
    bare.normalise.mean.zero_()
    bare.normalise.std.fill_(1.0)
    return scene.seen(scene.sent(bare))


def other_labels(scene):
    return replace(scene, told=True).seen(labels=(scene.labels + 1 + torch.arange(len(scene.labels)) % 2) % 10)


def clipped(scene):
    update = scene.sent()
    return scene.seen({name: tensor * 0.3 for name, tensor in update.items()})


FAULTS = {
    "later_weights": (later_weights, "later_weights"),
    "a sum": (summed, "length"),
    "clipped": (clipped, "length"),
    "change_for_gradient": (change_for_gradient, "change_for_gradient"),
    "more_steps": (more_steps, "more_steps"),
    "pictures": (other_pictures, "pictures"),
    "noise": (noisy, "noise"),
    "pruned": (pruned, "pruned"),
    "quantised": (quantised, "quantised"),
    "float16": (halved, "quantised"),
    "batch_norm_mode": (train_mode, "batch_norm_mode"),
    "dropout": (dropout, "dropout"),
    "frozen": (frozen, "frozen"),
    "order": (exchanged, "order"),
    "preprocessing": (other_preprocessing, "preprocessing"),
    "labels": (other_labels, "labels"),
}
"""By name, the fault and the finding that names it."""
