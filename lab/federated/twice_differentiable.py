"""Layers of which torch has one derivative only, in the place of which matching gradients needs others with two."""

from __future__ import annotations

from torch import Tensor, nn


class Hardsigmoid(nn.Module):
    """min(max(x + 3, 0), 6) / 6, as torch's own (Howard et al. 2019, section 5.2), which bears no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.clamp = nn.ReLU6()

    def forward(self, values: Tensor) -> Tensor:
        """Of any shape."""
        return self.clamp(values + 3) / 6


class Hardswish(nn.Module):
    """x times its hard sigmoid: torch's own, with its kinks in a layer of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Hardsigmoid()

    def forward(self, values: Tensor) -> Tensor:
        """Of any shape."""
        return values * self.gate(values)


STAND_INS: dict[type[nn.Module], type[nn.Module]] = {nn.Hardsigmoid: Hardsigmoid, nn.Hardswish: Hardswish}


def made_twice_differentiable(root: nn.Module) -> None:
    """Put such layers of a module out of place, and others in the place of those that torch derives once."""
    for module in list(root.modules()):
        if getattr(module, "inplace", False):  # what a layer was given is looked at again: by derivatives, and by algebra
            vars(module)["inplace"] = False
        for name, child in module.named_children():
            if type(child) in STAND_INS:
                module.add_module(name, STAND_INS[type(child)]())
