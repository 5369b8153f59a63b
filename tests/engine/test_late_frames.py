"""A consumer slower than its source: frames are left out and counted, the session goes on, and each mask belongs to its frame."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from toy import squares_clip, toy_segmenter

from vos_zoo.errors import VideoError, VosZooWarning
from vos_zoo.videos.video import open_video

VIDEO, TRUTH = squares_clip(30, ids=(1, 2), appear={2: 17})


def ticking(seconds: float = 0.01) -> Iterator[np.ndarray]:
    for frame in VIDEO:
        time.sleep(seconds)
        yield frame


def followed(source, *, pause: float = 0.05, **options) -> list[int]:
    """The indices that came, each with the mask of its own frame."""
    masks = {0: TRUTH[0], 17: {2: TRUTH[17] == 2}}
    seen = []
    for index, frame, mask in toy_segmenter().stream(source, masks=masks, **options):
        assert (frame == VIDEO[index]).all() and (mask == TRUTH[index]).all()
        seen.append(index)
        time.sleep(pause)
    return seen


def test_late_frames_are_left_out_and_the_session_goes_on() -> None:
    with pytest.warns(VosZooWarning, match="left out") as heard:
        seen = followed(ticking(), drop="late")
    assert seen == sorted(set(seen)) and {0, 17, 29} <= set(seen) and len(seen) < 20
    assert f"{30 - len(seen)} of the 30 frames that came were left out" in str(heard[-1].message)


def test_a_live_source_drops_unless_it_is_told_not_to(monkeypatch) -> None:
    def live():
        video = open_video(ticking())
        monkeypatch.setattr(video._reader, "live", True)
        return video

    with pytest.warns(VosZooWarning, match="drop=None keeps all"):
        assert len(followed(live())) < 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert followed(live(), pause=0.02, drop=None) == list(range(30))


def test_a_callers_generator_loses_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert followed(ticking(), pause=0.02) == list(range(30))


def test_what_waits_is_never_late() -> None:
    with pytest.raises(VideoError, match="waits until its frames are wanted"):
        followed(VIDEO, drop="late")
    with pytest.raises(VideoError, match="drop is 'auto', None or 'late', not 'early'"):
        followed(VIDEO, drop="early")
    assert followed(VIDEO, pause=0) == list(range(30))
