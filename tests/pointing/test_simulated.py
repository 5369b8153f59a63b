"""The user who is simulated clicks where a user would."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy")

from vos_zoo.pointing.simulated import Click, box_of, circle_around, depths, next_click, stroke_in


def square(y0: int, x0: int, y1: int, x1: int, size: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_first_click_is_the_middle_of_the_object():
    assert next_click(square(10, 20, 31, 41), np.zeros((60, 80), bool)) == Click(30, 20, True)


def test_the_next_click_goes_to_the_larger_error():
    truth = square(10, 10, 40, 40)
    assert next_click(truth, square(10, 10, 40, 36)) == Click(37, 11, True) or next_click(truth, square(10, 10, 40, 36)).positive
    extra = next_click(truth, truth | square(0, 50, 60, 80))
    assert extra is not None and not extra.positive and 60 <= extra.x < 70


def test_nothing_wrong_nothing_to_click():
    truth = square(10, 10, 40, 40)
    assert next_click(truth, truth) is None


def test_depth_counts_the_border_of_the_picture():
    assert depths(np.ones((9, 9), bool))[4, 4] == 5 and depths(np.ones((9, 9), bool))[0, 0] == 1


def test_other_users_click_elsewhere_but_inside():
    truth, rng = square(10, 10, 40, 40), np.random.default_rng(0)
    clicks = {next_click(truth, np.zeros_like(truth), rng=rng) for _ in range(20)}
    assert len(clicks) > 5 and all(truth[click.y, click.x] for click in clicks)


def test_boxes_and_strokes():
    truth, rng = square(10, 20, 40, 60), np.random.default_rng(1)
    assert box_of(truth) == (20, 10, 60, 40)
    x0, y0, x1, y1 = box_of(truth, rng)
    assert (x0, y0, x1, y1) != (20, 10, 60, 40) and 0 <= x0 < x1 <= 80 and 0 <= y0 < y1 <= 60
    stroke = stroke_in(truth, rng)
    assert len(stroke) > 5 and all(truth[y, x] for x, y in stroke)


def test_a_circle_is_loose_and_around_the_object():
    truth = square(20, 30, 40, 50) & ~square(25, 30, 35, 40)
    circles = [circle_around(truth, np.random.default_rng(seed)) for seed in range(3)]
    assert all((circle | truth == circle).all() and circle.sum() > square(20, 30, 40, 50).sum() for circle in circles)
    assert len({int(circle.sum()) for circle in circles}) > 1
    line = square(10, 10, 11, 30)
    assert (circle_around(line, np.random.default_rng(0)) | line).sum() > line.sum()
