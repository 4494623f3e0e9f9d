"""A client under Opacus, the real library: its step is captured like any other."""

import warnings

import pytest
import torch
from rounds import smooth_batch
from torch import nn
from torch.nn import functional

import lab
from lab.capture import PRIVATE, capturing
from lab.federated import captures

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    opacus = pytest.importorskip("opacus", reason="pip install .[opacus]")

SIZE = 16


def client(noise, clip, pictures=4):
    """One private step on a fixed batch, as Opacus's users write it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))
        batch = smooth_batch(pictures, size=SIZE)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(batch.images, batch.labels), batch_size=pictures)
        private, optimiser, loader = opacus.PrivacyEngine().make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            data_loader=loader,
            noise_multiplier=noise,
            max_grad_norm=clip,
            poisson_sampling=False,
        )

        def train():
            for images, labels in loader:
                optimiser.zero_grad()
                functional.cross_entropy(private(images), labels).backward()
                optimiser.step()

        return batch, private, train


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pictures", [1, 4])
def test_a_private_step_is_captured(tmp_path, pictures):
    """Without noise and with a bound that nothing meets it is the plain step; the file says whose it is."""
    batch, model, train = client(0.0, 1e6, pictures)
    with torch.random.fork_rng(devices=[]), capturing(model, tmp_path / "update.safetensors"):
        train()
    found = captures.read(tmp_path / "update.safetensors")
    assert (found.recipe.made_by, found.recipe.pictures, found.recipe.local_steps) == ("Opacus", pictures, 1)
    assert set(found.update) == {"0.weight", "0.bias", "3.weight", "3.bias"}
    seen = lab.observe(model, tmp_path / "update.safetensors")
    assert PRIVATE in seen.notes
    again = seen.protocol.update(seen.network, batch.images, batch.labels)
    for name, tensor in seen.update.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_clipping_and_noise_are_in_what_is_captured(tmp_path):
    lengths = {}
    for name, noise, clip in (("clipped", 0.0, 0.01), ("noisy", 1.0, 0.01)):
        _, model, train = client(noise, clip)
        with torch.random.fork_rng(devices=[]), capturing(model, tmp_path / f"{name}.safetensors"):
            torch.manual_seed(0)
            train()
        update = captures.read(tmp_path / f"{name}.safetensors").update
        lengths[name] = float(torch.cat([tensor.flatten() for tensor in update.values()]).norm())
    assert lengths["clipped"] <= 0.1 * 0.01 * 1.001
    assert lengths["noisy"] > 5 * lengths["clipped"]
