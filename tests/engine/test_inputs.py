"""How frames go into a model: what `size` and `tta` say, checked once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from toy import squares_clip, toy_segmenter

from vos_zoo import TTA
from vos_zoo.engine.inputs import InputSpec
from vos_zoo.errors import VosZooError


@pytest.mark.parametrize(
    ("size", "spec"),
    [
        (None, InputSpec()),
        (480, InputSpec(short_side=480)),
        (np.int64(480), InputSpec(short_side=480)),
        ((48, 64), InputSpec(exact=(48, 64))),
        ([48, np.int32(64)], InputSpec(exact=(48, 64))),
        ("native", InputSpec(native=True)),
    ],
)
def test_what_size_says(size, spec):
    assert InputSpec.of(size) == spec and hash(InputSpec.of(size)) == hash(spec)


@pytest.mark.parametrize("size", ["huge", "480", True, 480.0, (48,), (48, 64, 3), (48, "64"), (48.5, 64), {}, b"native", float("nan")])
def test_another_size_is_refused(size):
    with pytest.raises(VosZooError, match=r"size is the shorter side in pixels, \(height, width\) or 'native', not "):
        InputSpec.of(size)


@pytest.mark.parametrize("size", [0, -480, 7, (7, 64), (64, -1)])
def test_what_is_smaller_than_the_stride_is_refused(size):
    with pytest.raises(VosZooError, match=r"is too small: this model needs at least 8 pixels a side"):
        InputSpec.of(size).check_fits(8)
    with pytest.raises(VosZooError, match="too small"):
        toy_segmenter().input_spec(size)


def test_it_is_one_value_that_does_not_change():
    spec = InputSpec.of(64, "flip")
    assert spec.tta == TTA(scales=(1.0,)) and len(spec.tta.views) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.short_side = 32  # type: ignore[misc]


def test_no_video_is_opened_for_a_wrong_size():
    segmenter = toy_segmenter()
    read = []

    def frames():
        read.append(1)
        yield from squares_clip()[0]

    for call in (segmenter.propagate, segmenter.stream):
        with pytest.raises(VosZooError, match="too small"):
            call(frames(), squares_clip()[1][0], size=4)
    with pytest.raises(VosZooError, match="too small"):
        segmenter.propagate_many([frames()], [squares_clip()[1][0]], size=4)
    assert not read
