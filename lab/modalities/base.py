"""What a modality is: everything that is said of inputs of one kind, for the attacks, the judge and the page.

Three forms of a batch meet here. The client has *inputs* as they are, pictures or tokens. The *leaves* are what an attack
moves: free tensors by name. A *candidate* is what the network eats in the attack, made of the leaves: pixels, or a graph's
features and its symmetrised edges, or embeddings. To be judged, a candidate is *decoded* into inputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lab.lazy import Float, Int, Tensor, no_grad, torch

from lab.errors import LabError
from lab.federated.gradients import pull_back
from lab.federated.inputs import as_in, as_mapping, count, detached, flat, shape_of, tree_map, zip_map
from lab.federated.observation import Observation
from lab.federated.tensors import Inputs, Shape
from lab.modalities.line_up import Thresholds
from lab.modalities.pairing import best_matching
from lab.modalities.realism import Realism
from lab.options.catalogue import Entry, find

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

Leaves = dict[str, Tensor]
"""What an attack moves, by name."""
Metric = Callable[[Tensor], Tensor]
"""A symmetric positive definite M, from the first leaf's gradient to the way down that seems good before any step is known."""


@dataclass(frozen=True)
class Measure:
    """One number that says how alike a reconstruction and its private input are."""

    of: Callable[[Inputs, Inputs], Float[Tensor, " batch"]]
    """Of the reconstructions and the private inputs, one for each."""
    title: str
    meaning: str
    """One plain sentence, for a reader who meets the number for the first time."""
    unit: str = ""
    digits: int = 2
    nothing: str = ""
    """What knowing nothing scores, where that is the same for every input."""
    in_summary: bool = True
    """Whether the one line that sums up a run tells it."""
    full: float = 1.0
    """What an axis of it reaches at least."""

    def told(self, value: float) -> str:
        """A value in words."""
        return f"{value:.{self.digits}f} {self.unit}".strip()


@dataclass(frozen=True, eq=False)
class Shown:
    """A batch on its way to the browser, where ``widgets/views/shown/<kind>.js`` draws it."""

    kind: str
    values: np.ndarray
    """uint8 or float32, the batch first."""
    words: Mapping[str, object]
    """What the drawing needs besides, as plain data."""


@dataclass(frozen=True, eq=False)
class Beside:
    """What a reconstruction is drawn together with."""

    truth: Inputs | None = None
    """The private inputs, where they are known: alike inputs are to look alike."""
    whole: Inputs | None = None
    """What the reconstruction is a part of, which grows without moving."""
    other: Inputs | None = None
    """Another answer that nobody can tell from it."""
    places: Sequence[tuple[float, float]] | None = None
    """Where the parts of the one private input stand, where somebody has drawn them, in [0, 1]."""


class Modality(Entry):
    """Base of all modalities: an entry is a folder, and stands in its ``__init__``."""

    kind: ClassVar[str] = "modality"
    dataset: ClassVar[str]
    network: ClassVar[str]
    """By name, what an experiment begins with that turns to this modality; the data set ships with the lab."""
    one: ClassVar[str]
    many: ClassVar[str]
    """What a reader calls an input, and several."""
    features: ClassVar[str] = ""
    """What the features that enter the head tell of an input, in a sentence, where that is more than of a picture."""
    read_by: ClassVar[str] = "place"
    """What an attack that guesses nothing reads one by one."""
    unknowns: ClassVar[str] = "numbers"
    """What a reader calls the numbers that an input is made of."""
    measures: ClassVar[Mapping[str, Measure]]
    """By name, which is also how results are kept; each modality has its own."""
    main: ClassVar[str]
    """The measure that curves and controls are told in."""
    controls: ClassVar[Mapping[str, str]]
    """What ``ignorance`` answers, by name, and what that is in a sentence: "a grey picture"."""
    details: ClassVar[Mapping[str, str]] = {}
    """Further numbers of ``detail`` that studies average, by name, and what tables call them."""
    thresholds: ClassVar[Thresholds]
    likeness_meaning: ClassVar[str] = "How alike the reconstruction and the secret are: 1 is the same."
    """What the line-up goes by, in one plain sentence."""
    fitting: ClassVar[str] = "inputs of the shape"
    """What is to be chosen as trained weights want it, before "that they were trained on"."""
    scale_note: ClassVar[str] = ""
    """What is to be said of ``at_some_scale``."""
    realism: ClassVar[Realism | None] = None
    """How natural a reconstruction looks; None where no number tells."""

    # --- the attack's side ---------------------------------------------------------------------------------------

    def guessed_shape(self, inputs: Inputs, seen_by: torch.nn.Module) -> Shape:
        """The shape of one candidate, as an attack has to guess it: the inputs', unless the network embeds them."""
        return shape_of(inputs)

    @abstractmethod
    def start(self, seen: Observation, generator: torch.Generator, *, noise: bool) -> Inputs:
        """The first candidate: what knowing nothing suggests, or noise around it."""

    def leaves(self, candidate: Inputs, *, broad: bool) -> Leaves:
        """Fresh leaves at which ``inputs`` gives this candidate; ``broad`` asks for those of all scales, if there are any."""
        return dict(as_mapping(detached(candidate)))

    def metric(self, candidate: Inputs) -> Metric | None:
        """A metric for an optimiser that takes one in the place of broad leaves; None where there is none."""
        return None

    def inputs(self, leaves: Leaves, like: Inputs) -> Inputs:
        """The candidate that these leaves make, in the form of ``like``, differentiable in them."""
        return as_in(like, leaves)

    def pull_back(self, leaves: Leaves, gradient: Inputs) -> Leaves:
        """The gradient with respect to each leaf, from that with respect to the candidate."""
        with torch.enable_grad():
            free = {name: leaf.detach().requires_grad_() for name, leaf in leaves.items()}
            made, wanted = as_mapping(self.inputs(free, gradient)), as_mapping(gradient)
            found = pull_back([made[name] for name in wanted], list(free.values()), list(wanted.values()))
        return dict(zip(free, found, strict=True))

    @no_grad
    def project(self, leaves: Leaves, like: Inputs, *, boxed: bool) -> Inputs:
        """Put the leaves back inside after a step, and give the candidate there, outside any graph.

        ``boxed`` is the reader's choice to keep the candidate where inputs of this kind can be.
        """
        return tree_map(lambda tensor: tensor.detach(), self.inputs(leaves, like))

    def inside(self, candidate: Inputs) -> Inputs:
        """The nearest candidate that inputs of this kind can be."""
        return candidate

    def at_some_scale(self, entered: Tensor, seen: Observation) -> Inputs:
        """An input that can be shown, of what entered the first layer, shape (batch, ...), known up to its scale alone."""
        return seen.network.normalise.inverse(entered)

    # --- the judge's side ----------------------------------------------------------------------------------------

    def decode(self, candidate: Inputs, seen: Observation | None) -> Inputs:
        """The candidate as inputs of the client's kind; ``seen`` holds the network, where decoding needs it."""
        return self.inside(candidate)

    def pair(self, truth: Inputs, found: Inputs) -> Int[Tensor, " batch"]:
        """For each private input the number of its reconstruction, none taken twice."""
        return best_matching(flat(truth), flat(found))

    def scores(self, truth: Inputs, found: Inputs) -> Mapping[str, Float[Tensor, " batch"]]:
        """Every measure of paired reconstructions."""
        return {name: measure.of(found, truth) for name, measure in self.measures.items()}

    def detail(self, truth: Inputs, found: Inputs) -> tuple[Mapping[str, Any], ...]:
        """What a study keeps of each pair beside the measures, as plain data."""
        return tuple({} for _ in range(count(truth)))

    @abstractmethod
    def likeness(self, one: Inputs, others: Inputs) -> Float[Tensor, " others"]:
        """How like one reconstruction is to each of the others, at most 1: what the line-up goes by."""

    @abstractmethod
    def ignorance(self, truth: Inputs, others: Inputs) -> Mapping[str, Inputs]:
        """Answers that know nothing of the update, in the form of ``truth``; ``others`` are other inputs of the set."""

    def alike(self, others: Inputs, inputs: Inputs) -> Inputs:
        """Decoys brought into the form of the private inputs."""
        return zip_map(lambda other, own: other.to(own), others, inputs)

    def refuse(self, truth: Inputs) -> None:
        """Raise ``LabError`` for a truth that no input of this kind can be."""

    def truth_from(self, files: Sequence[Path], shape: Shape) -> Inputs:
        """The private inputs that files hold, each of this shape. Raises ``LabError`` where they do not."""
        raise LabError(f"The truth cannot be read from files where {self.many} are sought; leave it out.")

    # --- the client's side ---------------------------------------------------------------------------------------

    def other_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """Shapes that the same inputs could be given in, their own first: trained weights may ask for one of them."""
        return (shape,)

    def in_shape(self, inputs: Inputs, shape: Shape) -> tuple[Inputs, str]:
        """The inputs in one of ``other_shapes``, and a sentence about what was made of them."""
        return inputs, ""

    # --- for people ----------------------------------------------------------------------------------------------

    @abstractmethod
    def shown(self, inputs: Inputs, beside: Beside | None = None) -> Shown:
        """What the browser draws; ``beside`` is what stands next to it, where the order or the look depends on that."""

    def sheet(self, truth: Inputs, found: Inputs) -> bytes:
        """A picture file for a study's contact sheet: inputs above, reconstructions below; empty where none is drawn."""
        return b""

    def packed(self, inputs: Inputs) -> Inputs:
        """A frame as it is kept while an attack goes on, on the CPU, in little memory."""
        return tree_map(lambda tensor: tensor.detach().cpu(), inputs)

    def unpacked(self, frame: Inputs) -> Inputs:
        """The inputs of a frame that was ``packed``."""
        return frame

    def files(self, original: Inputs, rebuilt: Inputs, frames: list[Inputs]) -> Mapping[str, bytes]:
        """What a run leaves in its folder, by the files' names: truth and reconstructions, paired, and frames on the way.

        Of a round of one's own no frames are kept.
        """
        return self.files_alone(rebuilt)

    def files_alone(self, rebuilt: Inputs) -> Mapping[str, bytes]:
        """What a run leaves in its folder where no truth is known: the reconstructions."""
        return {}


def modality_of(name: str) -> Modality:
    """The modality of a name, as a network, a data set or an observation speaks it. Raises ``LabError`` where there is none."""
    found = find("modality", name)()
    assert isinstance(found, Modality)
    return found
