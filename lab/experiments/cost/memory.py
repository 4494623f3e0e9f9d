"""The most memory that an experiment asks for, counted in numbers: its round, then its attack.

Each count adds up what lives at the same time, as the code that it speaks of lays it out, and is rounded up: the truth,
measured block by block, is never above it (``tests/test_cost.py``). ``held`` is what a round leaves behind for the attack.
Where nothing else is said, a number is a float32 of 4 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

from lab.attacks.analytic import Analytic
from lab.attacks.base import Attack
from lab.attacks.closed_form.layerwise import SMOOTH
from lab.attacks.closed_form.spatial.feature_inversion import HISTORY
from lab.attacks.feature_span import FeatureSpan
from lab.attacks.gradient_matching import GradientMatching
from lab.attacks.graph.bounds import MAX_KEPT_TYPES, STARTS, TYPES_AT_ONCE
from lab.attacks.head_start import HeadStart
from lab.attacks.label_reading import LabelReading
from lab.attacks.matching.adaptive_steps import MAX_WEIGHTS
from lab.attacks.matching.distances.base import Distance
from lab.attacks.matching.optimisers.lbfgs import LBFGS
from lab.attacks.matching.settings import Derivative, Matching, Steps
from lab.attacks.neighbourhoods import Neighbourhoods
from lab.attacks.patch_embedding import PatchEmbedding
from lab.attacks.recursive import Recursive
from lab.attacks.soft_pooling import SoftPooling
from lab.attacks.span import Span
from lab.attacks.text.prefixes import CHUNK
from lab.client.defences.base import Defence, TrainingDefence
from lab.client.defending import server_view
from lab.experiments.cost.network_profile import Layer, NetworkProfile
from lab.experiments.experiment import Experiment
from lab.federated.local_optimisers.base import LocalOptimiser
from lab.federated.protocols.base import Protocol

BYTES = 4
PICTURES_BESIDE = 50
"""The gallery and its mirror images, among which decoys are sought, and copies on the way."""
VERIFICATION = 5
"""Times the weights: what the proof takes that the kinks of a network may be frozen, which tries both ways on one picture."""
SOFT_STEP = 14
"""Times the weights: a step of Adam's in a graph, with what its roots and ratios keep for the way back."""
UNROLLED = 3
"""Times the weights, for each number that an optimiser remembers of one: what a step of its keeps in a graph."""
CONDITION = 4 * 2 * SMOOTH.inner**2
"""What the condition of a solve is told by: square matrices of its iterations, in double precision."""
COPIES = 12
"""Of the candidate: its gradients, moments, shapes, the best and the newest state, the score's maps."""
SOFT_COPIES = 12
"""Of all that passes forward: what soft poolings and ReLUs keep of their windows for two derivatives."""
REFINED = 12
"""Of the weights, where what rounding took of a change is sought: two networks, what was sent and what is missing, in double
precision, and the last two once more."""
DOUBLE = 2
"""A number in double precision takes two."""
USUAL = GradientMatching(optimiser=LBFGS())
"""What stands for an attack that nobody has counted: one that remembers much of its way."""
SPANS, CHECKED, FOLLOWED = 4, 4, 4
"""Copies that a span's decomposition takes of a layer, a check of all words, and of those that fit as they are followed."""


@dataclass(frozen=True)
class Sizes:
    """What an experiment's sizes come to, in numbers."""

    drawn: NetworkProfile
    pictures: int
    steps: int
    """Training steps behind the update."""
    rows: int
    """Pictures in each of them."""
    defended: bool
    optimiser: LocalOptimiser
    """The client's."""

    @property
    def is_gradient(self) -> bool:
        """Whether one gradient is all that is sent, but for its length."""
        return self.steps == 1 and self.optimiser.is_plain

    @property
    def held(self) -> int:
        """Weights and update, and the update that is sent in its place."""
        return (3 if self.defended else 2) * self.drawn.weights

    @property
    def around(self) -> int:
        """Pictures of all kinds, and what one layer takes in, gives and is told on the way back."""
        images = (COPIES * self.pictures + PICTURES_BESIDE) * self.drawn.numbers
        return images + 2 * self.pictures * self.drawn.widest

    def kept(self, pictures: int) -> int:
        """What a forward pass of so many pictures keeps."""
        return pictures * self.drawn.kept

    def decided(self, pictures: int) -> int:
        """What its kinks decide."""
        return pictures * self.drawn.decided


def sizes_of(experiment: Experiment, drawn: NetworkProfile) -> Sizes:
    """The sizes of an experiment with a network of that sketch."""
    return sizes_with(experiment.protocol, experiment, drawn)


def sizes_with(protocol: Protocol, experiment: Experiment, drawn: NetworkProfile) -> Sizes:
    """The same if the client stepped so."""
    steps = protocol.steps(experiment.batch_size)
    rows = max(experiment.batch_size if chosen is None else len(chosen) for chosen in steps.rows)
    return Sizes(drawn, experiment.batch_size, len(steps.rows), rows, bool(experiment.defences), steps.optimiser)


def server_sizes(experiment: Experiment, drawn: NetworkProfile) -> list[Sizes]:
    """What a server may take them for, one after another."""
    return [sizes_with(protocol, experiment, drawn) for protocol in _told(experiment).guesses()]


def _told(experiment: Experiment) -> Protocol:
    return server_view(experiment.defences, experiment.protocol, experiment.batch_size, experiment.asked)


def round_bytes(experiment: Experiment, sizes: Sizes) -> int:
    """The most bytes that live at the same time while the client trains, defends and sends."""
    return BYTES * (_round(experiment, sizes) + sizes.around)


def attack_bytes(experiment: Experiment, sizes: Sizes) -> int:
    """The same while the server attacks, or a page reads the layers, with what the round left behind."""
    attacks = [_attack(experiment.attack, taken) for taken in server_sizes(experiment, sizes.drawn)]
    return BYTES * (sizes.held + _known(experiment, sizes) + max(*attacks, _reading(sizes)) + sizes.around)


def _known(experiment: Experiment, sizes: Sizes) -> int:
    """A network of the server's own that does as the client's did, where a defence changes the training."""
    return sizes.drawn.weights if any(isinstance(defence, TrainingDefence) for defence in experiment.defences) else 0


def _round(experiment: Experiment, sizes: Sizes) -> int:
    """Weights and gradient, weights on the move after several steps; then what each defence writes."""
    weights = sizes.drawn.weights
    loaded = weights if experiment.trained else 0
    trained = (2 if sizes.steps == 1 else 3) * weights + sizes.kept(sizes.rows) + _remembered(sizes)
    return max(weights + loaded, trained, *(_defended(defence, sizes.drawn) for defence in experiment.defences))


def _remembered(sizes: Sizes) -> int:
    """What the client's optimiser keeps of each weight, and what it writes down while it steps one tensor."""
    if sizes.optimiser.is_plain:
        return 0
    return sizes.optimiser.remembered * sizes.drawn.weights + (2 * sizes.optimiser.remembered + 1) * sizes.drawn.largest_weight


def _defended(defence: Defence, drawn: NetworkProfile) -> int:
    """Weights, the clean update and the one before, what is sent, and what the defence needs on its way."""
    return 4 * drawn.weights + defence.working(drawn.weights, drawn.largest_weight)


def _reading(sizes: Sizes) -> int:
    """The algebra of any experiment's fully connected layers: a product as large as the layer, or its singular vectors."""
    heads = [layer for layer in sizes.drawn.layers if layer.head]
    return max(((3 if layer.biased else 6) * layer.weights for layer in heads), default=0)


@singledispatch
def _attack(attack: Attack, sizes: Sizes) -> int:
    """What the attack needs beside what is held; of one that nobody has counted, what the dearest two need together."""
    return _descent(sizes) + _attack(_dearest(attack), sizes)


def _dearest(attack: Attack) -> GradientMatching:
    """Matching that derives every local step twice, with the attack's own settings where it is a kind of matching."""
    own = GradientMatching.of(attack) if isinstance(attack, Matching) else USUAL
    return replace(own, derivative=Derivative.EXACT, local_steps=Steps.SIMULATED)


@_attack.register
def _(attack: Analytic | LabelReading, sizes: Sizes) -> int:
    """The ratio is held against the rest of the head, in double precision."""
    head = sum(layer.weights for layer in sizes.drawn.layers if layer.head)
    return 4 * head + 2 * _reading(sizes) + sizes.drawn.weights // 2


@_attack.register
def _(attack: GradientMatching, sizes: Sizes) -> int:
    history = attack.optimiser.history if isinstance(attack.optimiser, LBFGS) else 0
    remembered = 3 * history * sizes.pictures * sizes.drawn.numbers
    if attack.local_steps is Steps.SURROGATE and not sizes.is_gradient:
        return remembered + (_surrogate if sizes.optimiser.is_linear else _soft_steps)(attack, sizes)
    unrolled = (
        0 if sizes.optimiser.is_plain else sizes.steps * UNROLLED * max(1, sizes.optimiser.remembered) * sizes.drawn.weights
    )
    return remembered + unrolled + _matcher(attack, sizes, sizes.steps, sizes.rows, followed=sizes.optimiser.is_plain)


def _soft_steps(attack: Matching, sizes: Sizes) -> int:
    """At each place its weights, their gradient and each direction in one graph, and what bends the way."""
    places = min(sizes.steps, MAX_WEIGHTS)
    return places * (SOFT_STEP * sizes.drawn.weights + 3 * sizes.kept(sizes.pictures)) + 4 * sizes.drawn.weights


def _surrogate(attack: Matching, sizes: Sizes) -> int:
    """Weights half way and a corrected update; beside them the single step's matching, or a simulation to correct by."""
    weights = sizes.drawn.weights
    simulation = 5 * weights + sizes.kept(sizes.pictures) + _remembered(sizes)
    return 2 * weights + max(simulation, _matcher(attack, sizes, 1, sizes.pictures))


def _matcher(attack: Matching, sizes: Sizes, steps: int, rows: int, *, followed: bool = True) -> int:
    """One look at a candidate; ``followed``: by steps that the fast derivative follows."""
    weights, largest = sizes.drawn.weights, sizes.drawn.largest_weight
    blends = type(attack.distance).blender is not Distance.blender
    if not attack.wants_frozen() or not followed:
        graph = (5 * steps + 3) * sizes.kept(rows) // 2
        return (steps + (4 if blends else 6)) * weights + largest + graph
    return max(_frozen(sizes, steps, rows, blends=blends), VERIFICATION * weights + largest + 4 * sizes.kept(1))


def _frozen(sizes: Sizes, steps: int, rows: int, *, blends: bool) -> int:
    """A finite difference, for which what the kinks decide is kept."""
    weights, largest = sizes.drawn.weights, sizes.drawn.largest_weight
    passes = sizes.kept(rows) + 2 * sizes.decided(rows)
    if steps == 1:
        return passes + (weights if blends else 8 * weights + largest)
    tapes = steps * (sizes.decided(rows) // 4 + 2 * rows * sizes.drawn.numbers)
    return passes + tapes + (steps + (4 if blends else 8)) * weights + largest


@_attack.register
def _(attack: HeadStart, sizes: Sizes) -> int:
    return max(_descent(sizes), _attack(attack.without(), sizes))


@_attack.register
def _(attack: Recursive, sizes: Sizes) -> int:
    return max(_descent(sizes), _attack(GradientMatching(), sizes))


@_attack.register
def _(attack: SoftPooling, sizes: Sizes) -> int:
    """The head in double precision, and two derivatives of soft windows; or the head start in its place."""
    soft = 4 * sizes.drawn.weights + 2 * _reading(sizes) + SOFT_COPIES * sizes.kept(sizes.pictures)
    return max(soft, _attack(HeadStart(), sizes))


@_attack.register
def _(attack: PatchEmbedding, sizes: Sizes) -> int:
    """The system's matrices in double precision, a few pictures on the way, and the picture's own training; or matching."""
    cut = [layer for layer in sizes.drawn.layers if layer.unfolded][:1]
    system = sum(
        2 * layer.weights + 3 * layer.outputs + 2 * layer.seen**2 + (layer.outputs // layer.seen) ** 2 for layer in cut
    )
    own = 2 * sizes.drawn.weights + sizes.kept(sizes.rows)
    solved = 2 * (2 * system + COPIES * sizes.drawn.numbers) + own
    refined = 0 if sizes.is_gradient else REFINED * sizes.drawn.weights
    return max(solved, refined + _attack(GradientMatching(), sizes) if attack.hand_over else 0)


@_attack.register
def _(attack: Span, sizes: Sizes) -> int:
    """In double precision both spans, and all words at one place; those that fit behind a beginning; their own training."""
    own = 2 * sizes.drawn.weights + sizes.kept(sizes.rows)
    return max([own, *(_spans(layer, sizes.pictures) for layer in sizes.drawn.layers if layer.words)])


def _spans(layer: Layer, sentences: int) -> int:
    width = layer.width
    followed = FOLLOWED * CHUNK * width
    return DOUBLE * (SPANS * 3 * width**2 + CHECKED * layer.words * width) + followed + sentences * layer.inputs


@_attack.register
def _(attack: Neighbourhoods, sizes: Sizes) -> int:
    """Of neighbourhoods looked at, and of those kept and joined, what enters and leaves a layer, in double precision."""
    widest = max((layer.inputs + layer.outputs) // layer.channels for layer in sizes.drawn.layers if layer.channels)
    return 2 * (TYPES_AT_ONCE + 2 * MAX_KEPT_TYPES) * widest + 4 * sizes.drawn.weights


@_attack.register
def _(attack: FeatureSpan, sizes: Sizes) -> int:
    """In double precision two slopes of every start, each as large as the first layer's weights, and the decompositions."""
    return DOUBLE * (4 * STARTS + 4) * max(layer.weights for layer in sizes.drawn.layers) + 4 * sizes.drawn.weights


def _descent(sizes: Sizes) -> int:
    """Everything once more in double precision, and what the solves of single layers need."""
    searched = (2 * HISTORY + COPIES) * sizes.drawn.numbers
    return 4 * sizes.drawn.weights + 2 * _reading(sizes) + max(_solves(sizes), _places(sizes.drawn)) + searched + CONDITION


def _solves(sizes: Sizes) -> int:
    """Conjugate gradients through layers that hide nothing, in double precision: patches and a few of all that passes."""
    layers = [layer for layer in sizes.drawn.layers if layer.unfolded]
    unfolded = max((layer.unfolded for layer in layers), default=0)
    whitened = max((layer.channels**2 * layer.places[0] * (layer.places[1] // 2 + 1) for layer in layers), default=0)
    return 2 * sizes.pictures * (3 * unfolded + 8 * sizes.drawn.kept) + 10 * (whitened if sizes.drawn.is_open else 0)


def _places(drawn: NetworkProfile) -> int:
    """Equations for each pixel of a feature map, top to bottom as far as the weight gradients can tell all of them."""
    most = 0
    layers = [layer for layer in reversed(drawn.layers) if layer.unfolded]
    if drawn.is_open or not layers or layers[0].outputs < layers[0].seen ** 2:
        return 0
    for layer in layers:
        places, rows = layer.places[0] * layer.places[1], layer.weights // layer.channels
        most = max(most, 2 * (places**2 + places * layer.unfolded // layer.channels + 4 * rows * places))
        if rows < places:
            break
    return most
