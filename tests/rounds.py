"""Small rounds for the tests: random pictures, chosen network and protocol, any precision."""

import torch

from lab.client.batch import Batch
from lab.evaluation.round import Round
from lab.federated.observation import LabelSource, Observation
from lab.federated.protocols.fedsgd import FedSGD
from lab.randomness import stream


def random_batch(count=1, shape=(3, 32, 32), classes=10, seed=0, dtype=torch.float32, labels=None):
    """Uniform pixels and labels."""
    generator = stream(seed, "test pictures")
    images = torch.rand(count, *shape, generator=generator, dtype=dtype)
    drawn = torch.randint(classes, (count,), generator=generator)
    return Batch(images, drawn if labels is None else torch.tensor(labels))


def observe(network, batch, protocol=None, source=LabelSource.KNOWN, classes=10, seed=0):
    """What the server sees of a batch; the network comes in the batch's precision."""
    protocol = protocol or FedSGD()
    built = network.build(batch.image_shape, classes, stream(seed, "test weights")).to(batch.images.dtype)
    update = protocol.update(built, batch.images, batch.labels)
    labels = batch.labels if source is LabelSource.KNOWN else None
    return Observation(built, protocol, update, batch.image_shape, len(batch.images), source, labels)


def smooth_batch(count=1, size=32, seed=0, dtype=torch.float32):
    """Soft blobs, more like pictures than noise is."""
    generator = stream(seed, "test blobs")
    coarse = torch.rand(count, 3, 5, 5, generator=generator, dtype=dtype)
    images = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return Batch(images, torch.arange(count) % 10)


def as_round(batch, observation):
    """A round as ``lab.score`` takes it, with random pictures as decoys."""
    decoys = random_batch(7, batch.image_shape, seed=99, dtype=batch.images.dtype).images
    return Round(batch, observation.update, observation, torch.cat([batch.images[:1], decoys]))
