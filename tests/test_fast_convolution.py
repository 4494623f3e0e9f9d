"""Convolutions by products: the same numbers as torch's own, by the way that was meant."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lab.attacks.derivative import fast_convolution
from lab.attacks.derivative.fast_convolution import FastConvolution, with_fast_convolution
from lab.attacks.derivative.frozen_network import Freezable
from lab.federated.networks.lenet import LeNet
from lab.randomness import stream

PRODUCT = ((3, 12, 5, 2, 2), (6, 12, 5, 1, 2), (2, 3, (4, 6), (1, 3), (0, 2)))
FEW_INPUTS = ((3, 8, 3, 2, 1), (1, 4, 3, 3, 1), (3, 5, (2, 3), (2, 1), 0))
HEAVY = ((32, 200, 3, 3, 1), (64, 640, 1, 3, 0), (20, 700, 3, (3, 2), 1))
"""Few places, many weights."""
STOCK = ((8, 6, 3, 2, 1), (3, 4, 3, 1, 1))


class _Operations(TorchDispatchMode):
    """The names of all operations, and whether a convolution's backward pass was asked for the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.towards_inputs: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        if self.names[-1] == "convolution_backward":
            self.towards_inputs.append(args[-1][0])
        return func(*args, **(kwargs or {}))


def _gradients(module: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    images = images.clone().requires_grad_()
    output = module(images)
    cotangent = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).sin().view_as(output)
    return output, *torch.autograd.grad((output * cotangent).sum(), [images, *module.parameters()])


def _convolution(inputs, outputs, kernel, stride, padding, *, bias=True) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias).double()


def _images(pictures: int, inputs: int, height: int = 17, width: int = 14) -> torch.Tensor:
    return torch.randn(pictures, inputs, height, width, generator=stream(0, "test pictures"), dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("shape", PRODUCT + FEW_INPUTS + HEAVY + STOCK)
def test_values_and_slopes_are_those_of_torch(monkeypatch, shape, pictures, bias):
    monkeypatch.setattr(fast_convolution, "STRIP", 500)  # several strips, the last one shorter
    monkeypatch.setattr(fast_convolution, "MIN_PRODUCTS", 0)
    convolution = _convolution(*shape, bias=bias)
    images = _images(pictures, shape[0])
    for ours, theirs in zip(_gradients(FastConvolution(convolution), images), _gradients(convolution, images), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", PRODUCT)
def test_large_kernels_on_small_pictures_are_products(shape):
    with _Operations() as seen:
        _gradients(FastConvolution(_convolution(*shape)), _images(1, shape[0]))
    assert not any("convolution" in name for name in seen.names)


@pytest.mark.parametrize("shape", FEW_INPUTS)
def test_few_strided_inputs_get_their_slopes_by_products(shape):
    with _Operations() as seen:
        _gradients(FastConvolution(_convolution(*shape)), _images(1, shape[0]))
    assert seen.towards_inputs == [False]


@pytest.mark.parametrize("shape", HEAVY)
def test_more_weights_than_places_are_met_by_products_alone(shape):
    with _Operations() as seen:
        _gradients(FastConvolution(_convolution(*shape)), _images(1, shape[0]))
    assert not any("convolution" in name for name in seen.names)


def test_a_batch_whose_places_outnumber_the_weights_keeps_torchs_kernels():
    fast = FastConvolution(_convolution(64, 640, 1, 3, 0))
    for pictures, by_products in ((1, True), (40, False), (1, True)):
        with _Operations() as seen:
            _gradients(fast, _images(pictures, 64))
        assert ("convolution" not in seen.names) is by_products


def test_the_way_is_chosen_anew_for_pictures_of_another_size():
    fast = FastConvolution(_convolution(3, 12, 7, 2, 3))
    for side, is_product in ((16, True), (128, False), (16, True)):
        with _Operations() as seen:
            _gradients(fast, _images(1, 3, side, side))
        assert seen.towards_inputs == ([] if is_product else [False])


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 4, 5, padding=2, padding_mode="circular"),
        nn.Conv2d(4, 4, 5, groups=2),
        nn.Conv2d(4, 4, 5, dilation=2),
        nn.Conv2d(4, 4, 5, padding="same"),
    ],
)
def test_unusual_convolutions_are_left_alone(convolution):
    assert with_fast_convolution(convolution) is convolution


def test_a_copy_that_freezes_has_them_and_the_network_itself_does_not():
    model = LeNet().build((3, 32, 32), 10, stream(0, "test weights"))
    frozen = Freezable(model)
    assert sum(isinstance(module, FastConvolution) for module in frozen.modules()) == 3
    assert not any(isinstance(module, FastConvolution) for module in model.modules())
