"""A module of the user's own before it is attacked: copied, in the modes that can be attacked, tried on pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase  # pyright: ignore[reportPrivateUsage]  (all norms' base has no public name)

from lab.errors import LabError, cut, quoted
from lab.federated.typed_torch import layers_of, random_numbers_kept
from lab.federated.update_names import STATISTICS, spoken_names, without_wrappers

LONGEST_REASON = 200
"""Characters of what the user's own code says when it fails."""
CHANCE_LEFT_OUT = (
    "In train mode the model draws at random (dropout, stochastic depth), and nobody knows what the client drew: the attack "
    "takes the model in eval mode, and its picture will be the poorer for it where the update does not tell."
)
TRAIN_MODE_DIFFERS = (
    "In train mode the model computes something else than in eval mode; the attack takes it in eval mode, and if the client "
    "did not, its picture will be the poorer for it."
)
COUNTERS = ("num_batches_tracked",)
"""What a state dictionary counts and no forward pass computes with."""
HALF = "The model's half precision is computed with in single precision."


Model = TypeVar("Model", bound=nn.Module)


def unwrapped_model(model: Any) -> nn.Module:
    """The module itself, out of the wrappers of ``torch.compile``, ``DataParallel``, Opacus and ``peft``.

    Raises ``LabError`` for what is none.
    """
    wrapped = getattr(model, "_orig_mod", model)
    if _is_of(wrapped, "opacus"):
        wrapped = getattr(wrapped, "_module", wrapped)
    if _is_of(wrapped, "peft"):
        wrapped = getattr(wrapped, "get_base_model", lambda: wrapped)()
    if isinstance(wrapped, nn.DataParallel | nn.parallel.DistributedDataParallel):
        wrapped = wrapped.get_submodule("module")
    if not isinstance(wrapped, nn.Module):
        raise LabError(f"model = {quoted(model)} is no torch.nn.Module; give the network that the client trained.")
    weights = dict(wrapped.named_parameters())
    if not weights:
        raise LabError(f"The model, a {type(wrapped).__name__}, has no parameters, so no client could train it.")
    lacking = [name for name, weight in weights.items() if nn.parameter.is_lazy(weight) or weight.is_meta]
    if lacking:
        raise LabError(f"The model has no numbers yet in {spoken_names(lacking)}; load its weights, or run it once.")
    return wrapped


def _copy(model: Model) -> Model:
    try:
        own = deepcopy(model)
    except Exception as error:  # a user's class may refuse in any way
        raise LabError(f"The model cannot be copied ({_reason(error)}); give one that copy.deepcopy takes.") from None
    _unhook(own)
    return own


def _unhook(own: nn.Module) -> None:
    """Take away what Opacus hangs on layers to see each picture's gradient, which bears no second derivative."""
    for module in own.modules():
        for kind in ("_forward_hooks", "_backward_hooks"):
            hooks: dict[int, object] = getattr(module, kind)
            for key in [key for key, hook in hooks.items() if _is_of(_owner(hook), "opacus")]:
                del hooks[key]


def _owner(hook: object) -> object:
    """Whose method a hook is; None of a plain function."""
    return getattr(getattr(hook, "func", hook), "__self__", None)


def _is_of(value: object, package: str) -> bool:
    return type(value).__module__.partition(".")[0] == package


def copied(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy that the forward pass leaves as it is, its numbers single precision at least; and what there is to say of that.

    A batch norm in train mode goes on to normalise by the batch's own statistics, and counts no more.
    """
    own = _copy(model)
    notes: list[str] = []
    if any(weight.dtype in (torch.float16, torch.bfloat16) for weight in own.parameters()):
        own = own.float()
        notes.append(HALF)
    counting = {name: norm for name, norm in layers_of(own, _NormBase).items() if norm.training and norm.track_running_stats}
    for norm in counting.values():
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    if counting:
        notes.append(
            f"Batch norm is in train mode ({spoken_names(counting)}), so each candidate is normalised by its own statistics, "
            "which closed forms cannot undo; give model.eval() if the client used the stored ones."
        )
    return own, tuple(notes)


def with_weights(model: Model, weights: Mapping[str, Tensor], mode: str) -> Model:
    """A copy with the weights of a capture, in the client's mode. Raises ``LabError`` where they are another model's."""
    own = _copy(model)
    known = own.state_dict()
    given = without_wrappers(weights, known)
    wanted = {name: tensor for name, tensor in known.items() if not name.endswith(COUNTERS)}
    lacking = [name for name in wanted if name not in given]
    spare = [name for name in given if name not in known and not name.endswith(STATISTICS)]
    unlike = [name for name, tensor in wanted.items() if name in given and given[name].shape != tensor.shape]
    if lacking or spare:
        what = f"lack {spoken_names(lacking)}" if lacking else f"have a spare {spoken_names(spare)}"
        raise LabError(f"The captured weights are another model's: they {what}; give the model that the client trained.")
    if unlike:
        name = unlike[0]
        raise LabError(
            f"The captured weights are another model's: {name} has the shape {tuple(given[name].shape)}, and the model's "
            f"{tuple(wanted[name].shape)}; give the model that the client trained."
        )
    own.load_state_dict(given, strict=False)
    return own.train(mode == "train")


def in_eval_mode(own: nn.Module, inputs: Tensor) -> tuple[str, ...]:
    """Put a copy into eval mode, and say so where that is not what the client computed with. Random numbers are untouched."""
    if not any(module.training for module in own.modules()):
        return ()
    with random_numbers_kept(inputs.device):
        given = [_output(own, inputs) for _ in range(2)]
    own.eval()
    if not _same(*given):
        return (CHANCE_LEFT_OUT,)
    return () if _same(given[0], _output(own, inputs)) else (TRAIN_MODE_DIFFERS,)


def _output(own: nn.Module, inputs: Tensor) -> Any:
    """What the model gives; None where it fails."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return own(inputs)
    except Exception:  # said once it is asked for its logits
        return None


def _same(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return type(one) is type(other)
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def trial_logits(own: nn.Module, inputs: Tensor, *, one_logit: bool = False) -> Tensor:
    """The logits of these inputs, shape (batch, classes), in their graph; one alone where that tells something.

    Raises ``LabError`` where they are no logits.
    """
    shape = tuple(inputs.shape[1:])
    try:
        with torch.enable_grad():
            logits = own(inputs)
    except Exception as error:  # a user's code may fail in any way
        raise LabError(
            f"The model cannot take pictures of the shape {shape} ({_reason(error)}); give the input_shape that it was made "
            "for, and a forward pass that takes one batch of pictures."
        ) from None
    if not isinstance(logits, Tensor):
        raise LabError(
            f"The model gives a {type(logits).__name__} and not a tensor; wrap it in a module that gives the logits alone, of "
            "shape (batch, classes)."
        )
    if logits.ndim != 2 or len(logits) != len(inputs) or not logits.is_floating_point():
        raise LabError(
            f"The model gives numbers of the shape {tuple(logits.shape)} for {len(inputs)} pictures of the shape {shape}; the "
            "attack takes logits, of shape (batch, classes)."
        )
    if logits.shape[1] < (1 if one_logit else 2):
        plural = "" if logits.shape[1] == 1 else "s"
        raise LabError(
            f"The model gives {logits.shape[1]} number{plural} for each picture, and of a single class the client's loss tells "
            "nothing; give a model with a logit for each of two classes or more, or with one and FedSGD(loss=BCEWithLogits())."
        )
    if not logits.isfinite().all():
        raise LabError("The model's logits are no finite numbers for random pixels; check its weights, mean and std.")
    return logits


def unused(own: nn.Module, logits: Tensor) -> set[str]:
    """The names of the parameters that train and yet take no part in these logits. Raises ``LabError`` where none does."""
    weights = {name: weight for name, weight in own.named_parameters() if weight.requires_grad}
    found = list[Tensor | None]()
    if logits.requires_grad:
        found = list(torch.autograd.grad(logits.sum(), list(weights.values()), allow_unused=True))
    if not any(gradient is not None for gradient in found):
        raise LabError(
            "The model's logits depend on none of the parameters that were sent (detached, or without a graph?), so the update "
            "tells nothing; give the model as it was trained."
        )
    return {name for name, gradient in zip(weights, found, strict=True) if gradient is None}


def _reason(error: Exception) -> str:
    """What the user's own code says, its first line."""
    lines = str(error).strip().splitlines() or [""]
    return cut(f"{type(error).__name__}: {lines[0]}".rstrip(": ."), LONGEST_REASON)
