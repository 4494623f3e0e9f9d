"""Vision transformers of the catalogue: torchvision's to the last digit, and no size that they cannot take goes unsaid."""

import pytest
import torch
from rounds import random_batch
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionsViT

from lab.client.checkpoints import imagenet
from lab.errors import LabError
from lab.experiments.cost.network_profile import profile_of
from lab.federated.networks.imagenet_vit import ImageNetViT
from lab.federated.networks.vision_transformer import Pool, VisionTransformer
from lab.federated.transformer import sinusoidal_positions
from lab.randomness import stream

SLIM = VisionTransformer(patch=8, width=24, depth=2, heads=3)


def test_torchvisions_weights_compute_here_what_they_compute_there():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = TorchvisionsViT(
            image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96, num_classes=7
        )
    for weights in theirs.parameters():
        weights.data.copy_(torch.randn(weights.shape, generator=stream(0, "weights")) * 0.3)
    ours = SLIM.build((3, 32, 32), 7, stream(0, "w"))
    ours.load_state_dict(imagenet.renamed(ImageNetViT(), dict(theirs.state_dict())))
    pixels = random_batch(2).images
    torch.testing.assert_close(ours(pixels), theirs.eval()(ours.normalise(pixels)), rtol=1e-4, atol=1e-4)


def test_they_begin_as_spread_as_torchvisions():
    """But for the last layer, of which torchvision's is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = TorchvisionsViT(
            image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=128, mlp_dim=512, num_classes=7
        )
    ours = VisionTransformer(patch=8, depth=2, heads=2).build((3, 32, 32), 7, stream(0, "w")).state_dict()
    for name, weights in imagenet.renamed(ImageNetViT(), dict(theirs.state_dict())).items():
        if not name.startswith("head"):
            assert float(ours[name].std()) == pytest.approx(float(weights.std()), rel=0.25), name


@pytest.mark.parametrize(("width", "count"), [(192, 5_717_416), (384, 22_050_664), (768, 86_567_656)])
def test_they_have_the_sizes_that_papers_and_torchvision_give(width, count):
    """Touvron et al. 2021, Table 1: 5, 22 and 86 million; torchvision's ViT-B/16 to the last one."""
    drawn = profile_of(ImageNetViT(width=width), (3, 224, 224), 1000)
    assert drawn.weights - 6 == count  # mean and deviation of the pixels


@pytest.mark.parametrize("shape", [(3, 30, 32), (3, 32, 30), (1, 28, 28), (3, 4, 4)])
def test_a_picture_that_patches_do_not_fill_is_refused_in_a_sentence(shape):
    for build in (lambda: SLIM.build(shape, 10, stream(0, "w")), lambda: profile_of(SLIM, shape, 10)):
        with pytest.raises(LabError, match=rf"Patches of 8 x 8 pixels do not fill a picture of {shape[1]} x {shape[2]}"):
            build()


def test_heads_that_cannot_share_the_width_are_refused_in_a_sentence():
    with pytest.raises(LabError, match="width = 100 cannot be shared by heads = 16"):
        VisionTransformer(width=100, heads=16).build((3, 32, 32), 10, stream(0, "w"))


def test_fixed_places_are_the_papers_sines():
    """Vaswani et al. 2017, section 3.5."""
    table = sinusoidal_positions(5, 8)[0].double()
    for place in range(5):
        for pair in range(4):
            angle = torch.tensor(place / 10_000 ** (2 * pair / 8), dtype=torch.float64)
            torch.testing.assert_close(table[place, 2 * pair], angle.sin(), rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(table[place, 2 * pair + 1], angle.cos(), rtol=1e-5, atol=1e-6)


def test_the_mean_of_all_tokens_is_blind_to_their_order_where_places_are_equal():
    model = VisionTransformer(patch=8, width=24, heads=3, depth=1, pool=Pool.MEAN).build((3, 16, 16), 5, stream(0, "w"))
    with torch.no_grad():
        model.features.pos_embedding.zero_()
        picture = random_batch(1, (3, 16, 16)).images
        torch.testing.assert_close(model(picture), model(picture.roll(8, 2)), rtol=1e-4, atol=1e-5)
