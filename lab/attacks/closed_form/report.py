"""What a layer inverted in closed form tells: sizes, conditioning, residual, and the feature map itself."""

from __future__ import annotations

from dataclasses import dataclass

from lab.attacks.closed_form.shapes import FeatureMaps


@dataclass(frozen=True, eq=False)
class LayerRecovery:
    """One layer whose input was recovered, as a viewer shows it."""

    name: str
    """As in ``Module.named_modules()``."""
    kind: str
    """In words: "convolution 3x3, 32 to 64 channels, stride 2"."""
    unknowns: int
    weight_equations: int
    forward_equations: int
    rank: int
    """Of the unknowns, how many this layer's own two systems can tell (counted)."""
    condition: float
    """Largest over smallest singular value of the system that was solved."""
    residual: float
    """||A x - b|| / ||b|| of the system that was solved."""
    iterations: int
    """Conjugate-gradient iterations."""
    joint: tuple[str, ...]
    """The layers above and below that were solved together with this one; empty where it stood alone."""
    features: FeatureMaps
    """The recovered input, shape (pictures, channels, height, width); for the lowest layer the picture."""

    @property
    def equations(self) -> int:
        """Both systems together."""
        return self.weight_equations + self.forward_equations

    @property
    def determined(self) -> bool:
        """Whether this layer alone can tell all its unknowns."""
        return self.rank >= self.unknowns
