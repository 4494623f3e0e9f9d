"""Training the shipped networks: seeded, resumable, and driven step by step like the attacks.

folder = Path("runs/small_convnet")
for progress in train(SmallConvNet(), CIFAR10(root="data"), Recipe(epochs=20), folder):
    ...  # show progress.loss, progress.accuracy
checkpoints.load(network, SmallConvNet(), "runs/small_convnet/small_convnet.safetensors")
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lab.client.checkpoints.card import Card, Recipe, Rule
from lab.client.checkpoints.store import save
from lab.client.datasets.base import Dataset
from lab.client.samples import Samples
from lab.errors import LabError
from lab.federated.classifier import Classifier
from lab.federated.networks.base import Network
from lab.files.atomic import writing
from lab.machine import devices
from lab.options.plain import to_plain
from lab.randomness import stream

STEPS_PER_REPORT = 20
STATE = "state.pt"
MEASURED = 500
"""Samples that are answered at once."""


@dataclass(frozen=True)
class TrainingProgress:
    """One moment of a training: the mean loss since the last report; the accuracy where an epoch ends."""

    epoch: int
    """Epochs that are finished."""
    epochs: int
    step: int
    """Steps of the current epoch that are finished."""
    steps: int
    loss: float
    learning_rate: float
    accuracy: float | None = None
    """Share of the held-out training pictures classified rightly; of sentences 1 over the perplexity."""
    told: str = ""
    """The same in words."""
    saved: Path | None = None
    """The finished weights (.safetensors); the recipe stands beside them (.json). The last report only."""


def train(
    options: Network, data: Dataset, recipe: Recipe, run: Path, stages: Sequence[float] = (), *, half: bool = False
) -> Iterator[TrainingProgress]:
    """Train a network from its seeded initial weights; an interrupted run in the folder ``run`` goes on where it stood.

    The state is saved after each epoch and, on one machine, resuming gives the very weights of an
    uninterrupted run. The finished weights and their recipe go to ``run`` as ``<network>.safetensors`` and ``.json``,
    those after so many epochs as ``stages`` names (0.2 is a fifth of the first) as ``<network>-epoch-0.2.safetensors``.
    ``half`` rounds the finished weights to float16, which halves their file; their card is measured on the rounded ones.
    Raises ``LabError`` where the data cannot be had, the folder cannot be used or holds another training, or the loss
    stops being a finite number.
    """
    samples = data.samples(recipe).asked_by(options)
    learner = _Learner(options, samples, recipe)
    learner.resume(run)
    learner.stages = stage_steps(stages, learner.steps, recipe.epochs)
    learner.keep(run)  # a folder that cannot be written is found out now, not after an epoch
    while learner.epoch < recipe.epochs:
        for report in learner.train_one_epoch():
            learner.keep_stage(run, data)
            yield report
        learner.keep(run)
        yield learner.report(accuracy=samples.score(learner.answers))
    if half:
        learner.round()
    yield learner.report(saved=save(run, options.name, learner.network, learner.card(data), half=half))


class _Learner:
    """Network, optimiser and schedule at one moment of a training."""

    def __init__(self, options: Network, samples: Samples, recipe: Recipe) -> None:
        self.options, self.samples, self.recipe = options, samples, recipe
        self.where = devices.choose()
        built = options.build(samples.shape, samples.classes, stream(recipe.seed, "weights"))
        self.network = built.to(self.where, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.steps = samples.count // recipe.batch_size
        self.optimiser = _optimiser(self.network, recipe)
        total = self.steps * recipe.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: one_cycle(step, total, recipe.warm_up))
        self.epoch, self.step, self.loss = 0, 0, float("nan")
        self.stages: dict[int, float] = {}
        """Steps since the start after which the weights are wanted, and the epochs that they are called after."""

    def train_one_epoch(self) -> Iterator[TrainingProgress]:
        """All steps of one epoch. Its randomness depends on the seed and its number alone, so it can be resumed."""
        generator = stream(self.recipe.seed, f"epoch {self.epoch}")
        losses: list[Tensor] = []
        if self.epoch == 0 and 0 in self.stages:
            yield self.report()
        for step, batch in enumerate(self.samples.batches(self.recipe, generator), 1):
            losses.append(self._learn(*batch))
            if step % STEPS_PER_REPORT == 0 or step == self.steps or self.epoch * self.steps + step in self.stages:
                self.step, self.loss = step, float(torch.stack(losses).mean())
                losses.clear()
                self._check_loss()
                yield self.report()
        self.epoch, self.step = self.epoch + 1, 0

    def _check_loss(self) -> None:
        if not math.isfinite(self.loss):
            raise LabError(f"The loss of epoch {self.epoch + 1} is no finite number; train with a smaller learning_rate.")

    def _learn(self, raw: Tensor, labels: Tensor) -> Tensor:
        self.network.train()
        self.optimiser.zero_grad()
        loss = cross_entropy(self._logits(raw), labels.to(self.where))
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return loss.detach()

    def _logits(self, raw: Tensor) -> Tensor:
        inputs = self.samples.inputs(raw.to(self.where))
        with torch.autocast(self.where.type, torch.bfloat16, enabled=self.recipe.bfloat16 and self.network.training):
            return self.network(inputs).float()

    def answers(self, raw: Tensor) -> Tensor:
        """The logits of samples kept aside, in float32, on the CPU."""
        self.network.eval()
        with torch.no_grad():
            return torch.cat([self._logits(part).cpu() for part in raw.split(MEASURED)])

    @torch.no_grad()
    def round(self) -> None:
        """Round the weights to what float16 holds; statistics of batch norm stay as they are."""
        for weights in self.network.parameters():
            weights.copy_(weights.half())

    def report(self, accuracy: float | None = None, saved: Path | None = None) -> TrainingProgress:
        """Where the training stands."""
        rate = float(self.schedule.get_last_lr()[0])
        return TrainingProgress(
            self.epoch,
            self.recipe.epochs,
            self.step,
            self.steps,
            self.loss,
            rate,
            accuracy=accuracy,
            told="" if accuracy is None else self.samples.told(accuracy),
            saved=saved,
        )

    def keep_stage(self, run: Path, data: Dataset) -> None:
        """Save the weights of this very step where they are wanted. Raises ``LabError`` where the folder cannot be written."""
        after = self.stages.get(self.epoch * self.steps + self.step)
        if after is not None:
            name = f"{self.options.name}-epoch-{after:g}"
            save(run, name, self.network, replace(self.card(data), after_epochs=after))

    def card(self, data: Dataset) -> Card:
        """The card of the finished weights, with what was measured on samples kept aside."""
        return Card(
            network=self.options,
            classes=self.samples.classes,
            image_shape=self.samples.told_shape,
            recipe=self.recipe,
            data=data.name,
            training_pictures=self.samples.count,
            torch=torch.__version__,
            date=datetime.now(UTC).date().isoformat(),
            **self.samples.grades(self.answers),
        )

    def keep(self, run: Path) -> None:
        """Save the state of the last full epoch, whole or not at all. Raises ``LabError``."""
        state = {"training": self._identity()} | {name: part.state_dict() for name, part in self._parts()}
        try:
            with writing(run, STATE) as drafts:
                torch.save(state, drafts / STATE)
        except (OSError, RuntimeError) as error:
            raise LabError(f"The folder {run} cannot be written ({_first_line(error)}); choose another folder.") from None

    def resume(self, run: Path) -> None:
        """Take up the state in ``run`` where there is one. Raises ``LabError`` where it is damaged or of another training."""
        if not (run / STATE).exists():
            return
        try:
            state = torch.load(run / STATE, map_location=self.where, weights_only=True)
            self.epoch = state["training"]["epoch"]
            mine = state["training"] == self._identity()
            for name, part in self._parts() if mine else ():
                part.load_state_dict(state[name])
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, UnpicklingError):
            raise LabError(f"The state {run / STATE} is damaged; delete it to train from the start.") from None
        if not mine:
            raise LabError(f"{run} holds the training of another network, recipe or data set; choose another folder.")

    def _parts(self) -> tuple[tuple[str, Any], ...]:
        return ("network", self.network), ("optimiser", self.optimiser), ("schedule", self.schedule)

    def _identity(self) -> dict[str, Any]:
        sizes = {"classes": self.samples.classes, "pictures": self.samples.count}
        return {"network": to_plain(self.options), "recipe": to_plain(self.recipe), "epoch": self.epoch} | sizes


def stage_steps(stages: Sequence[float], steps: int, epochs: int) -> dict[int, float]:
    """Steps since the start -> epochs, for weights wanted on the way. Raises ``LabError`` beyond the training's end."""
    for stage in stages:
        if not 0 <= stage <= epochs:
            raise LabError(f"The weights after {stage:g} epochs are wanted of a training of {epochs}; give 0 to {epochs}.")
    return {round(stage * steps): stage for stage in stages}


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """The step size of a step as a share of the highest: from 1/25 up to 1, then down to 0.000004, each along a cosine.

    Smith and Topin, "Super-convergence", 2019; the shape of ``torch.optim.lr_scheduler.OneCycleLR``, which
    divides by zero in very short trainings.
    """
    start, end = 1 / 25, 1 / 25 / 1e4
    top, last = max(warm_up * steps - 1, 0), steps - 1
    if step < top:
        return _cosine(start, 1, step / top)
    return _cosine(1, end, min((step - top) / max(last - top, 1), 1))


def _cosine(first: float, last: float, share: float) -> float:
    """From ``first`` at share 0 to ``last`` at share 1."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))


def _optimiser(network: Classifier, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.rule is Rule.ADAMW:
        return torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    return torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=decay, nesterov=True)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
