"""Colours and drawing."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import MaskError
from vos_zoo.masks.overlay import draw_mask, draw_overlay
from vos_zoo.masks.palette import davis_palette


def _scene(height: int = 20, width: int = 24) -> tuple[np.ndarray, np.ndarray]:
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = np.zeros((height, width), dtype=np.int32)
    labels[2:12, 3:10] = 1
    labels[5:15, 10:18] = 300
    return frame, labels


def test_palette_has_the_known_colours() -> None:
    palette = davis_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128), 8: (64, 0, 0)}
    known |= {9: (192, 0, 0), 20: (0, 64, 128), 21: (128, 64, 128), 22: (0, 192, 128), 255: (224, 224, 192)}
    for object_id, colour in known.items():
        assert tuple(palette[object_id].tolist()) == colour
    assert len(np.unique(palette, axis=0)) == 256


def test_palette_can_be_changed_by_its_owner_only() -> None:
    davis_palette()[1] = 0
    assert davis_palette()[1].tolist() == [128, 0, 0]


def test_overlay_tints_objects_and_leaves_the_rest() -> None:
    frame, labels = _scene()
    before = frame.copy()
    drawn = draw_overlay(frame, labels, alpha=0.25, outline=False)
    assert (frame == before).all()
    assert (drawn[labels == 0] == frame[labels == 0]).all()
    inside = labels == 1
    expected = np.rint(frame[inside] * 0.75 + davis_palette()[1] * 0.25)
    assert np.abs(drawn[inside] - expected).max() <= 1
    wrapped = draw_overlay(frame, labels, alpha=1.0, outline=False)
    assert (wrapped[labels == 300] == davis_palette()[45]).all()


def test_outline_is_the_inner_rim_and_grows_with_the_frame() -> None:
    frame, labels = _scene()
    drawn = draw_overlay(frame, labels, alpha=0.0)
    changed = (drawn != frame).any(axis=2)
    assert not changed[labels == 0].any()
    assert not changed[3:11, 4:9].any()
    assert changed[2, 3:10].all() and changed[2:12, 9].all() and changed[5:15, 10].all()
    tall = np.zeros((960, 8), dtype=np.uint8)
    tall[100:200] = 1
    drawn = draw_overlay(np.zeros((960, 8, 3), np.uint8), tall, alpha=0.0)
    assert np.flatnonzero(drawn[:, 4].max(axis=1)).tolist() == [100, 101, 198, 199]


def test_lost_objects_are_only_outlined() -> None:
    frame, labels = _scene()
    drawn = draw_overlay(frame, labels, lost=[300])
    assert (drawn[7:13, 12:16] == frame[7:13, 12:16]).all()
    assert (drawn[5, 10:18] != frame[5, 10:18]).any()
    assert (drawn[3:11, 4:9] != frame[3:11, 4:9]).any()


def test_mask_style_is_palette_on_black() -> None:
    _, labels = _scene()
    drawn = draw_mask(labels)
    assert drawn.dtype == np.uint8 and not drawn[labels == 0].any()
    assert (drawn[labels == 1] == (128, 0, 0)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros((4, 5), np.uint8)}, r"\(5, 4\) but the frame \(24, 20\)"),
        ({"alpha": 1.5}, "between 0 .* and 1"),
        ({"frame": np.zeros((20, 24), np.uint8)}, r"must be \(H, W, 3\) uint8"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    frame, labels = _scene()
    arguments = {"frame": frame, "labels": labels, **change}
    with pytest.raises(MaskError, match=message):
        draw_overlay(**arguments)  # type: ignore[arg-type]


def test_objects_may_have_colours_that_a_caller_chose() -> None:
    frame, labels = _scene()
    drawn = draw_overlay(frame, labels, alpha=1, outline=False, colours={300: "#2f9bff"})
    assert (drawn[labels == 300] == (0x2F, 0x9B, 0xFF)).all() and (drawn[labels == 1] == (128, 0, 0)).all()


@pytest.mark.parametrize("colours", ["#2f9bff", {1: "blue"}, {1: (1, 2, 3)}, {0: "#2f9bff"}, {"a": "#2f9bff"}])
def test_colours_that_are_none_are_told(colours: object) -> None:
    with pytest.raises(MaskError, match="colour"):
        draw_overlay(*_scene(), colours=colours)  # type: ignore[arg-type]
