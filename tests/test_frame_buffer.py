"""The frames that a page keeps of a run: bounded in number and in bytes, whatever the pictures."""

import math

import numpy as np
import pytest

from widgets.run.frame_buffer import FEWEST, MAX_BYTES, MAX_FRAMES, FrameBuffer
from widgets.run.frames import Frame


@pytest.mark.parametrize("count", [3, 500, 2000])
@pytest.mark.parametrize("side", [32, 224, 500, 2240])
def test_the_frames_of_a_run_are_bounded_and_evenly_spread(side, count):
    """2240 pixels a side are the largest that a page may ask for: a hundred pictures of 224."""
    image = np.broadcast_to(np.uint8(0), (side, side, 3))
    reel = FrameBuffer(lambda frame: frame.image.nbytes)
    for iteration in range(count):
        reel.send(Frame(reel.number(), 1, iteration, math.nan, {}, "", "", image, 0.0))
    kept = [frame.iteration for frame in reel.frames]
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert len(kept) <= MAX_FRAMES
    assert len(kept) * image.nbytes <= max(MAX_BYTES, FEWEST * image.nbytes)
    assert len(kept) >= min(count, FEWEST // 2)
    gaps = np.diff(kept)
    assert len(set(gaps[:-1])) <= 1
    assert gaps[-1] <= gaps[0]
