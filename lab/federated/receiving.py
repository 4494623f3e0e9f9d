"""The server's door: an update in the one form that every attack expects, or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

from lab.lazy import Tensor, nn, torch

from lab.errors import LabError
from lab.federated.update_names import spoken_names, unwrapped
from lab.options.data import is_mapping

if TYPE_CHECKING:
    AnyModule = TypeVar("AnyModule", bound=nn.Module)
else:
    AnyModule = TypeVar("AnyModule")  # torch is not imported yet, and a bound is looked up where types are checked at run time


def receive(network: AnyModule, update: Any) -> tuple[AnyModule, dict[str, Tensor]]:
    """The update keyed and ordered like the network's parameters, cast once to their type and place; and that network.

    Left out are names that are no parameters (statistics of a batch norm), and zeros for parameters that do not train.
    A parameter that the update lacks does not train in the network given back, a copy where that makes a difference.
    Raises ``LabError`` for what cannot be compared: no tensor of these names, other shapes, complex numbers, NaN.
    """
    parameters = dict(network.named_parameters())
    given = _named(update, parameters)
    cast = {name: cast_like(parameter, given[name], name) for name, parameter in parameters.items() if name in given}
    sent = {name: tensor for name, tensor in cast.items() if parameters[name].requires_grad or tensor.any()}
    if not sent:
        raise LabError("The update holds nothing but zeros for parameters that do not train; send those that do.")
    _refuse_weights_that_are_not_finite(parameters)
    _refuse_numbers_that_are_not_finite(sent, given)
    return _training(network, sent), sent


def _named(update: Any, parameters: Mapping[str, nn.Parameter]) -> dict[str, Any]:
    """The tensors by the names of parameters, wrappers' prefixes taken off where no name fits as it is."""
    if not is_mapping(update):
        raise LabError(
            f"An update is a dictionary from the names of parameters to tensors, and this is a {type(update).__name__}; "
            "give it as {name: tensor}."
        )
    if not update:
        raise LabError("The update is empty; give the gradient or the change of at least one parameter.")
    given = unwrapped({str(name): tensor for name, tensor in update.items()}, parameters)
    return {name: tensor for name, tensor in given.items() if name in parameters}


def cast_like(own: Tensor, given: Any, name: str) -> Tensor:
    """What is sent for one of a network's tensors as that tensor is, outside any graph. Raises ``LabError``."""
    try:
        tensor = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise LabError(f"{name} of the update is a {type(given).__name__} and no array of numbers; give a tensor.") from None
    if tensor.is_complex():
        raise LabError(f"{name} of the update holds complex numbers ({tensor.dtype}); gradients are real, so send real ones.")
    if tensor.is_meta:
        raise LabError(f"{name} of the update is a tensor without numbers (device meta); load it first.")
    if tensor.shape != own.shape:
        raise LabError(
            f"{name} of the update has the shape {tuple(tensor.shape)}, and the network's has {tuple(own.shape)}; "
            "send the update of this network."
        )
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(own.device, own.dtype).contiguous()


def _refuse_weights_that_are_not_finite(parameters: Mapping[str, nn.Parameter]) -> None:
    broken = [name for name, parameter in parameters.items() if not parameter.isfinite().all()]
    if broken:
        raise LabError(
            f"The network's own weights are no finite numbers in {spoken_names(broken)}, so nothing can be computed with it; "
            "load other weights."
        )


def _refuse_numbers_that_are_not_finite(sent: Mapping[str, Tensor], given: Mapping[str, Any]) -> None:
    broken = [name for name, tensor in sent.items() if not tensor.isfinite().all()]
    if not broken:
        return
    name = broken[0]
    count, total = int((~sent[name].isfinite()).sum()), sent[name].numel()
    too_large = bool(torch.as_tensor(given[name]).to_dense().isfinite().all())
    cause = f"are too large for {sent[name].dtype}" if too_large else "are NaN or infinite"
    raise LabError(
        f"The update cannot be compared: {count:,} of the {total:,} numbers of {spoken_names(broken)} {cause}. "
        "The client's training went astray (too large a learning rate?) or its numbers overflowed; send another update."
    )


def _training(network: AnyModule, sent: Mapping[str, Tensor]) -> AnyModule:
    """The network whose trainable parameters are those that were sent."""
    if all(parameter.requires_grad is (name in sent) for name, parameter in network.named_parameters()):
        return network
    network = deepcopy(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in sent)
    return network
