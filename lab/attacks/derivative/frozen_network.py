"""A copy of a network whose kinks can be frozen: the second pass decides as the first one did.

A ReLU network is smooth between its kinks. Keeping each ReLU's mask and each max-pooling's
winner while the weights move a little stays on one smooth piece, which is the one that
double backward differentiates; a finite difference is then right where a plain one is not.
"""

from __future__ import annotations

from collections import deque
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.attacks.derivative.fast_convolution import with_fast_convolution
from lab.federated.gradients import trainable
from lab.federated.sharing import sharing_copy
from lab.federated.tensors import Gradients, Inputs


class Tape:
    """What each kink decided, in the order in which the forward pass met them.

    A ``brief`` one keeps whether each unit spoke, not how loudly, and counts positions in few bytes: a quarter of the memory
    where the decisions of many local steps are kept at once, for one more trip through it.
    """

    def __init__(self) -> None:
        self.decisions: deque[Tensor] = deque()
        self.replaying = False
        self.brief = False

    def keep_units(self, output: Tensor) -> None:
        """What a ReLU let through."""
        self.decisions.append(output > 0 if self.brief else output)

    def units(self, dtype: torch.dtype) -> Tensor:
        """Positive where the next ReLU's units spoke."""
        return self.decisions.popleft().to(dtype)

    def keep_winners(self, winners: Tensor, positions: int) -> None:
        """Which of so many positions a max-pooling took."""
        self.decisions.append(winners.to(_smallest_count(positions)) if self.brief else winners)

    def winners(self) -> Tensor:
        """The next max-pooling's positions, as torch counts them."""
        return self.decisions.popleft().to(torch.int64)


def _smallest_count(positions: int) -> torch.dtype:
    return torch.int16 if positions <= torch.iinfo(torch.int16).max else torch.int32


class FreezableReLU(nn.Module):
    """ReLU or leaky ReLU; while replaying, a fixed derivative for each unit."""

    def __init__(self, tape: Tape, negative_slope: float) -> None:
        super().__init__()
        self.tape = tape
        self.negative_slope = negative_slope

    def forward(self, values: Tensor) -> Tensor:
        """Act(z), or act'(z_0) z where z_0 is what was recorded: the kernel of act's own backward pass."""
        if self.tape.replaying:
            recorded = self.tape.units(values.dtype)
            if self.negative_slope:
                return torch.ops.aten.leaky_relu_backward(values, recorded, self.negative_slope, True)
            return torch.ops.aten.threshold_backward(values, recorded, 0)
        output = functional.leaky_relu(values, self.negative_slope) if self.negative_slope else functional.relu(values)
        self.tape.keep_units(output.detach())
        return output


class FreezableClamp(nn.Module):
    """ReLU6 or a hard tanh: a ReLU where it begins to rise, less one where it stops."""

    def __init__(self, tape: Tape, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.rising, self.beyond = FreezableReLU(tape, 0.0), FreezableReLU(tape, 0.0)

    def forward(self, values: Tensor) -> Tensor:
        """min(max(z, low), high)."""
        return self.low + self.rising(values - self.low) - self.beyond(values - self.high)


class FreezableMaxPool(nn.Module):
    """Max-pooling; while replaying, the winners of the recorded pass are taken."""

    def __init__(self, tape: Tape, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.tape = tape
        self.arguments = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)

    def forward(self, values: Tensor) -> Tensor:
        """The largest of each window, or the one that was the largest."""
        if self.tape.replaying:
            winners = self.tape.winners()
            return values.flatten(2).gather(2, winners.flatten(2)).view_as(winners)
        output, winners = functional.max_pool2d(values, *self.arguments, return_indices=True)
        self.tape.keep_winners(winners, values[0, 0].numel())
        return output


class LeanBatchNorm(nn.Module):
    """Batch norm by running statistics; while replaying towards pictures alone, a scale and a shift.

    Torch's own keeps its input for the way back, though only the gradient of the weights needs it.
    """

    def __init__(self, tape: Tape, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.tape, self.eps = tape, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self.mean, self.variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        self.inverse = torch.rsqrt(self.variance + norm.eps)

    def forward(self, values: Tensor) -> Tensor:
        """Weight (z - mean) / sqrt(variance + eps) + bias, channel by channel."""
        if self.weight.requires_grad or not self.tape.replaying:
            return functional.batch_norm(values, self.mean, self.variance, self.weight, self.bias, False, 0.0, self.eps)
        scale = self.weight * self.inverse
        shift = torch.addcmul(self.bias, self.mean, scale, value=-1)
        return (values * scale[:, None, None]).add_(shift[:, None, None])


class Freezable(nn.Module):
    """A copy of a network that writes its kinks on a tape and takes its weights from outside.

    It shares weights and buffers with the network, which is left alone.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.tape = Tape()
        self.network = _with_tapes(sharing_copy(network), self.tape)
        self.weights = trainable(network)
        """The network's own that train."""
        self.slots = [self._slots(weight) for weight in self.weights.values()]

    def _slots(self, weight: Tensor) -> list[tuple[dict[str, nn.Parameter | None], str]]:
        """Each place that holds it: a parameter may be shared by several layers."""
        held = [module._parameters for module in self.network.modules()]
        return [(holders, name) for holders in held for name, tensor in holders.items() if tensor is weight]

    def use(self, weights: Gradients) -> None:
        """Compute with these weights from now on, keyed and ordered as the network's own that train.

        ``torch.func.functional_call`` does the same, but costs as much as a layer of a small network.
        """
        for slots, tensor in zip(self.slots, weights.values(), strict=True):
            for holders, name in slots:
                holders[name] = cast(nn.Parameter, tensor)

    def forward(self, inputs: Inputs) -> Tensor:
        """The logits."""
        return self.network(inputs)


def _with_tapes(network: nn.Module, tape: Tape) -> nn.Module:
    for module in network.modules():
        for name, child in module._modules.items():
            module._modules[name] = _with_tape(child, tape)
    return network


def _with_tape(module: nn.Module | None, tape: Tape) -> nn.Module | None:
    """The module's stand-in; a subclass, which may do more than its base, is left as it is."""
    kind = type(module)
    if kind is nn.ReLU:
        return FreezableReLU(tape, 0.0)
    if isinstance(module, nn.LeakyReLU) and kind is nn.LeakyReLU:
        return FreezableReLU(tape, module.negative_slope)
    if isinstance(module, nn.Hardtanh) and kind in (nn.Hardtanh, nn.ReLU6):
        return FreezableClamp(tape, module.min_val, module.max_val)
    if isinstance(module, nn.MaxPool2d) and kind is nn.MaxPool2d:
        return FreezableMaxPool(tape, module)
    if isinstance(module, nn.BatchNorm2d) and kind is nn.BatchNorm2d and _scales(module):
        return LeanBatchNorm(tape, module)
    return with_fast_convolution(module)


def _scales(norm: nn.BatchNorm2d) -> bool:
    """Whether it does nothing but that: by weights of its own and stored statistics."""
    return norm.affine and norm.running_mean is not None and not norm.training
