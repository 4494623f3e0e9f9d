"""Pictures: pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lab.lazy import Float, Tensor, no_grad, np, torch

from lab.errors import LabError
from lab.federated.observation import Observation
from lab.federated.tensors import Images, Inputs, Shape
from lab.modalities.base import Beside, Leaves, Measure, Metric, Modality, Shown
from lab.modalities.images.coarse_to_fine import Grids
from lab.modalities.images.codec import encode_png, in_channels, read_picture
from lab.modalities.images.line_up import THRESHOLDS, likeness
from lab.modalities.images.registration import register
from lab.modalities.images.roughness import roughness
from lab.modalities.images.scores import mse, psnr_db
from lab.modalities.images.sheets import comparison, film, one_above_the_other, replay, tiled
from lab.modalities.images.similarity import ssim
from lab.modalities.line_up import Thresholds
from lab.modalities.realism import Realism

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GREY = 0.5
NOISE_DEVIATION = 0.25
"""The paper starts from a standard normal in normalised units; a unit there is about 0.25 in pixels."""
PIXELS, SHAPES = "inputs", "shapes"
"""The leaves: the picture itself, and its broad shapes, which are zero between two steps."""
CHANNELS = (3, 1)


@dataclass(frozen=True)
class Pictures(Modality):
    """Pictures, in colour or grey, their pixels from 0 to 1; normalisation is the first layer of each network."""

    dataset: ClassVar[str] = "gallery"
    network: ClassVar[str] = "small_convnet"
    one: ClassVar[str] = "picture"
    many: ClassVar[str] = "pictures"
    unknowns: ClassVar[str] = "pixels"
    main: ClassVar[str] = "psnr_db"
    measures: ClassVar[Mapping[str, Measure]] = {
        "mse": Measure(
            cast("Callable[[Inputs, Inputs], Tensor]", mse),
            "Squared error",
            "Mean squared difference of a pixel, with values from 0 to 1; PSNR is this number on a logarithmic scale.",
            digits=5,
            in_summary=False,
            full=0.1,
        ),
        "psnr_db": Measure(
            cast("Callable[[Inputs, Inputs], Tensor]", psnr_db),
            "PSNR",
            "How small the average pixel error is, in decibels: 3 dB more halve the squared error. A blur can score high and "
            "show nothing, and a grey square gets about 13 dB.",
            unit="dB",
            digits=1,
            full=40.0,
        ),
        "ssim": Measure(
            cast("Callable[[Inputs, Inputs], Tensor]", ssim),
            "SSIM",
            "Whether edges and textures stand where they should (Wang et al. 2004): 1 for equal pictures, near 0 for "
            "unrelated ones.",
            digits=3,
            nothing="0",
        ),
    }
    controls: ClassVar[Mapping[str, str]] = {"grey": "a grey picture", "mean": "the mean of the other pictures"}
    details: ClassVar[Mapping[str, str]] = {"registered_psnr_db": "PSNR after moving it back"}
    thresholds: ClassVar[Thresholds] = THRESHOLDS
    likeness_meaning: ClassVar[str] = (
        "Correlation of the shapes in both pictures: 1 is alike, unrelated ones stay below 0.2; brightness, contrast and fine "
        "noise do not count."
    )
    fitting: ClassVar[str] = "pictures of the size (image_size) and colours, and the classes,"
    scale_note: ClassVar[str] = "The picture is shown stretched to fit."
    realism: ClassVar[Realism | None] = Realism(
        lambda inputs: roughness(_picture(inputs)),
        told="neighbouring pixels differ by {found} on average; of the roughest of {count} photographs {usual}",
        doubted="is rougher than photographs are",
        factor=1.5,
    )

    def start(self, seen: Observation, generator: torch.Generator, *, noise: bool) -> Images:
        """Mid-grey, or normal noise around it."""
        like = next(iter(seen.update.values()))
        shape = (seen.batch_size, *seen.image_shape)
        grey = torch.full(shape, GREY, dtype=like.dtype, device=like.device)
        if not noise:
            return grey
        return grey + NOISE_DEVIATION * torch.randn(shape, generator=generator, dtype=like.dtype).to(like.device)

    def leaves(self, candidate: Inputs, *, broad: bool) -> Leaves:
        """The pixels; coarse to fine, also the broad shapes, so that the picture is pixels + sum of w_s up(shape_s).

        The optimiser moves all of them at once: broad shapes settle within a few steps, and no step starts afresh as it
        would after a change of resolution.
        """
        pixels = _picture(candidate)
        shapes = {SHAPES: _grids_for(pixels).zeros(pixels)} if broad and Grids.fit(pixels) else {}
        return {PIXELS: pixels.detach().clone(), **shapes}

    def metric(self, candidate: Inputs) -> Metric | None:
        """Shapes that follow their gradients move the pixels by 1 + up down of theirs."""
        pixels = _picture(candidate)
        return _grids_for(pixels).spread if Grids.fit(pixels) else None

    def inputs(self, leaves: Leaves, like: Inputs) -> Images:
        """The pixels with their shapes drawn up."""
        pixels = leaves[PIXELS]
        return pixels + _grids_for(pixels).up(leaves[SHAPES]) if SHAPES in leaves else pixels

    def pull_back(self, leaves: Leaves, gradient: Inputs) -> Leaves:
        """The gradient itself for the pixels; that of the shapes is drawn down."""
        pixels = _picture(gradient)
        return {PIXELS: pixels, SHAPES: _grids_for(pixels).down(pixels)} if SHAPES in leaves else {PIXELS: pixels}

    @no_grad
    def project(self, leaves: Leaves, like: Inputs, *, boxed: bool) -> Images:
        """Fold the shapes into the pixels, and keep these in the box."""
        images = self.inputs(leaves, like)
        leaves[PIXELS].copy_(images.clamp(0, 1) if boxed else images)
        if SHAPES in leaves:
            leaves[SHAPES].zero_()
        return leaves[PIXELS].detach()

    def inside(self, candidate: Inputs) -> Images:
        """The pixels clamped to [0, 1]."""
        return _picture(candidate).clamp(0, 1)

    def at_some_scale(self, entered: Tensor, seen: Observation) -> Images:
        """The picture stretched to fill the range."""
        return (entered - entered.min()) / (entered.max() - entered.min()).clamp_min(1e-30)

    def detail(self, truth: Inputs, found: Inputs) -> tuple[Mapping[str, Any], ...]:
        """The best fit of a picture that may have been moved; ``shift`` is (pixels down, pixels right)."""
        moved = [register(mine, true) for mine, true in zip(_picture(found), _picture(truth), strict=True)]
        return tuple({"registered_psnr_db": fit.psnr_db, "shift": [fit.down, fit.right]} for fit in moved)

    def likeness(self, one: Inputs, others: Inputs) -> Float[Tensor, " others"]:
        """Correlation of their shapes."""
        return likeness(_picture(one), _picture(others))

    def ignorance(self, truth: Inputs, others: Inputs) -> Mapping[str, Inputs]:
        """A grey picture, and the mean of the others."""
        images = _picture(truth)
        return {"grey": torch.full_like(images, GREY), "mean": _picture(others).mean(0).expand_as(images)}

    def alike(self, others: Inputs, inputs: Inputs) -> Images:
        """Decoys in as many channels."""
        images = _picture(inputs)
        return in_channels(_picture(others).to(images), images.shape[1])

    def refuse(self, truth: Inputs) -> None:
        """Raise ``LabError`` for pixels outside [0, 1]."""
        images = _picture(truth)
        if not bool(((images >= 0) & (images <= 1)).all()):
            raise LabError("truth holds numbers beyond 0 and 1; give pixels in [0, 1], as they were before normalisation.")

    def truth_from(self, files: Sequence[Path], shape: Shape) -> Images:
        """A picture a file, cut to a square."""
        channels, height, width = cast("tuple[int, int, int]", shape)
        if height != width:
            raise LabError(f"A truth is cut to a square, and the pictures sought are {height} x {width}; leave it out.")
        return torch.cat([in_channels(read_picture(file, height).pixels[None], channels) for file in files])

    def other_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """The shape in colour and in grey."""
        own, height, width = cast("tuple[int, int, int]", shape)
        return tuple((channels, height, width) for channels in dict.fromkeys((own, *CHANNELS)))

    def in_shape(self, inputs: Inputs, shape: Shape) -> tuple[Images, str]:
        """The pictures in as many channels as the weights take."""
        images, channels = _picture(inputs), cast("tuple[int, int, int]", shape)[0]
        if channels == images.shape[1]:
            return images, ""
        kind = (
            "grey pictures, so these were turned grey"
            if channels == 1
            else "colours, so these grey pictures got three channels"
        )
        return in_channels(images, channels), f"The weights take {kind}."

    def shown(self, inputs: Inputs, beside: Beside | None = None) -> Shown:
        """Bytes, (batch, height, width, 3); other than three channels turn grey, which is repeated."""
        images = _picture(inputs).detach()
        grey = images.shape[1] != 3
        array = in_channels(images, 3).clamp(0, 1).mul(255).round().byte().cpu().permute(0, 2, 3, 1).numpy()
        pixels = np.ascontiguousarray(array)
        return Shown(self.name, pixels, {"grey": grey})

    def sheet(self, truth: Inputs, found: Inputs) -> bytes:
        """The first pictures of the batch, and below them what the attack made of them."""
        return one_above_the_other(_picture(truth), _picture(found))

    def packed(self, inputs: Inputs) -> Tensor:
        """A byte for each pixel."""
        return (_picture(inputs).clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    def unpacked(self, frame: Inputs) -> Images:
        """Pixels in [0, 1]."""
        return _picture(frame).float() / 255

    def files(self, original: Inputs, rebuilt: Inputs, frames: list[Inputs]) -> Mapping[str, bytes]:
        """Truth and reconstruction as pictures, and side by side; of frames a replay and a film."""
        truth, found, moments = _picture(original), _picture(rebuilt), [_picture(frame) for frame in frames]
        still = {
            "original.png": encode_png(tiled(truth)),
            **self.files_alone(found),
            "comparison.png": comparison(truth, found),
        }
        return still | {"replay.gif": replay(moments), "film.webp": film(truth, moments)} if moments else still

    def files_alone(self, rebuilt: Inputs) -> Mapping[str, bytes]:
        """The reconstruction as a picture."""
        return {"reconstruction.png": encode_png(tiled(_picture(rebuilt)))}


def _picture(inputs: Inputs) -> Tensor:
    """The one tensor that pictures are."""
    assert not isinstance(inputs, Mapping)
    return inputs


def _grids_for(pixels: Tensor) -> Grids:
    """The grids of pictures of this size."""
    return _grids(tuple(pixels.shape[-2:]), pixels.dtype, pixels.device)


@lru_cache(maxsize=16)
def _grids(sides: tuple[int, int], precision: torch.dtype, place: torch.device) -> Grids:
    return Grids(torch.empty(1, 1, *sides, dtype=precision, device=place))
