"""The experiment: every choice a user can make, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lab.attacks.base import Attack
from lab.attacks.gradient_matching import GradientMatching
from lab.client.datasets.base import Dataset
from lab.client.datasets.gallery import Gallery
from lab.client.defences.base import Defence
from lab.errors import LabError
from lab.federated.networks.base import Network
from lab.federated.networks.small_convnet import SmallConvNet
from lab.federated.observation import LabelSource
from lab.federated.protocols.base import Protocol
from lab.federated.protocols.fedsgd import FedSGD
from lab.federated.tensors import IMAGES, Shape
from lab.files import json_text
from lab.modalities.base import Modality, modality_of
from lab.modalities.images.format import PictureFormat
from lab.options.fields import AtMost, Bounds, Help
from lab.options.plain import differences, from_plain, to_plain


@dataclass(frozen=True)
class Experiment(PictureFormat):
    """Who trains what on which inputs, what is sent, what the server knows, and how it attacks."""

    dataset: Annotated[Dataset, Help("where the private pictures come from")] = Gallery()
    batch_size: Annotated[int, Bounds(1, 100), Help("private pictures behind one update", "pictures")] = 1
    network: Annotated[Network, Help("the network that the client trains")] = SmallConvNet()
    trained: Annotated[bool, Help("weights from training, or fresh random ones")] = False
    weights: Annotated[str, Help("a file with weights (.safetensors, .pth); empty takes the shipped or published ones")] = ""
    protocol: Annotated[Protocol, Help("what the client sends")] = FedSGD()
    defences: Annotated[tuple[Defence, ...], AtMost(16), Help("what the client does to the update before it leaves")] = ()
    labels: Annotated[LabelSource, Help("whether the server knows the labels, infers them, or optimises them jointly")] = (
        LabelSource.KNOWN
    )
    attack: Annotated[Attack, Help("how the server rebuilds the pictures")] = GradientMatching()
    seed: Annotated[int, Bounds(0, 2**31 - 1), Help("the seed of everything random")] = 0
    rounds: Annotated[int, Bounds(1, 100), Help("the server asks at the same weights, and attacks the mean", "rounds")] = 1

    @property
    def modality(self) -> Modality:
        """What the inputs are, as data set and network both have it. Raises ``LabError`` where they differ."""
        given, taken = modality_of(self.dataset.modality), modality_of(self.network.modality)
        if given != taken:
            raise LabError(
                f"The data set {self.dataset.name} gives {given.many}, and the network {self.network.name} takes {taken.many}; "
                "choose two of one kind."
            )
        return taken

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the network tells apart: the classes of the data set, unless it learns without labels."""
        return self.network.own_classes or self.dataset.class_names

    @property
    def asked(self) -> int:
        """How often the client is asked: without a defence it always answers the same."""
        return self.rounds if self.defences else 1

    @property
    def size(self) -> int:
        """The longer side of a private picture, as data sets are asked for it."""
        return max(self.sides)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of a private picture."""
        return self.sides_of(self.network.image_size)

    @property
    def takes_pictures(self) -> bool:
        """Whether what is said of pictures counts; of other inputs it says nothing."""
        return self.network.modality == IMAGES

    @property
    def input_shape(self) -> Shape:
        """Of one private input; of a picture whose file decides, with as many channels as it may have."""
        given = self.dataset.input_shape(self.size)
        return self.shape_of(given, self.network.image_size) if self.takes_pictures else given

    def to_plain(self) -> dict[str, Any]:
        """Complete, JSON-ready data."""
        return to_plain(self)

    def changes(self) -> dict[str, Any]:
        """Only what differs from the default experiment: the form that fits a link."""
        return differences(self.to_plain(), Experiment().to_plain())

    @classmethod
    def from_plain(cls, data: Any) -> Experiment:
        """Build from (partial) plain data; raises ``LabError`` for anything wrong in it."""
        return from_plain(cls, data)

    @classmethod
    def from_file(cls, path: Path) -> Experiment:
        """Read a JSON file: an experiment, or a result that holds one."""
        data = read_json(path)
        return cls.from_plain(data["experiment"] if isinstance(data, dict) and "experiment" in data else data)


def read_json(path: Path) -> Any:
    """What an experiment's JSON file says. Raises ``LabError`` where it cannot be read."""
    try:
        return json_text.read(path, "a JSON file, and cannot be read; give the path of one")
    except FileNotFoundError:
        raise LabError(f"There is no experiment file {path}; give the path of a JSON file.") from None
    except OSError as error:
        raise LabError(f"The experiment file {path} cannot be read ({error.strerror}); give a JSON file.") from None
    except json_text.NotJsonError as error:
        raise LabError(
            f"The experiment file {path} cannot be read: it is not valid JSON ({error}); mend or export it again."
        ) from None
