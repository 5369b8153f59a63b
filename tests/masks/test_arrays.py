"""Masks as people's arrays come: which axis is which, and what is said where that can't be known."""

from __future__ import annotations

import numpy as np
import pytest

from vos_zoo.errors import MaskError, VosZooWarning
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.rle import encode_rle

SIZE = (24, 32)
ONE, TWO = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
ONE[2:12, 3:13], TWO[14:20, 16:28] = True, True
LABELS = ONE + 2 * TWO
LAYERS = np.stack([ONE, TWO])  # (K, H, W)


@pytest.mark.parametrize(
    "array",
    [
        LAYERS,
        LAYERS[:, None],  # SAM 2's video predictor
        LAYERS[None],  # a batch of one
        np.moveaxis(LAYERS, 0, 2),  # pycocotools.mask.decode, Mask R-CNN, cv2.merge
        np.moveaxis(LAYERS, 0, 2).astype(np.uint8),
        np.moveaxis(LAYERS, 0, 2).astype(np.float32),
        LAYERS.astype(np.uint8) * 255,
        LAYERS[:, None].astype(np.float64),
    ],
)
def test_layers_in_any_order(array: np.ndarray) -> None:
    for size in (SIZE, None):
        found = read_mask(array, size=size)
        assert found.ids == (1, 2) and (found.labels == LABELS).all()


def test_three_layers_last_are_layers_and_three_equal_channels_a_picture() -> None:
    layers = np.stack([ONE, TWO, ~(ONE | TWO)], axis=2).astype(np.uint8)
    assert read_mask(layers, size=SIZE).ids == (1, 2, 3)
    assert read_mask(np.repeat(ONE[..., None].astype(np.uint8), 3, axis=2), size=SIZE).ids == (1,)
    assert read_mask(np.repeat(ONE[..., None].astype(np.uint8) * 255, 3, axis=2), size=SIZE).ids == (1,)


def test_the_size_tells_which_axis_holds_the_objects() -> None:
    many = np.zeros((24, 32, 30), bool)
    many[np.arange(24), :30, np.arange(24)] = np.eye(24, 30, dtype=bool)
    assert len(read_mask(many, size=SIZE, allow_empty=True).ids) == 30
    assert len(read_mask(many, allow_empty=True).ids) == 24  # objects first, unless something speaks against it


@pytest.mark.parametrize("shape", [(1, 3, *SIZE), (2, 3, *SIZE)])
def test_guesses_of_sam_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(MaskError, match=r"as SAM's guesses have: three of each object. Choose one.*scores.argmax"):
        read_mask(np.ones(shape, bool), size=SIZE)


def test_nested_guesses_of_one_object_are_named() -> None:
    whole = np.ones(SIZE, bool)
    with pytest.raises(MaskError, match=r"three guesses that SAM makes of one object, choose one: masks\[scores.argmax\(\)\]"):
        read_mask(np.stack([ONE, ONE | TWO, whole]), size=SIZE)


@pytest.mark.parametrize("grown", [[0, 2, 5], [5, 2, 0], [3, 3, 3, 3]])
@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_layers_of_one_object_are_named(grown: list[int], kind: type) -> None:
    """Guesses that are not quite nested, and the frames of a clip whose object moves."""
    layers = np.zeros((len(grown), 40, 60), kind)
    for t, more in enumerate(grown):
        layers[t, 8 : 20 + more, 10 + t : 22 + t + more] = 1
    with pytest.raises(MaskError, match=r"layers that lie on each other.*scores.argmax.*masks=\{frame"):
        read_mask(layers, size=(40, 60))
    assert read_mask(dict(enumerate(layers, 1)), size=(40, 60)).ids == tuple(range(1, len(grown) + 1))


def test_objects_beside_and_inside_each_other_are_objects() -> None:
    person, bag, dog = (np.zeros((40, 60), bool) for _ in range(3))
    person[2:38, 5:25], bag[20:28, 8:14], dog[25:38, 22:50] = True, True, True
    assert read_mask(np.stack([person, bag, dog])).ids == (1, 2, 3)


def test_logits_are_named() -> None:
    with pytest.raises(MaskError, match="is soft.*mask > 0 if these are a network's logits"):
        read_mask(LAYERS[:, None] * 12.5 - 6.1, size=SIZE)


@pytest.mark.parametrize("shape", [(5, 4, *SIZE), (0, *SIZE), (24, 0, 3), (), (2, 1, 1, *SIZE)])
def test_other_shapes_are_told_with_a_way_out(shape: tuple[int, ...]) -> None:
    with pytest.raises(MaskError, match=r"has the shape .*(numpy\.moveaxis|masks\[frame\])"):
        read_mask(np.ones(shape, bool), size=SIZE)


def test_lists_of_rles() -> None:
    rles = [encode_rle(ONE), encode_rle(TWO)]
    assert (read_mask(rles, size=SIZE).labels == LABELS).all() and read_mask(rles).ids == (1, 2)
    assert read_mask({4: rles[0], 9: rles[1]}, size=SIZE).ids == (4, 9)
    with pytest.raises(MaskError, match="differ in size: 32x24, 24x32"):
        read_mask([rles[0], encode_rle(TWO.T)])


def test_masks_of_sams_generator_are_painted_from_the_largest_on() -> None:
    large = np.zeros(SIZE, bool)
    large[1:13, 2:14] = True
    generated = [{"segmentation": ONE, "area": int(ONE.sum()), "bbox": [3, 2, 10, 10]}, {"segmentation": large, "area": int(large.sum())}]
    found = read_mask(generated, size=SIZE)
    assert found.ids == (1, 2) and (found.labels[ONE] == 1).all() and (found.labels == 2).sum() == large.sum() - ONE.sum()


class TestOnItsSide:
    """A mask whose height and width are the video's, swapped."""

    @pytest.mark.parametrize("mask", [ONE.T, LAYERS.swapaxes(1, 2), {3: ONE.T}, encode_rle(ONE.T), [encode_rle(ONE.T)]])
    def test_it_is_named_and_scaling_is_no_advice(self, mask: object) -> None:
        with pytest.raises(MaskError, match=r"it lies on its side.*EXIF.*rot90.*mask\.T") as caught:
            read_mask(mask, size=SIZE)
        assert "resize_mask" not in str(caught.value)

    def test_another_scale_of_it_too(self) -> None:
        with pytest.raises(MaskError, match="lies on its side"):
            read_mask(np.kron(ONE.T, np.ones((2, 2), bool)), size=SIZE)

    def test_scaling_it_all_the_same_warns(self) -> None:
        with pytest.warns(VosZooWarning, match="lies on its side.*scaled as you asked"):
            assert read_mask(ONE.T, size=SIZE, resize=True).labels.shape == SIZE

    def test_a_near_square_is_only_of_another_size(self) -> None:
        with pytest.raises(MaskError, match="pass resize_mask=True"):
            read_mask(np.ones((25, 24), bool), size=(48, 50))
