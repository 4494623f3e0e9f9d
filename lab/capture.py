"""What a client sent, kept in a file that the lab attacks.

This module stands alone: it needs torch and safetensors only, and can be copied to where a client trains. Hence it is one
file, with what Flower needs at its end, and writes files by itself.

    with capturing(model, "update.safetensors"):
        ...                           # the client's own training step or steps, whatever they are

    app = captured(app, "captures")   # a Flower ClientApp, its own code unchanged

The file is safetensors, never a pickle: the tensors ``weights/NAME`` (before training) and ``update/NAME`` (what left the
client), and in the metadata the recipe (``Recipe``), all of which a server knows that wrote the client's program. Neither a
picture nor a label is in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

FORMAT = "gradlab capture 1"
"""Under "format" in the metadata; the recipe is JSON under "recipe"."""
WEIGHTS, UPDATE = "weights/", "update/"
GRADIENT, CHANGE = "gradient", "change"
PRIVATE = "Opacus clipped the gradient of each picture and added noise to their sum, of which the attack knows nothing."
WRAPPERS = ("_module.", "module.", "_orig_mod.")
"""What Opacus, DataParallel and torch.compile put before a parameter's name."""
LOSSES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "cross_entropy",
    "BCEWithLogitsLoss": "bce_with_logits",
    "MSELoss": "mse",
}
"""Torch's modules and the lab's names; the second is the first of logarithms of probabilities."""
HOW = ("foreach", "fused", "capturable", "differentiable", "initial_lr")
"""Of an optimiser's settings those that say how a step is computed, or where a schedule of the rate began."""

HALVES = ("bfloat16", "float16")
"""Number formats of half precision."""


@dataclass(frozen=True)
class Recipe:
    """How an update came about, as far as a server knows that wrote the client's program; None where nobody said."""

    sent: str = CHANGE
    """``gradient``, or ``change`` of the weights."""
    loss: str = "cross_entropy"
    """In the words of the lab's command line: the mean over the pictures of a step, unless it is "mse:reduction=sum"."""
    optimiser: str = "SGD"
    """The class of the client's optimiser."""
    settings: dict[str, float] = field(default_factory=dict[str, float])
    """Its numbers beside the rate that are not zero: momentum, weight_decay ...; of Adam both betas anyway."""
    learning_rate: float | None = None
    local_steps: int = 1
    pictures: int | None = None
    """Different pictures that were trained on."""
    batch_size: int | None = None
    """Pictures in a step."""
    input_shape: tuple[int, ...] | None = None
    """(channels, height, width) of a picture."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    """What pixels in [0, 1] were normalised by before they entered the model."""
    mode: str = "train"
    """Of the model while it trained, ``train`` or ``eval``."""
    network: dict[str, Any] | None = None
    """A network of the lab's catalogue as plain data, if it is one."""
    made_by: str = "PyTorch"
    notes: tuple[str, ...] = ()
    """What else the client did, a sentence each."""


def save(path: str | Path, weights: Mapping[str, Tensor], update: Mapping[str, Tensor], recipe: Recipe) -> Path:
    """Write a capture, whole or not at all; folders are made. Returns its path."""
    tensors = {
        f"{kind}{name}": _plain(tensor)
        for kind, given in ((WEIGHTS, weights), (UPDATE, update))
        for name, tensor in given.items()
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        save_file(tensors, unfinished, {"format": FORMAT, "recipe": json.dumps(asdict(recipe), allow_nan=False)})
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


@contextmanager
def capturing(model: nn.Module, path: str | Path, **told: Any) -> Iterator[None]:
    """Keep what training inside the block makes of the model: the change of its weights, or its gradient if no optimiser steps.

    Steps, rate, momentum, pictures, their shape and a loss that is a module of torch's are watched; ``told`` is what of a
    ``Recipe`` cannot be: ``mean``, ``std``, and a ``loss`` that is a function and no mean cross entropy. An Opacus model is one
    like others. Raises ``ValueError`` where nothing changed.
    """
    before, slopes = _state(model), _slopes(model)
    with _Watch(model) as watch:
        yield
    if watch.steps:
        after = _state(model)
        update, sent = {name: after[name] - tensor for name, tensor in before.items() if tensor.is_floating_point()}, CHANGE
    else:
        update, sent = {name: tensor - slopes.get(name, 0) for name, tensor in _slopes(model).items()}, GRADIENT
    if not any(bool(tensor.any()) for tensor in update.values()):
        raise ValueError(
            "Nothing trained in this block: neither a weight nor a gradient of the model is another one than before."
        )
    recipe = replace(watch.recipe(told), sent=sent)
    if any(hasattr(weight, "grad_sample") for weight in model.parameters()):
        recipe = replace(recipe, made_by="Opacus", notes=(*recipe.notes, PRIVATE))
    save(path, before, update, recipe)


def captured(app: Any, folder: str | Path, **told: Any) -> Any:
    """A Flower ``ClientApp`` that keeps what ``app`` sends, whose own code stays as it is; see ``flower_mod``."""
    keep = flower_mod(folder, **told)

    class Captured(type(app)):
        """The app with the capture around it."""

        def __call__(self, message: Any, context: Any) -> Any:
            """What the app answers."""
            return keep(message, context, app)

    return Captured()


def flower_mod(folder: str | Path, **told: Any) -> Callable[[Any, Any, Any], Any]:
    """A mod for ``flwr.clientapp.ClientApp(mods=[...])``: of each training message the weights, and what the client answered.

    A file for each client and round in ``folder``: ``round-1-client-0.safetensors``; ``told`` as for ``capturing``.
    """

    def keep(message: Any, context: Any, call_next: Callable[[Any, Any], Any]) -> Any:
        if str(message.metadata.message_type).partition(".")[0] != "train":
            return call_next(message, context)
        with _Watch(None) as watch:
            reply = call_next(message, context)
        path = Path(folder) / _file_name(message, context)
        _keep_answer(path, _arrays(message), reply, replace(watch.recipe(told), made_by="Flower"))
        return reply

    return keep


def flower_strategy(strategy: Any, folder: str | Path, **told: Any) -> Any:
    """A Flower strategy that keeps what clients send to it, and does all else as ``strategy`` does.

    A file for each client and round in ``folder``, named by Flower's number of the client. A server sees no client train:
    of the recipe it knows how many pictures there were, as clients report it; ``told`` is the rest, as for ``capturing``.
    """

    class Keeping(type(strategy)):
        """The strategy with the capture around it."""

        def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
            """The strategy's messages; the weights in them are the round's."""
            messages = list(super().configure_train(server_round, arrays, config, grid))
            self._weights_sent = {message.metadata.dst_node_id: _arrays(message) for message in messages}
            return messages

        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            """What the strategy makes of the replies, each of which is kept before."""
            answers = list(replies)
            for reply in answers:
                client = reply.metadata.src_node_id
                recipe = replace(Recipe(pictures=_examples(reply)), **_told(told))
                path = Path(folder) / f"round-{server_round}-client-{client}.safetensors"
                _keep_answer(path, self._weights_sent.pop(client, {}), reply, replace(recipe, made_by="Flower"))
            return super().aggregate_train(server_round, answers)

    keeping = copy(strategy)
    keeping.__class__ = Keeping
    return keeping


def _keep_answer(path: Path, before: dict[str, Tensor], reply: Any, recipe: Recipe) -> None:
    """Write what a reply made of the weights; a reply of an error, or of other tensors, is left out."""
    after = _arrays(reply)
    if before and before.keys() == after.keys():
        update = {name: after[name] - tensor for name, tensor in before.items() if tensor.is_floating_point()}
        save(path, before, update, recipe)


def _examples(reply: Any) -> int | None:
    """How many pictures a client says that it trained on."""
    records = reply.content.metric_records.values() if reply.has_content() else ()
    counts = [record["num-examples"] for record in records if "num-examples" in record]
    return int(counts[0]) if counts else None


def _file_name(message: Any, context: Any) -> str:
    client = context.node_config.get("partition-id", context.node_id)
    rounds = [record["server-round"] for record in message.content.config_records.values() if "server-round" in record]
    return f"round-{rounds[0] if rounds else message.metadata.group_id or 0}-client-{client}.safetensors"


def _arrays(message: Any) -> dict[str, Tensor]:
    """The tensors of a Flower message, by name; arrays without names (a ``NumPyClient``'s) by their numbers."""
    if not message.has_content():
        return {}
    records = list(message.content.array_records.values())
    return {name: torch.from_numpy(array.numpy().copy()) for name, array in records[0].items()} if records else {}


class _Watch:
    """What a client's training tells of itself: its optimiser's steps, and the pictures that pass forward in a graph.

    Of ``model``, or of the outermost module that is called where the client makes its own.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self.steps, self._depth = 0, 0
        self._sizes = [0]  # pictures behind each step, and behind the one to come
        self._optimiser: tuple[str, dict[str, float]] | None = None
        self._rates = set[float]()
        self._pictures = set[float]()
        self._shapes = set[tuple[int, ...]]()
        self._modes = set[bool]()
        self._formats = set[str]()
        self._loss: str | None = None
        self._model, self._hooks = model, ExitStack()

    def __enter__(self) -> _Watch:
        hooks = (
            register_optimizer_step_pre_hook(self._stepped),
            register_module_forward_pre_hook(self._entered),
            register_module_forward_hook(self._left, always_call=True),
        )
        for hook in hooks:
            self._hooks.callback(hook.remove)
        return self

    def __exit__(self, *problem: object) -> None:
        self._hooks.close()

    def recipe(self, told: Mapping[str, Any]) -> Recipe:
        """What was watched, and what was told over it."""
        name, settings = self._optimiser or ("SGD", {})
        rate = settings.pop("lr", None)
        seen = Recipe(
            optimiser=name,
            settings=settings,
            learning_rate=rate,
            local_steps=max(self.steps, 1),
            pictures=len(self._pictures) or None,
            batch_size=self._batch_size() or None,
            input_shape=next(iter(self._shapes)) if len(self._shapes) == 1 else None,
            loss=self._loss or Recipe.loss,
            mode="eval" if self._modes == {False} else "train",
            notes=tuple(self._notes()),
        )
        return replace(seen, **_told(told))

    def _batch_size(self) -> int:
        """Of a step; the mean where they differ."""
        return round(sum(self._sizes[: max(self.steps, 1)]) / max(self.steps, 1))

    def _notes(self) -> Iterator[str]:
        """What a recipe of equal steps at one rate leaves out."""
        halves = sorted(self._formats & set(HALVES))
        if halves:
            yield f"The client computed in {' and '.join(halves)}, and the attack computes in single precision."
        if len(self._rates) > 1:
            yield "The learning rate changed under way."
        sizes = sorted(set(self._sizes[: self.steps]))
        if len(sizes) > 1:
            yield f"The steps took {sizes[0]} to {sizes[-1]} pictures each, and the attack takes each for {self._batch_size()}."

    def _stepped(self, optimiser: Any, *_: Any) -> None:
        if self._model is not None and not _trains(optimiser, self._model):
            return
        self.steps += 1
        self._sizes.append(0)
        group = optimiser.param_groups[0]
        self._rates.add(float(group["lr"]))
        if self._optimiser is None:
            self._optimiser = (type(optimiser).__name__, _numbers(group))

    def _entered(self, module: nn.Module, inputs: Any) -> None:
        self._loss = self._loss or _loss(module)
        outermost = self._depth == 0 if self._model is None else module is self._model
        self._depth += 1
        pictures = inputs[0] if inputs else None
        if torch.is_grad_enabled() and isinstance(pictures, Tensor):
            self._formats.add(_format(pictures))
        if outermost and torch.is_grad_enabled() and isinstance(pictures, Tensor) and pictures.ndim == 4:
            self._sizes[-1] += len(pictures)
            self._pictures |= _marks(pictures)
            self._shapes.add(tuple(pictures.shape[1:]))
            self._modes.add(module.training)

    def _left(self, *_: Any) -> None:
        self._depth -= 1


def _format(values: Tensor) -> str:
    """The number format in which a layer computes with these values."""
    kind = values.device.type
    found = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype
    return str(found).removeprefix("torch.")


def _marks(pictures: Tensor) -> set[float]:
    """A number for each picture, by which it is known again; its mirror image has another."""
    numbers = pictures.detach().double().flatten(1)
    places = torch.arange(1, numbers.shape[1] + 1, dtype=numbers.dtype, device=numbers.device)
    return set((numbers * places).sum(1).tolist())


def _trains(optimiser: Any, model: nn.Module) -> bool:
    own = {id(weight) for weight in model.parameters()}
    return any(id(weight) in own for group in optimiser.param_groups for weight in group["params"])


def _loss(module: nn.Module) -> str | None:
    """A module that is a loss in the words of the lab's command line; None of any other."""
    name = LOSSES.get(type(module).__name__)
    if name is None:
        return None
    weight, smoothing, reduction = (getattr(module, part, None) for part in ("weight", "label_smoothing", "reduction"))
    told = {
        "reduction": "" if reduction == "mean" else reduction,
        "label_smoothing": smoothing,
        "class_weights": "" if weight is None else "+".join(f"{number:.6g}" for number in weight.tolist()),
    }
    options = ",".join(f"{key}={value}" for key, value in told.items() if value)
    return f"{name}:{options}" if options else name


def _numbers(group: Mapping[str, Any]) -> dict[str, float]:
    """The settings of an optimiser that are numbers, not zero, and of what it does; Adam's betas as ``beta1`` and ``beta2``."""
    betas = {name: float(beta) for name, beta in zip(("beta1", "beta2"), group.get("betas", ()), strict=False)}
    settings = {name: float(value) for name, value in group.items() if isinstance(value, int | float) and value}
    return {name: value for name, value in settings.items() if name not in HOW} | betas


def _told(told: Mapping[str, Any]) -> dict[str, Any]:
    """What was told as a recipe holds it: sequences as tuples, one mean or deviation for all channels as a tuple of one."""
    alone = {name: (value,) for name, value in told.items() if name in ("mean", "std") and isinstance(value, int | float)}
    listed = {name: tuple(value) for name, value in told.items() if isinstance(value, list | tuple)}
    return dict(told) | listed | alone


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {_bare(name): tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _slopes(model: nn.Module) -> dict[str, Tensor]:
    """The gradients that hang on the model's weights."""
    found = {_bare(name): weight.grad for name, weight in model.named_parameters()}
    return {name: slope.detach().clone() for name, slope in found.items() if slope is not None}


def _bare(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _plain(tensor: Tensor) -> Tensor:
    """As safetensors takes it: dense, on the CPU, sharing memory with no other."""
    return tensor.detach().cpu().clone().contiguous()
