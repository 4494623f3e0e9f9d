"""Steps that hide the size of gradients: taken at the places that the client passed, with slopes lent to them."""

from __future__ import annotations

from collections.abc import Iterator

from lab.lazy import Tensor, torch

from lab.attacks.matching.local_steps import LARGE_RESIDUAL, Correction, Surrogate, residual_in_words
from lab.federated.gradients import gradient_wrt, trainable
from lab.federated.local_optimisers.base import Memory
from lab.federated.observation import Observation
from lab.federated.tensors import Gradients, Inputs, Targets

MAX_WEIGHTS = 5
"""Of more steps each place stands for several."""
SOFTNESS = 0.3
"""Share of a tensor's mean gradient below which slopes let sizes through, as in ``SoftSigns``."""
TINY = 1e-12


class SoftStepsSurrogate(Surrogate):
    """The client's own rule on gradients at known places, for optimisers that divide gradients by their sizes (Adam).

    The first direction is a sign: all that tells a picture from another is where signs turn, and how gradients changed
    along the way, which later directions tell. But each weight moved about as far at each step, so the server knows the
    places: evenly from theta_0 to theta_K. There the candidate's gradients are taken and stepped by the client's rule.
    From time to time the candidate's own way is simulated, and how it bends taken over: the truth is a fixed point.

    A sign has no slope to climb. So values are those of the rule, and slopes those of one that lets small gradients pass by
    their size (a straight-through estimator, Bengio et al. 2013).
    """

    def __init__(self, client: Observation) -> None:
        super().__init__(client, is_curved=True)
        count = len(self.steps.rows)
        self.places = min(count, MAX_WEIGHTS)
        self.stride = count / self.places
        self.optimiser = self.steps.optimiser.in_strides(self.stride)
        self.bends = list[Gradients]()
        """By how much each place but the first is beside the straight way; nothing before the first correction."""

    def note(self, residual: float) -> str:
        """What such a residual means; empty where the candidate came near."""
        if residual <= LARGE_RESIDUAL:
            return ""
        return (
            f"This picture's own {self.client.local_steps} local steps miss the shared update by "
            f"{residual_in_words(residual)}: steps that divide gradients by their sizes tell little beside signs, and signs of "
            "the smallest come out last."
        )

    def correction(self, inputs: Inputs, targets: Targets) -> Correction:
        """How far this candidate is; from now on gradients are taken on its way, moved to end where the client's did."""
        residual = self.residual(inputs, targets)
        if residual < 1:
            self.bends = self._bends(inputs, targets)
        return Correction(None, residual)

    def update(self, inputs: Inputs, targets: Targets) -> Gradients:
        """What the candidate's steps send, in the graph of the inputs."""
        total = dict[str, Tensor]()
        soft, hard = dict[str, Memory](), dict[str, Memory]()
        sizes = dict[str, float]()
        for step in range(self.places):
            for name, weight, gradient in self._gradients(self._place(step), inputs, targets, differentiable=True):
                if name not in sizes:
                    sizes[name] = float(gradient.detach().abs().mean()) + TINY
                softness = SOFTNESS * sizes[name]
                sloped, soft[name] = self.optimiser.direction(step, weight, gradient, soft.get(name, ()), softness)
                value, hard[name] = self.optimiser.direction(step, weight, gradient.detach(), hard.get(name, ()))
                direction = sloped + (value - sloped).detach()
                total[name] = total[name] + direction if name in total else direction
        return {name: tensor * -self._rate for name, tensor in total.items()}

    @property
    def _rate(self) -> float:
        """Of a step from place to place."""
        return self.steps.rate * self.stride

    def _gradients(
        self, weights: Gradients, inputs: Inputs, targets: Targets, *, differentiable: bool
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Each tensor there, by its name, and its gradient."""
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
        value = self.steps.loss.value(torch.func.functional_call(self.client.network, leaves, (inputs,)), targets)
        for name, gradient in gradient_wrt(value, leaves, differentiable=differentiable).items():
            yield name, leaves[name].detach(), gradient

    def _place(self, step: int) -> Gradients:
        """The weights at that step: on a straight way, or beside it."""
        places = dict[str, Tensor]()
        for name, weight in trainable(self.client.network).items():
            places[name] = torch.add(weight.detach(), self.client.update[name], alpha=step / self.places)
            if step and self.bends:
                places[name].add_(self.bends[step - 1][name])
        return places

    def _bends(self, inputs: Inputs, targets: Targets) -> list[Gradients]:
        """How a candidate's own way leaves the straight one between its ends, at each place but the first."""
        start = {name: weight.detach() for name, weight in trainable(self.client.network).items()}
        weights, memories, way = start, dict[str, Memory](), list[Gradients]()
        for step in range(self.places):
            moved = dict[str, Tensor]()
            for name, weight, gradient in self._gradients(weights, inputs, targets, differentiable=False):
                direction, memories[name] = self.optimiser.direction(step, weight, gradient, memories.get(name, ()))
                moved[name] = weight.sub(direction, alpha=self._rate)
            weights = moved
            way.append({name: tensor - start[name] for name, tensor in moved.items()})
        end = way.pop()
        for step, passed in enumerate(way, start=1):
            for name, tensor in passed.items():
                tensor.sub_(end[name], alpha=step / self.places)
        return way
