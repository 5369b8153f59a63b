"""What a notebook shows of masks."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import MaskError
from vos_zoo.masks.overlay import draw_mask, draw_overlay
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.videos.video import open_video

SIZE = (24, 32)


def _sequence(length: int) -> MaskSequence:
    masks = MaskSequence(SIZE, fps=10)
    for t in range(length):
        labels = np.zeros(SIZE, np.uint8)
        labels[2:9, t % 20 : t % 20 + 8] = 1
        masks.append(labels, lost=[1] if t == 2 else ())
    return masks


@pytest.mark.parametrize(("length", "shown"), [(0, 0), (1, 1), (5, 5), (40, 12)])
def test_a_contact_sheet_has_pictures_of_frames_from_the_first_to_the_last(length: int, shown: int) -> None:
    masks = _sequence(length)
    page = masks._repr_html_()
    numbers = [int(n) for n in re.findall(r"<figcaption>(\d+)</figcaption>", page)]
    assert len(numbers) == shown and numbers == sorted(set(numbers)) and (not shown or {numbers[0], numbers[-1]} == {0, length - 1})
    assert repr(masks) in page and "<script" not in page
    for number, data in zip(numbers, re.findall(r"base64,([^\"]+)", page), strict=True):
        assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) == draw_mask(masks[number])).all()


def test_one_frame_is_drawn_on_its_video() -> None:
    masks, frames = _sequence(4), np.random.default_rng(0).integers(0, 255, (4, *SIZE, 3), dtype=np.uint8)
    assert (np.asarray(masks.show(1, frames)) == draw_overlay(frames[1], masks[1])).all()
    assert (np.asarray(masks.show(2, frames)) == draw_overlay(frames[2], masks[2], lost=[1])).all()
    assert (np.asarray(masks[2:].show(-1, frames)) == draw_overlay(frames[3], masks[3])).all()
    assert (np.asarray(masks.show(0)) == draw_mask(masks[0])).all()
    with pytest.raises(MaskError, match="the frame to show must be a whole number from -4 to 3, not 4"):
        masks.show(4)
    with pytest.raises(MaskError, match="has no frame 3"):
        masks.show(3, frames[:2])
    with pytest.raises(MaskError, match="nothing to show"):
        MaskSequence(SIZE).show(0)


def test_the_clip_is_played(tmp_path: Path) -> None:
    masks, frames = _sequence(4), np.full((4, *SIZE, 3), 90, np.uint8)
    page = masks.play(frames)._repr_html_()
    (tmp_path / "a.mp4").write_bytes(base64.b64decode(re.findall(r"base64,([^\"]+)", page)[0]))
    with open_video(tmp_path / "a.mp4") as video:
        assert len(list(video)) == 4
