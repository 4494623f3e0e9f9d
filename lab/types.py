"""The nouns of the lab: what a client has, what it sends, what the server may see, what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from lab.late import Float, Int, Tensor, torch

from lab.receiving import received

if TYPE_CHECKING:
    from lab.classifier import Classifier
    from lab.peeling.report import LayerRecovery
    from lab.protocols.base import Protocol

Images = Float[Tensor, "batch channel height width"]
"""Pixel values in [0, 1], everywhere; normalisation is the first layer of each network."""

Suspects = Float[Tensor, "suspects channel height width"]
"""Pictures of the same size as a batch's, but not as many: a line-up, or decoys for it."""

Labels = Int[Tensor, " batch"]
Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]
"""Class numbers, or a probability for each class (labels that an attack optimises jointly)."""

Gradients = Mapping[str, Tensor]
"""Keyed like the ``Module.named_parameters()`` that train; a FedAvg weight change has the same form."""

Received = Gradients if TYPE_CHECKING else Any
"""An update that has passed the door (``lab.receiving``); what comes to the door may be anything."""


class LabelSource(Enum):
    """Where the server gets the labels from."""

    KNOWN = "known"
    INFERRED = "inferred"
    JOINT = "joint"


@dataclass(frozen=True, eq=False)
class Batch:
    """The client's private pictures (pixels in [0, 1]) and their class numbers."""

    images: Images
    labels: Labels
    notes: tuple[str, ...] = ()
    """What was made of the pictures and weights given that needs saying, a sentence each."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Observation:
    """All that an honest-but-curious server knows, and all that an attack may see."""

    network: Classifier
    protocol: Protocol
    update: Received
    image_shape: tuple[int, int, int]
    batch_size: int
    label_source: LabelSource
    labels: Labels | None
    notes: tuple[str, ...] = ()
    """What was left out of the model or put right, and what that does to an attack; a sentence each."""

    def __post_init__(self) -> None:
        """What came in passes the door: keyed, ordered and cast as the network has it. Raises ``LabError`` where it cannot."""
        network, update = received(self.network, self.update)
        object.__setattr__(self, "network", network)
        object.__setattr__(self, "update", update)

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self.network.classes

    @property
    def device(self) -> torch.device:
        """Where the network and the update live."""
        return next(iter(self.update.values())).device

    @property
    def local_steps(self) -> int:
        """SGD steps behind the update; 1 where the gradient itself was sent."""
        return getattr(self.protocol, "local_steps", 1)

    def to(self, device: torch.device) -> Observation:
        """A copy on another device."""
        return replace(
            self,
            network=deepcopy(self.network).to(device),
            update={name: tensor.to(device) for name, tensor in self.update.items()},
            labels=None if self.labels is None else self.labels.to(device),
        )


@dataclass(frozen=True, eq=False)
class Round:
    """One round of training: the truth beside, never inside, what the server observes."""

    batch: Batch
    clean_update: Gradients
    observation: Observation
    line_up: Suspects
    """Pictures to pick the secret from: the first is the first private picture, the others are decoys."""


class Outcome(Enum):
    """How an attack ended; the value is the sentence the reader sees."""

    CONVERGED = "The distance to the shared update no longer falls, so the rest of the budget is saved."
    BUDGET_SPENT = "All iterations are done."
    STOPPED = "Stopped before the budget was spent."
    NOT_FINITE = "The objective stopped being a finite number; the best picture so far is kept. Try a smaller step."
    NEVER_FINITE = (
        "The objective is no finite number even at the start: the shared numbers, or the network's, are too large for it."
    )
    SILENT = (
        "Every shared number is zero: the network is quite sure of the label, its units are silent, or a defence kept all "
        "back. No picture leaked."
    )
    EXACT = "Read off exactly: the input is a ratio of shared numbers (Proposition 3.1)."
    UP_TO_SCALE = "Without a bias the input of a fully connected layer is known only up to its scale."
    FEATURES_ONLY = "The algebra gives the features that enter the fully connected layer, not the picture below them."
    MIXTURE = "With several pictures each ratio is a mixture of them; a row is pure only where one picture alone is active."
    UNMOVED_INPUT = (
        "Read off exactly: the weights moved under way, but the first layer's input never did, and the ratio is still it."
    )
    UNCONFIRMED_RATIO = (
        "One input fits every row, but its own local steps do not send these numbers: the ratio is exact if the client's steps "
        "are sums of gradients (momentum), and false if they are not (Adam)."
    )
    AFTER_LOCAL_STEPS = (
        "After local steps the layers that tell this input had moved under way, so the ratio is only approximate."
    )
    INCONSISTENT = (
        "The shared numbers do not fit one single input (noise, rounding, weight decay or a defence), so the ratio is only "
        "approximate."
    )
    DEAD_UNITS = (
        "A layer's gradients are all zero: its units are silent, the network is quite sure of the label, or a defence kept "
        "them back; a ratio of zeros says nothing."
    )
    NO_LINEAR_LAYER = "This network has no fully connected layer to read the input from."
    NOT_SENT = "The update lacks numbers that the algebra reads; matching gradients takes what is there."
    LABELS_ONLY = "The labels alone were read off the last layer; no picture was sought."
    PEELED = "Read off layer by layer, from the features down to the picture: it explains every shared number."
    PEEL_OPEN = "Several pictures explain every shared number, so the one shown need not be the private one."
    PEEL_CLOSE = "Read off layer by layer: the picture leaves less than a hundredth of the shared numbers unexplained."
    PEEL_NOISE = "The shared numbers carry noise, and each layer undone may amplify it: the picture fits them only so far."
    PEEL_RANK = "A layer shrinks too much: its equations are fewer than its unknowns, so many inputs fit."
    PEEL_MAX_POOLING = "Max-pooling hides which of its inputs it kept, so the way down ends there."
    PEEL_SKIP = "A skip connection adds two unknown branches, so the way down ends there."
    PEEL_UNSUPPORTED = "The way down ends at a layer that the algebra does not undo."
    SET_APART = "Several pictures read off exactly: their labels, or the units that each leaves silent, set them apart."
    PEEL_BATCH = "Several pictures share one gradient, and nothing sets them apart; the way down never begins."
    STRAIGHTENED = "Read off layer by layer, again and again, until the picture explained what the local steps changed too."
    PEEL_LOCAL_STEPS = "After local steps the weights moved under way, so the equations hold only approximately."
    PEEL_INEXACT = "The way down led to no picture that explains the shared numbers."


@dataclass(frozen=True, eq=False)
class AttackState:
    """One moment of an attack: detached copies only, safe to keep."""

    iteration: int
    iterations: int
    candidate: Images
    objective: float
    terms: Mapping[str, float] = field(default_factory=dict)
    restart: int = 0
    labels: Labels | None = None
    features: Tensor | None = None
    """Recovered input of the first fully connected layer, shape (batch, features); closed-form attacks only."""
    outcome: Outcome | None = None
    note: str = ""
    """The number behind the outcome, in one sentence."""
    layers: tuple[LayerRecovery, ...] = ()
    """Peeled layers, top to bottom; closed-form attacks only."""
