"""Tiny layers and made-up numbers, in double precision, for the tests of the way down."""

import torch
from torch import nn

from lab.attacks.closed_form.convolution import Convolution
from lab.randomness import stream


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=stream(seed, f"{shape}"), dtype=torch.float64)


def quietly(make):
    """A module with torch's own initialisation, without leaving a trace in the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def convolution(inputs=2, outputs=3, kernel=3, stride=1, padding=1, circular=False, size=6, pictures=1):
    mode = "circular" if circular else "zeros"
    layer = quietly(lambda: nn.Conv2d(inputs, outputs, kernel, stride, padding, padding_mode=mode)).double()
    return Convolution(layer, (pictures, inputs, size, size))
