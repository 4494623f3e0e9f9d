"""The optimisers against torch's own."""

import subprocess
import sys

import pytest
import torch

from lab.attacks.matching.optimisers.adam import Adam
from lab.attacks.matching.optimisers.base import Schedule
from lab.attacks.matching.optimisers.normalised_adam import NormalisedAdam
from lab.attacks.matching.optimisers.signed_adam import SignedAdam
from lab.attacks.matching.optimisers.stepper import AdamStepper


def test_adam_takes_the_steps_of_torchs_adam():
    start = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    stepper, reference = AdamStepper([ours], 0.05), torch.optim.Adam([theirs], lr=0.05)
    for step in range(30):
        for leaf, optimiser in ((ours, stepper), (theirs, reference)):
            optimiser.param_groups[0]["lr"] = 0.05 / (1 + step)
            leaf.grad = (leaf.detach() - 1) ** 3
            optimiser.step(lambda: 0.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_signed_adam_sees_only_the_sign():
    gradient = torch.tensor([-3.0, 0.0, 1e-9])
    assert SignedAdam().direction(gradient).tolist() == [-1.0, 0.0, 1.0]
    assert Adam().direction(gradient) is gradient


def test_normalised_adam_sees_every_gradient_at_the_same_size():
    gradient = torch.tensor([-3.0, 0.0, 1e-9, 5.0], dtype=torch.float64)
    direction = NormalisedAdam().direction(gradient)
    torch.testing.assert_close(direction, gradient / 2.00000000025, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(NormalisedAdam().direction(1e-12 * gradient), direction)
    assert torch.equal(NormalisedAdam().direction(torch.zeros(4)), torch.zeros(4))


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        (Schedule.CONSTANT, 0.9, 1.0),
        (Schedule.STEPS, 0.37, 1.0),
        (Schedule.STEPS, 0.38, 0.1),
        (Schedule.STEPS, 0.63, 0.01),
        (Schedule.STEPS, 0.88, 0.001),
        (Schedule.COSINE, 0.0, 1.0),
        (Schedule.COSINE, 0.5, 0.5),
        (Schedule.COSINE, 1.0, 0.0),
    ],
)
def test_schedules_shrink_as_the_paper_says(schedule, progress, factor):
    assert schedule.factor(progress) == pytest.approx(factor)


@pytest.mark.parametrize("network", ["SmallConvNet", "LeNet"])
def test_the_first_click_does_not_wait_for_torchs_compiler(network):
    code = (
        "import sys; from lab import Experiment, reconstruct, simulate_round; from lab.federated.networks.lenet import LeNet;"
        "from lab.federated.networks.small_convnet import SmallConvNet;"
        "from lab.experiments.recommended import recommended_attack;"
        f"network = {network}(); e = Experiment(network=network, attack=recommended_attack(network, trained=False));"
        "states = reconstruct(e, simulate_round(e).observation); next(states); next(states); next(states);"
        "print([m for m in ('torch._dynamo', 'sympy', 'triton') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
