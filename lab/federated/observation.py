"""What an honest-but-curious server knows: the one thing that an attack is given."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from lab.lazy import torch

from lab.errors import LabError
from lab.federated.given_names import as_given
from lab.federated.receiving import receive
from lab.federated.tensors import IMAGES, Gradients, Received, Shape, Targets

if TYPE_CHECKING:
    from lab.federated.batch_statistics import Statistics
    from lab.federated.classifier import Classifier
    from lab.federated.losses.base import Loss
    from lab.federated.protocols.base import Protocol


class LabelSource(Enum):
    """Where the server gets the labels from."""

    KNOWN = "known"
    INFERRED = "inferred"
    JOINT = "joint"


@dataclass(frozen=True, eq=False)
class Observation:
    """All that an honest-but-curious server knows, and all that an attack may see."""

    network: Classifier
    protocol: Protocol
    update: Received
    input_shape: Shape
    """Of one candidate as the network eats it; (channels, height, width) of a picture."""
    batch_size: int
    label_source: LabelSource
    labels: Targets | None
    """Class numbers; rows of zeros and ones where a picture may have any number of them."""
    notes: tuple[str, ...] = ()
    """What was left out of the model or put right, and what that does to an attack; a sentence each."""
    modality: str = IMAGES
    """What the inputs are: an entry of ``lab/modalities``."""
    withheld: tuple[str, ...] = ()
    """Tensors of the update of which a defence leaves a part out, as its code tells that the server has."""
    rounds: int = 1
    """How many updates the one is the mean of."""
    batch_statistics: Mapping[str, Statistics] = field(default_factory=dict[str, "Statistics"])
    """Of the client's batch, by the batch norm that it entered; where they were sent, or what was sent tells them."""

    given_names: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the owner of a model calls the network's layers and parameters, by what they are called in the network."""

    def __post_init__(self) -> None:
        """What came in passes the door: keyed, ordered and cast as the network has it. Raises ``LabError`` where it cannot."""
        network, update = receive(self.network, self.update)
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "update", update)

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self.network.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width). Raises ``LabError`` where the inputs are no pictures."""
        if isinstance(self.input_shape, Mapping) or len(self.input_shape) != 3:
            raise LabError(
                f"This attack undoes what networks do to pictures, and the inputs here are {self.modality}; "
                "lab.attack(seen) takes one that finds them."
            )
        return self.input_shape

    @property
    def tells_nothing(self) -> bool:
        """Whether every shared number is zero."""
        return not any(bool(tensor.any()) for tensor in self.update.values())

    def as_given(self, sentence: str) -> str:
        """The sentence with layers and parameters called what the owner of the model calls them."""
        return as_given(sentence, self.given_names) if self.given_names else sentence

    @property
    def device(self) -> torch.device:
        """Where the network and the update live."""
        return next(iter(self.update.values())).device

    @property
    def local_steps(self) -> int:
        """SGD steps behind the update; 1 where the gradient itself was sent."""
        return getattr(self.protocol, "local_steps", 1)

    @property
    def loss(self) -> Loss:
        """What the client minimises."""
        return self.protocol.loss

    def mean_gradient(self, *names: str) -> Gradients:
        """The update, or these of its tensors, as a gradient that is a mean over the pictures.

        Raises ``LabError`` where the client's steps are no sum of gradients.
        """
        asked = {name: self.update[name] for name in names} if names else self.update
        gradient, length = self.protocol.mean_gradient(asked, dict(self.network.named_parameters())), self._length
        return gradient if length == 1 else {name: tensor / length for name, tensor in gradient.items()}

    @property
    def _length(self) -> float:
        """How long the gradient of one step's loss is beside the mean over its pictures."""
        steps = self.protocol.steps(self.batch_size)
        return self.loss.length(self.batch_size) * steps.length(self.batch_size)

    def without_withheld(self) -> Observation:
        """Without the tensors of which a part is missing; with them where nothing else was sent."""
        rest = {name: tensor for name, tensor in self.update.items() if name not in self.withheld}
        return replace(self, update=rest or self.update, withheld=())

    def to(self, device: torch.device) -> Observation:
        """A copy on another device."""
        return replace(
            self,
            network=deepcopy(self.network).to(device),
            update={name: tensor.to(device) for name, tensor in self.update.items()},
            labels=None if self.labels is None else self.labels.to(device),
            batch_statistics={name: one.to(device) for name, one in self.batch_statistics.items()},
        )
