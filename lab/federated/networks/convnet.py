"""The ConvNet of Geiping et al. 2020, section 5: its width study varies ``width``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lab.lazy import nn

from lab.federated.networks.base import NORM_HELP, Activation, BatchNorm, Network, Padding, feature_count
from lab.options.fields import Bounds, Help


@dataclass(frozen=True)
class ConvNet(Network):
    """Eight blocks of convolution, batch norm and activation with two max-poolings (ConvNet64 has width 64)."""

    width: Annotated[int, Bounds(4, 256), Help("channels of the first block; later ones have up to four times as many")] = 64
    activation: Annotated[Activation, Help("nonlinearity of each block")] = Activation.RELU
    padding: Annotated[Padding, Help("what a convolution sees beyond the border")] = Padding.ZERO
    batch_norm: Annotated[BatchNorm, Help(NORM_HELP)] = BatchNorm.EVAL

    def modules(self, image_shape: tuple[int, int, int], classes: int) -> tuple[nn.Module, nn.Sequential]:
        """Widths w, 2w, 2w, 4w, 4w, 4w, pool 3, 4w, 4w, pool 3, then one linear layer."""
        layers: list[nn.Module] = []
        channels = image_shape[0]
        for index, factor in enumerate((1, 2, 2, 4, 4, 4, 4, 4)):
            if index == 6:
                layers.append(nn.MaxPool2d(3))
            layers += self._block(channels, factor * self.width)
            channels = factor * self.width
        body = nn.Sequential(*layers, nn.MaxPool2d(3))
        return body, nn.Sequential(nn.Linear(feature_count(body, image_shape), classes))

    def _block(self, inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=self.padding.value)
        return [convolution, self.batch_norm.layer(outputs), self.activation.layer()]
