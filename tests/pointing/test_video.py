"""Pointing in place of a mask, wherever the library takes one."""

from __future__ import annotations

import numpy as np
import pytest
from pointing_toy import scene, toy_pointer
from toy import toy_segmenter

import vos_zoo
from vos_zoo.errors import MaskError, PromptError, VideoError


def frames(count: int = 4) -> np.ndarray:
    return np.stack([scene()[0]] * count)


def test_propagate_from_points_is_propagate_from_their_mask():
    video, pointer, segmenter = frames(), toy_pointer(), toy_segmenter()
    mask = vos_zoo.point(video[0], points={2: [(40, 40)]}, boxes={5: (100, 40, 140, 70)}, model=pointer)
    told = segmenter.propagate(video, points={2: [(40, 40)]}, boxes={5: (100, 40, 140, 70)}, pointer=pointer, progress=False)
    assert told == segmenter.propagate(video, mask, progress=False)
    assert told.object_ids == (2, 5)


def test_a_later_frame_is_pointed_at():
    video, pointer = frames(), toy_pointer()
    masks = {2: vos_zoo.Prompts(points={7: [(120, 60)]}, pointer=pointer)}
    found = toy_segmenter().propagate(video, points=[(40, 40)], pointer=pointer, masks=masks, progress=False)
    assert found.object_ids == (1, 7) and (found[2] == 7).any() and not (found[0] == 7).any()


def test_a_first_mask_is_corrected():
    video, pointer = frames(2), toy_pointer()
    _, red, green = scene()
    found = toy_segmenter().propagate(video, red | green, points=[(40, 40), (120, 60, 0)], pointer=pointer, progress=False)
    assert (found[0][red] == 1).mean() > 0.8 and (found[0][green] == 1).mean() < 0.2


def test_streams_and_sessions():
    video, pointer, segmenter = frames(3), toy_pointer(), toy_segmenter()
    streamed = list(segmenter.stream(iter(video), points=[(40, 40)], pointer=pointer))
    assert len(streamed) == 3 and (streamed[0].mask == 1).any()
    session = segmenter.start(video[0], points=[(40, 40)], pointer=pointer)
    assert (session.current() == streamed[0].mask).all()
    session.annotate(video[1], points={3: [(120, 60)]}, pointer=pointer)
    assert session.object_ids == (1, 3)
    before = session.current().copy()
    session.annotate(video[1], points={3: [(120, 60), (40, 40, 0)]}, pointer=pointer, advance=False)
    assert ((session.current() == 1) == (before == 1)).all()


def test_what_is_wrong_is_told_before_anything_is_done():
    video, pointer, segmenter = frames(), toy_pointer(), toy_segmenter()
    with pytest.raises(PromptError, match="outside the picture"):
        segmenter.propagate(video, points=[(400, 40)], pointer=pointer)
    with pytest.raises(PromptError, match="outside the picture"):
        segmenter.propagate(video, points=[(4, 4)], masks={2: vos_zoo.Prompts(points=[(400, 40)], pointer=pointer)}, pointer=pointer)
    assert pointer.encoder.asked == 0
    with pytest.raises(VideoError, match="only its|nothing but its frame 0"):
        segmenter.propagate(iter(video), masks={2: vos_zoo.Prompts(points=[(4, 4)], pointer=pointer)})
    with pytest.raises(TypeError, match="pionts"):
        segmenter.propagate(video, pionts=[(4, 4)])
    session = segmenter.start(video[0], points=[(40, 40)], pointer=pointer)
    with pytest.raises(MaskError, match="nothing was given"):
        session.annotate(video[1])
