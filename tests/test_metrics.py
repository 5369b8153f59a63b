"""J, F and their statistics against hand-made cases and a slow, literal reading of the DAVIS rules."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.metrics import boundary_f, boundary_radius, jaccard, statistics


def square(top: int, left: int, side: int, size: tuple[int, int] = (480, 854)) -> np.ndarray:
    mask = np.zeros((1, *size), dtype=bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def naive_boundary(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right, down = x + 1 < width, y + 1 < height
            if right and down:
                neighbours = [mask[y, x + 1], mask[y + 1, x], mask[y + 1, x + 1]]
            elif right:
                neighbours = [mask[y, x + 1]]
            elif down:
                neighbours = [mask[y + 1, x]]
            else:
                neighbours = []
            edge[y, x] = any(neighbour != mask[y, x] for neighbour in neighbours)
    return edge


def naive_f(gt: np.ndarray, pred: np.ndarray, radius: int) -> float:
    """By the distance of every boundary pixel to every other."""
    truth, guess = np.argwhere(naive_boundary(gt)), np.argwhere(naive_boundary(pred))
    if not len(truth) and not len(guess):
        return 1.0
    if not len(truth) or not len(guess):
        return 0.0
    near = ((truth[:, None] - guess[None]) ** 2).sum(axis=2) <= radius * radius
    precision, recall = near.any(axis=0).mean(), near.any(axis=1).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blobs(seed: int, size: tuple[int, int], frames: int = 4) -> np.ndarray:
    """Ragged shapes, some of them across the border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((frames, *size), dtype=bool)
    for t in range(frames):
        for _ in range(rng.integers(0, 4)):
            cy, cx, ry, rx = rng.uniform((0, 0, 1, 1), (*size, 1 + size[0] / 3, 1 + size[1] / 3))
            masks[t] |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        masks[t] ^= rng.random(size) < 0.01
    return masks


def test_jaccard_by_hand():
    gt = np.zeros((4, 3, 4), dtype=bool)
    pred = np.zeros_like(gt)
    gt[0, 0, :3] = pred[0, 0, 1:] = True  # 2 in common of 4
    gt[1] = pred[1] = True
    gt[2, 1, 1] = True  # missed
    assert jaccard(gt, pred).tolist() == [0.5, 1.0, 0.0, 1.0]  # the last: both empty


def test_masks_may_be_lists_or_integers():
    gt = [[[0, 255], [255, 0]]]
    assert jaccard(gt, np.array([[[0, 1], [0, 0]]], dtype=np.uint8)).tolist() == [0.5]
    assert jaccard([[[True, False]]], [[[1.0, 0.0]]]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("size", "radius"),
    [((256, 448), 5), ((480, 854), 8), ((480, 910), 9), ((720, 1280), 12), ((1080, 1920), 18)],
)
def test_radius_of_the_tolerance(size, radius):
    assert boundary_radius(size) == radius


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (23, 31), (31, 23), (40, 64)])
@pytest.mark.parametrize("radius", [1, 2, 5])
def test_f_is_that_of_the_literal_rules(size, radius):
    gt, pred = blobs(radius, size), blobs(radius + 100, size)
    expected = [naive_f(g, p, radius) for g, p in zip(gt, pred, strict=True)]
    assert boundary_f(gt, pred, bound_th=radius).tolist() == expected


@pytest.mark.parametrize("size", [(256, 448), (480, 854), (720, 1280)])
def test_f_is_that_of_a_dilation_by_a_disk(size):
    ndimage = pytest.importorskip("scipy.ndimage")
    gt, pred = blobs(1, size, 1), blobs(2, size, 1)
    gt[0, : size[0] // 3, size[1] // 2 :] = pred[0, size[0] // 3 - 6 :, -40:] = True
    radius = boundary_radius(size)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = x * x + y * y <= radius * radius
    padded = [np.pad(m[0], ((0, 1), (0, 1)), mode="edge") for m in (gt, pred)]
    truth, guess = ((m[:-1, :-1] ^ m[:-1, 1:]) | (m[:-1, :-1] ^ m[1:, :-1]) | (m[:-1, :-1] ^ m[1:, 1:]) for m in padded)
    precision = (guess & ndimage.binary_dilation(truth, disk)).sum() / guess.sum()
    recall = (truth & ndimage.binary_dilation(guess, disk)).sum() / truth.sum()
    assert 0 < precision < 1 and 0 < recall < 1
    assert boundary_f(gt, pred)[0] == 2 * precision * recall / (precision + recall)


def test_f_of_empty_and_full_masks():
    empty, full = np.zeros((1, 60, 80), dtype=bool), np.ones((1, 60, 80), dtype=bool)
    some = square(20, 20, 20, (60, 80))
    assert boundary_f(empty, empty) == 1
    assert boundary_f(some, empty) == 0
    assert boundary_f(empty, some) == 0
    assert boundary_f(full, empty) == 1  # a full frame has no boundary
    assert boundary_f(full, some) == 0


def test_f_of_one_pixel():
    spot = np.zeros((1, 60, 80), dtype=bool)
    spot[0, 30, 40] = True
    assert boundary_f(spot, spot) == 1
    assert boundary_f(spot, np.roll(spot, 1, axis=2)) == 1
    assert boundary_f(spot, np.roll(spot, 20, axis=2)) == 0


def test_f_in_the_last_corner():
    corner = np.zeros((1, 60, 80), dtype=bool)
    corner[0, -1, -1] = True
    assert boundary_f(corner, corner) == 1
    assert boundary_f(corner, np.zeros_like(corner)) == 0


def test_f_does_not_reach_round_the_frame():
    """The first pixels of a row are no neighbours of the last ones of the row above."""
    left, right = np.zeros((2, 1, 60, 80), dtype=bool)
    left[0, 20:40, :5] = right[0, 19:39, -5:] = True
    assert boundary_f(left, right, bound_th=4) == 0


def test_f_of_a_shifted_square_at_480p():
    gt = square(100, 200, 100)
    assert boundary_f(gt, square(100, 208, 100)) == 1
    assert boundary_f(gt, square(100, 209, 100))[0] == pytest.approx(0.54, abs=0.01)


def test_f_is_symmetric():
    gt, pred = blobs(3, (60, 80)), blobs(4, (60, 80))
    np.testing.assert_allclose(boundary_f(gt, pred), boundary_f(pred, gt), rtol=1e-15)


@pytest.mark.parametrize("metric", [jaccard, boundary_f])
def test_bad_masks_are_named(metric):
    mask = np.zeros((2, 4, 5), dtype=bool)
    with pytest.raises(EvaluationError, match=r"gt has shape \(2, 4, 5\) but pred has \(2, 5, 4\)"):
        metric(mask, mask.swapaxes(1, 2))
    with pytest.raises(EvaluationError, match=r"pred has shape \(4, 5\); give \(T, H, W\)"):
        metric(mask, mask[0])
    with pytest.raises(EvaluationError, match=r"gt \(float64\) has values other than 0 and 1; threshold it"):
        metric(mask + 0.3, mask)


def test_a_negative_tolerance_is_refused():
    with pytest.raises(EvaluationError, match="bound_th is -1"):
        boundary_f(np.zeros((1, 4, 5), dtype=bool), np.zeros((1, 4, 5), dtype=bool), bound_th=-1)


def test_recall_is_strict():
    assert statistics([0.5, 0.5, 0.75, 1.0]).recall == 0.5


def test_nan_frames_are_left_out_of_the_mean_but_not_of_the_recall():
    result = statistics([np.nan, 0.6, 0.8, 0.7])
    assert result.mean == pytest.approx(0.7)
    assert result.recall == 0.75


# Frame numbers (first, last of the first quarter; first, last of the last quarter), all inclusive.
QUARTERS = {
    1: (0, 0, 0, 0),
    2: (0, 0, 1, 1),
    3: (0, 1, 2, 2),
    4: (0, 1, 2, 3),
    5: (0, 1, 3, 4),
    6: (0, 1, 4, 5),
    7: (0, 2, 5, 6),
    8: (0, 2, 5, 7),
    9: (0, 2, 6, 8),
    10: (0, 2, 7, 9),
    256: (0, 64, 191, 255),
    257: (0, 64, 192, 256),
    600: (0, 150, 449, 599),
}


@pytest.mark.parametrize("frames", sorted(QUARTERS))
def test_decay_by_quarters_that_share_their_ends(frames):
    values = np.random.default_rng(frames).random(frames)
    a, b, c, d = QUARTERS[frames]
    expected = values[a : b + 1].mean() - values[c : d + 1].mean()
    assert statistics(values).decay == pytest.approx(expected, abs=1e-12)
    legacy = statistics(values, legacy_decay=True).decay
    assert np.isnan(legacy) if frames > 256 else legacy == statistics(values).decay


def test_legacy_decay_wraps_the_frame_numbers():
    """1024 frames: the quarters 0..256 and 767..1023 become 0..0 and 255..255 in 8 bits."""
    values = np.zeros(1024)
    values[0], values[255] = 0.9, 0.2
    assert statistics(values, legacy_decay=True).decay == pytest.approx(0.7)
    assert statistics(values).decay == pytest.approx(1.1 / 257)


def test_statistics_of_nothing_are_refused():
    with pytest.raises(EvaluationError, match="at least|least that can be scored"):
        statistics([])
    with pytest.raises(EvaluationError, match=r"got shape \(2, 2\)"):
        statistics(np.zeros((2, 2)))
