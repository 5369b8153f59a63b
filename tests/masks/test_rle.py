"""COCO's run lengths and polygons."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import MaskError
from vos_zoo.masks.polygons import polygons_to_mask
from vos_zoo.masks.rle import decode_rle, encode_rle


def _text(counts: list[int]) -> str:
    """COCO's string, count by count and bit group by bit group, as its description reads."""
    text = ""
    for i, count in enumerate(counts):
        number = count - counts[i - 2] if i > 2 else count
        while True:
            group, number = number & 31, number >> 5
            done = number == (-1 if group & 16 else 0)
            text += chr(48 + group + (0 if done else 32))
            if done:
                break
    return text


def _counts(mask: np.ndarray) -> list[int]:
    counts, current = [0], 0
    for pixel in mask.T.reshape(-1).astype(int).tolist():
        if pixel != current:
            counts.append(0)
            current = pixel
        counts[-1] += 1
    return counts


def test_a_known_string() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 1:4] = True
    # columns: 5 background, 2 object, 2 background, 2, 2, 2, 5; from the fourth on as differences: 0, 0, 0, 3
    assert encode_rle(mask) == {"size": [4, 5], "counts": "5220003"}


def test_long_and_falling_counts() -> None:
    # 1000 = 8 + 31 * 32 needs three groups because bit 16 of 31 would read as a sign: 8|32, 31|32, 0
    mask = np.zeros((1100, 1), dtype=bool)
    mask[1000:1090] = True
    assert encode_rle(mask)["counts"] == chr(48 + 40) + chr(48 + 63) + "0" + chr(48 + 58) + "2" + ":"


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_strings_follow_the_description_and_come_back(density: float) -> None:
    rng = np.random.default_rng(3)
    for size in [(1, 1), (1, 70), (70, 1), (37, 53)]:
        mask = rng.random(size) < density
        rle = encode_rle(mask)
        assert rle["counts"] == _text(_counts(mask))
        assert (decode_rle(rle) == mask).all()
        assert (decode_rle({**rle, "counts": rle["counts"].encode()}) == mask).all()


def test_uncompressed_counts_go_down_the_columns() -> None:
    mask = decode_rle({"size": [2, 3], "counts": [1, 2, 3]})
    assert mask.tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 3], "counts": [1, 2]}, r"add up to 3 pixels.*\[2, 3\].*has 6"),
        ({"size": [2, 3], "counts": [7, -1]}, "add up to 6 pixels"),
        ({"size": [2, 3], "counts": ""}, "ends early or has foreign characters"),
        ({"size": [2, 3], "counts": "1 2"}, "foreign characters"),
        ({"size": [2, 3], "counts": chr(48 + 33)}, "ends early"),
        ({"size": [2, 3], "counts": "o" * 20 + "0"}, "longer than any image needs"),
        ({"size": [2, 3], "counts": ["a"]}, "list of whole numbers"),
        ({"size": [2], "counts": [6]}, r"two whole numbers \(height, width\)"),
        ({"size": [0, 3], "counts": []}, "at least 1x1"),
        ({"size": [2, 3]}, "needs the keys"),
    ],
)
def test_damaged_rle_is_refused(rle: dict[str, object], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        decode_rle(rle)


def test_encode_takes_one_object_only() -> None:
    with pytest.raises(MaskError, match="one by one"):
        encode_rle(np.zeros((2, 3, 4), dtype=bool))


def test_a_polygon_covers_the_pixels_whose_centres_it_holds() -> None:
    square = polygons_to_mask([[1, 1, 5, 1, 5, 4, 1, 4]], (8, 9))
    assert square.sum() == 12 and square[1:4, 1:5].all()
    triangle = polygons_to_mask([[0, 0, 8, 0, 0, 8]], (8, 8))
    rows, columns = np.mgrid[:8, :8]
    assert (triangle == (rows + 0.5 + columns + 0.5 < 8)).all()


def test_polygons_are_joined_and_cut_at_the_rim() -> None:
    mask = polygons_to_mask([[-5, -5, 2, -5, 2, 2, -5, 2], [1, 1, 50, 1, 50, 3, 1, 3]], (4, 6))
    expected = np.zeros((4, 6), dtype=bool)
    expected[:2, :2] = True
    expected[1:3, 1:] = True
    assert (mask == expected).all()


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([1, 2, 3, 4], "at least three points.*has 4"),
        ([1, 2, 3, 4, 5, 6, 7], "has 7"),
        ([1, 2, 3, 4, 5, float("nan")], "NaN"),
        (["a", "b"], "list of numbers"),
    ],
)
def test_bad_polygons_are_refused(polygon: list[object], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        polygons_to_mask([polygon], (8, 8))
