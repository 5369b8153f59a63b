"""J, F and their statistics against hand-made cases and a slow, literal reading of the DAVIS rules."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.metrics import boundary_f, boundary_radius, jaccard, pairs, statistics


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


def test_jaccard_of_empty_full_and_one_pixel():
    empty, full = np.zeros((1, 6, 8), dtype=bool), np.ones((1, 6, 8), dtype=bool)
    spot = empty.copy()
    spot[0, 5, 7] = True
    assert jaccard(empty, empty) == 1
    assert jaccard(spot, empty) == jaccard(empty, spot) == 0
    assert jaccard(full, full) == 1
    assert jaccard(full, empty) == 0, "unlike F, which sees no boundary in a full frame"
    assert jaccard(full, spot) == pytest.approx(1 / 48)
    assert jaccard(spot, np.roll(spot, 1, axis=2)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_both_are_symmetric_bounded_and_one_for_the_truth(seed):
    gt, pred = blobs(seed, (31, 40)), blobs(seed + 50, (31, 40))
    for metric in (jaccard, boundary_f):
        values = metric(gt, pred)
        assert ((values >= 0) & (values <= 1)).all()
        np.testing.assert_allclose(values, metric(pred, gt), rtol=1e-15)
        assert (metric(gt, gt) == 1).all()


def test_jaccard_does_not_care_where_the_pixels_are():
    gt, pred = blobs(1, (31, 40)), blobs(2, (31, 40))
    order = np.random.default_rng(0).permutation(31 * 40)
    mixed = [masks.reshape(len(masks), -1)[:, order].reshape(masks.shape) for masks in (gt, pred)]
    assert (jaccard(gt, pred) == jaccard(*mixed)).all()


def test_void_is_background_on_both_sides():
    gt, pred, void = blobs(3, (31, 40)), blobs(4, (31, 40)), blobs(5, (31, 40))
    for metric in (jaccard, boundary_f):
        assert (metric(gt, pred, void=void) == metric(gt & ~void, pred & ~void)).all()
        assert (metric(gt, pred, void=np.zeros_like(gt)) == metric(gt, pred)).all()
    assert (jaccard(gt, pred, void=np.ones_like(gt)) == 1).all()
    with pytest.raises(EvaluationError, match=r"void has shape \(1, 31, 40\) but gt has \(4, 31, 40\)"):
        jaccard(gt, pred, void=void[:1])


@pytest.mark.parametrize("size", [(31, 40), (120, 160)])
def test_all_pairs_of_a_frame_are_those_one_by_one(size):
    truths, guesses = blobs(6, size, 3), np.concatenate([blobs(7, size, 2), np.zeros((1, *size), bool), np.ones((1, *size), bool)])
    j, f = pairs(truths, guesses)
    assert j.shape == f.shape == (4, 3)
    for p, guess in enumerate(guesses):
        for g, truth in enumerate(truths):
            assert j[p, g] == jaccard(truth[None], guess[None])
            assert f[p, g] == boundary_f(truth[None], guess[None])
    nothing = np.zeros((2, *size), bool)
    assert (np.array(pairs(nothing, nothing)) == 1).all()


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


def test_f_of_masks_that_touch_the_border():
    """The left half of a frame has one boundary: the column left of its edge, from the first row to the last."""
    half = np.zeros((1, 60, 80), dtype=bool)
    half[0, :, :40] = True
    assert (np.argwhere(naive_boundary(half[0]))[:, 1] == 39).all() and naive_boundary(half[0]).sum() == 60
    near, far = (np.zeros_like(half) for _ in range(2))
    near[0, :, :42], far[0, :, :43] = True, True
    assert boundary_f(half, near, bound_th=2) == 1
    assert boundary_f(half, far, bound_th=2) == 0
    rest = ~half  # touches the three other borders, and has the same boundary
    assert boundary_f(half, rest) == 1 and jaccard(half, rest) == 0


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
    assert statistics([0.5]).recall == 0 and statistics([np.nextafter(0.5, 1)]).recall == 1


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


def official_decay(values: np.ndarray) -> float:
    """The official rule read literally: frame numbers go through unsigned bytes before the quarters are cut."""
    ids = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.int64) % 256
    quarters = [values[int(ids[i]) : int(ids[i + 1]) + 1] for i in range(4)]
    first, last = ([v for v in quarter if not np.isnan(v)] for quarter in (quarters[0], quarters[3]))
    return sum(first) / len(first) - sum(last) / len(last) if first and last else np.nan


@pytest.mark.parametrize("frames", sorted(QUARTERS))
def test_decay_by_quarters_that_share_their_ends(frames):
    values = np.random.default_rng(frames).random(frames)
    a, b, c, d = QUARTERS[frames]
    expected = values[a : b + 1].mean() - values[c : d + 1].mean()
    assert statistics(values).decay == pytest.approx(expected, abs=1e-12)
    assert statistics(values, legacy_decay=True).decay == pytest.approx(official_decay(values), abs=1e-12, nan_ok=True)
    assert np.isnan(statistics(values, legacy_decay=True).decay) == (frames > 256)


@pytest.mark.parametrize("frames", [*range(11, 40), 100, 255, 300, 342, 511, 512, 513, 770, 1024, 1025])
def test_legacy_decay_is_the_official_one_at_any_length(frames):
    values = np.random.default_rng(frames).random(frames)
    values[frames // 3] = np.nan
    assert statistics(values, legacy_decay=True).decay == pytest.approx(official_decay(values), abs=1e-12, nan_ok=True)
    if frames <= 256:
        assert statistics(values).decay == pytest.approx(official_decay(values), abs=1e-12)


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
