"""Masks in all forms, and the messages of those that can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vos_zoo.errors import MaskError
from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.read import ObjectMasks, read_mask, read_masks
from vos_zoo.masks.rle import encode_rle

SIZE = (24, 32)


def _two(first: int = 3, second: int = 7, dtype: type = np.uint8) -> np.ndarray:
    labels: np.ndarray = np.zeros(SIZE, dtype=dtype)
    labels[2:12, 3:13] = first
    labels[9:20, 16:28] = second
    return labels


def _indexed(labels: np.ndarray) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette(davis_palette().tobytes())
    return image


def _antialiased() -> Image.Image:
    large = Image.new("L", (SIZE[1] * 8, SIZE[0] * 8))
    ImageDraw.Draw(large).ellipse((40, 30, 200, 150), fill=255)
    return large.resize((SIZE[1], SIZE[0]), Image.Resampling.BOX)


def _check(masks: ObjectMasks, labels: np.ndarray, ids: tuple[int, ...]) -> None:
    assert masks.labels.dtype == np.int32
    assert masks.labels.tolist() == labels.tolist()
    assert masks.ids == ids


class TestForms:
    def test_indexed_png_keeps_ids_and_drops_void(self, tmp_path: Path) -> None:
        labels = _two()
        with_void = labels.copy()
        with_void[0] = 255
        _indexed(with_void).save(tmp_path / "mask.png")
        _check(read_mask(tmp_path / "mask.png", size=SIZE), labels, (3, 7))
        _check(read_mask(str(tmp_path / "mask.png")), labels, (3, 7))

    @pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA"])
    def test_black_and_white_is_one_object(self, mode: str, tmp_path: Path) -> None:
        labels = _two(1, 1)
        Image.fromarray(labels * 255).convert(mode).save(tmp_path / "mask.png")
        _check(read_mask(tmp_path / "mask.png"), labels, (1,))

    def test_white_at_index_0_of_a_palette_is_still_the_object(self) -> None:
        image = Image.fromarray(1 - _two(1, 1))
        image.putpalette([255, 255, 255, 0, 0, 0])
        _check(read_mask(image), _two(1, 1), (1,))

    @pytest.mark.parametrize(("first", "second", "ids"), [(1, 1, (1,)), (7, 7, (7,)), (3, 200, (3, 200))])
    def test_few_greys_are_ids(self, first: int, second: int, ids: tuple[int, ...]) -> None:
        _check(read_mask(Image.fromarray(_two(first, second))), _two(first, second), ids)

    def test_white_beside_small_grey_ids_is_void(self) -> None:
        labels = _two(1, 2)
        labels[20:24] = 255
        _check(read_mask(Image.fromarray(labels)), np.where(labels == 255, 0, labels), (1, 2))

    def test_sixteen_bit_grey(self, tmp_path: Path) -> None:
        Image.fromarray(_two(3, 999, np.uint16)).save(tmp_path / "mask.png")
        _check(read_mask(tmp_path / "mask.png"), _two(3, 999, np.uint16), (3, 999))
        Image.fromarray(_two(1, 1, np.uint16) * np.uint16(65535)).save(tmp_path / "white.png")
        _check(read_mask(tmp_path / "white.png"), _two(1, 1), (1,))

    def test_alpha_is_one_object(self, tmp_path: Path) -> None:
        alpha = np.asarray(_antialiased())
        rgba = np.dstack([np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8), alpha])
        Image.fromarray(rgba).save(tmp_path / "cutout.png")
        _check(read_mask(tmp_path / "cutout.png"), (alpha > 127).astype(int), (1,))
        _check(read_mask(rgba), (alpha > 127).astype(int), (1,))

    @pytest.mark.parametrize("mode", ["RGB", "RGBA"])
    def test_palette_colours_are_ids(self, mode: str) -> None:
        labels = _two(9, 20)
        _check(read_mask(_indexed(labels).convert(mode)), labels, (9, 20))
        off_by_one = np.array(_indexed(labels).convert("RGB"))
        off_by_one[off_by_one == 192] = 191
        _check(read_mask(off_by_one), labels, (9, 20))

    @pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64, np.float32])
    def test_arrays_and_npy_of_any_number_type(self, dtype: type, tmp_path: Path) -> None:
        _check(read_mask(_two(dtype=dtype)), _two(), (3, 7))
        np.save(tmp_path / "mask.npy", _two(dtype=dtype))
        _check(read_mask(tmp_path / "mask.npy"), _two(), (3, 7))

    def test_ids_beyond_a_byte(self) -> None:
        labels = _two(255, 2**31 - 1, np.int64)
        _check(read_mask(labels), labels, (255, 2**31 - 1))

    def test_two_hundred_objects_as_bytes(self) -> None:
        labels = np.kron(np.arange(1, 201, dtype=np.uint8).reshape(10, 20), np.ones((4, 4), np.uint8))
        assert read_mask(labels).ids == tuple(range(1, 201))

    def test_booleans(self) -> None:
        inside = _two() > 0
        _check(read_mask(inside), inside.astype(int), (1,))
        _check(read_mask(inside[None]), inside.astype(int), (1,))
        _check(read_mask(inside[..., None]), inside.astype(int), (1,))

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
    def test_layers_are_objects_and_later_ones_lie_on_top(self, dtype: type) -> None:
        layers: np.ndarray = np.zeros((3, *SIZE), dtype=dtype)
        layers[0, 2:10, 2:10] = 1
        layers[2, 6:14, 6:14] = 1
        expected = np.zeros(SIZE, dtype=int)
        expected[2:10, 2:10] = 1
        expected[6:14, 6:14] = 3
        _check(read_mask(layers, size=SIZE), expected, (1, 2, 3))

    def test_tensors(self) -> None:
        torch = pytest.importorskip("torch")
        _check(read_mask(torch.from_numpy(_two(dtype=np.int64))), _two(), (3, 7))
        _check(read_mask(torch.from_numpy(_two(1, 1)).bool()), _two(1, 1), (1,))
        one = torch.from_numpy(_two(1, 1)).to(torch.bfloat16).requires_grad_()
        _check(read_mask(one), _two(1, 1), (1,))

    def test_dict_mixes_forms(self, tmp_path: Path) -> None:
        Image.fromarray(_two(1, 0) * 255).save(tmp_path / "left.png")
        masks = {
            900: tmp_path / "left.png",
            4: encode_rle(_two(0, 1)),
            6: [[20, 12, 24, 12, 24, 16, 20, 16]],
            8: np.zeros(SIZE, dtype=bool),
        }
        expected = _two(900, 4, np.int32)
        expected[12:16, 20:24] = 6
        _check(read_mask(masks, size=SIZE), expected, (4, 6, 8, 900))

    def test_rle_and_polygons(self) -> None:
        one = _two(1, 1)
        _check(read_mask(encode_rle(one)), one, (1,))
        square = [3, 2, 13, 2, 13, 12, 3, 12]
        _check(read_mask([square], size=SIZE), _two(1, 0), (1,))
        _check(read_mask(square, size=SIZE), _two(1, 0), (1,))
        _check(read_mask([np.reshape(square, (4, 2))], size=SIZE), _two(1, 0), (1,))

    def test_object_masks_pass_through(self) -> None:
        given = ObjectMasks(_two(dtype=np.int32), (3, 5, 7))
        _check(read_mask(given), _two(), (3, 5, 7))

    def test_the_callers_array_is_not_shared(self) -> None:
        labels = _two(dtype=np.int32)
        masks = read_mask(labels)
        labels[:] = 0
        assert masks.labels.any()


class TestSize:
    def test_other_size_names_both_and_the_way_out(self) -> None:
        with pytest.raises(MaskError, match=r"mask is 32x24 but the video 64x48 .*resize_mask=True"):
            read_mask(_two(), size=(48, 64))

    def test_resize_is_nearest(self) -> None:
        _check(read_mask(_two(), size=(48, 64), resize=True), np.kron(_two(), np.ones((2, 2), int)), (3, 7))
        assert read_mask({5: _two(1, 1)}, size=(12, 16), resize=True).labels.shape == (12, 16)
        odd = read_mask(_two(), size=(7, 101), resize=True)
        assert odd.labels.shape == (7, 101) and odd.ids == (3, 7)

    def test_resize_that_loses_an_object(self) -> None:
        labels = _two()
        labels[0, 0] = 5
        with pytest.raises(MaskError, match="object 5 is too small.*from 32x24 to 16x12"):
            read_mask(labels, size=(12, 16), resize=True)

    def test_layers_of_different_sizes(self) -> None:
        with pytest.raises(MaskError, match="object 1 32x24, object 2 5x4"):
            read_mask({1: _two(1, 1), 2: np.ones((4, 5), bool)})


class TestBadMasks:
    def test_empty(self) -> None:
        empty = np.zeros(SIZE, np.uint8)
        for source in (empty, Image.fromarray(empty), np.zeros((2, *SIZE), bool), {3: empty}):
            with pytest.raises(MaskError, match="no object: every pixel is background"):
                read_mask(source)
            assert not read_mask(source, allow_empty=True).labels.any()
        assert read_mask({3: empty}, allow_empty=True).ids == (3,)
        with pytest.raises(MaskError, match="no object: the dict is empty"):
            read_mask({})

    def test_antialiased(self, tmp_path: Path) -> None:
        soft = _antialiased()
        count = len(np.unique(np.asarray(soft)))
        soft.save(tmp_path / "soft.png")
        soft.convert("RGB").save(tmp_path / "soft-rgb.png")
        for source in (tmp_path / "soft.png", tmp_path / "soft-rgb.png", np.asarray(soft), soft):
            with pytest.raises(MaskError, match=f"{count} grey levels.*Threshold it first.*mask > 127"):
                read_mask(source)

    def test_antialiased_with_few_levels(self) -> None:
        soft = np.asarray(_antialiased()) // 86 * 85
        assert len(np.unique(soft)) == 3
        soft[soft == soft.max()] = 255
        with pytest.raises(MaskError, match="3 grey levels"):
            read_mask(soft)

    @pytest.mark.parametrize("quality", [50, 75, 95])
    def test_jpeg(self, quality: int, tmp_path: Path) -> None:
        path = tmp_path / "mask.jpg"
        Image.fromarray(_two(1, 1) * 255).save(path, quality=quality)
        count = len(np.unique(np.asarray(Image.open(path))))
        with pytest.raises(MaskError, match=f"JPEG with {count} grey levels.*Threshold"):
            read_mask(path)
        with pytest.raises(MaskError, match="antialiased mask or one from a JPEG"):
            read_mask(np.asarray(Image.open(path)))

    def test_jpeg_of_pure_black_and_white_is_fine(self, tmp_path: Path) -> None:
        labels = np.zeros((32, 32), np.uint8)
        labels[8:16, 8:24] = 255
        Image.fromarray(labels).save(tmp_path / "mask.jpg", quality=100)
        assert set(np.unique(np.asarray(Image.open(tmp_path / "mask.jpg")))) == {0, 255}
        _check(read_mask(tmp_path / "mask.jpg"), labels // 255, (1,))

    def test_photo(self) -> None:
        photo = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        with pytest.raises(MaskError, match=r"colour picture with \d+ colours .*not those of the DAVIS palette"):
            read_mask(photo)
        with pytest.raises(MaskError, match="indexed picture with .* only along edges"):
            read_mask(Image.fromarray(photo).quantize(200))

    def test_unknown_colours(self) -> None:
        picture = np.zeros((*SIZE, 3), np.uint8)
        picture[3:9, 3:9] = (255, 0, 10)
        with pytest.raises(MaskError, match=r"2 colours \(\(0, 0, 0\), \(255, 0, 10\)\).*indexed \(mode P\)"):
            read_mask(Image.fromarray(picture))

    def test_soft_floats(self) -> None:
        soft = np.asarray(_antialiased()) / np.float32(255)
        with pytest.raises(MaskError, match=r"soft: \d+ different values between 0 and 1.*mask > 0.5"):
            read_mask(soft)
        with pytest.raises(MaskError, match="soft"):
            read_mask(np.stack([soft, soft]))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_nan(self, value: float) -> None:
        labels = _two(dtype=np.float64)
        labels[0, 0] = value
        for source in (labels, np.stack([labels, labels])):
            with pytest.raises(MaskError, match="NaN or infinite"):
                read_mask(source)

    def test_ids_that_do_not_fit(self) -> None:
        with pytest.raises(MaskError, match="id -3: ids must not be negative"):
            read_mask(_two(-3, 4, np.int16))
        with pytest.raises(MaskError, match="id -3: ids must not be negative"):
            read_mask(_two(-3, 4, np.int8))
        with pytest.raises(MaskError, match="id 2147483648, which does not fit"):
            read_mask(_two(1, 2**31, np.int64))
        with pytest.raises(MaskError, match="does not fit"):
            read_mask(_two(1, 1, np.float64) * 1e12)

    @pytest.mark.parametrize("key", [0, -1, "1", True, 2**31])
    def test_dict_keys(self, key: object) -> None:
        with pytest.raises(MaskError, match="ids are whole numbers from 1"):
            read_mask({key: _two()})

    def test_dict_with_several_ids_in_one_mask(self) -> None:
        with pytest.raises(MaskError, match=r"object 9 holds 2 ids \(3, 7\)"):
            read_mask({9: _two()})

    def test_wholly_covered_object(self) -> None:
        layers = np.zeros((2, *SIZE), bool)
        layers[0, 4:6, 4:6] = True
        layers[1, 2:9, 2:9] = True
        with pytest.raises(MaskError, match="object 1 is wholly covered"):
            read_mask(layers)
        assert read_mask(layers, allow_empty=True).ids == (1, 2)
        with pytest.raises(MaskError, match="object 8 is wholly covered"):
            read_mask({8: layers[0], 3: layers[1]})

    @pytest.mark.parametrize("shape", [(5,), (2, 5, 4, 5), (0, 4)])
    def test_shapes(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(MaskError, match=r"has the shape .* \(H, W\) ids or \(K, H, W\)"):
            read_mask(np.ones(shape, np.int32))

    def test_integer_layers(self) -> None:
        with pytest.raises(MaskError, match="values up to 7; layers .* must be boolean"):
            read_mask(np.stack([_two(dtype=np.int32)] * 5))

    def test_other_types(self) -> None:
        with pytest.raises(MaskError, match="can't be a NoneType: give a path"):
            read_mask(None)
        with pytest.raises(MaskError, match="ids are whole numbers"):
            read_mask(np.full(SIZE, "a"))
        with pytest.raises(MaskError, match="numpy.stack"):
            read_mask([_two(1, 0), _two(0, 1)])
        with pytest.raises(MaskError, match=r"polygons.*pass size=\(H, W\)"):
            read_mask([[0, 0, 5, 0, 5, 5]])
        with pytest.raises(MaskError, match="list of polygons is empty"):
            read_mask([])
        with pytest.raises(MaskError, match="needs the keys"):
            read_mask({1: {"counts": "abc"}})

    def test_files(self, tmp_path: Path) -> None:
        with pytest.raises(MaskError, match=r"nowhere\.png: no such file"):
            read_mask(tmp_path / "nowhere.png")
        with pytest.raises(MaskError, match="is a folder"):
            read_mask(tmp_path)
        (tmp_path / "text.png").write_text("not an image")
        with pytest.raises(MaskError, match=r"text\.png can't be read as a mask"):
            read_mask(tmp_path / "text.png")
        _indexed(_two()).resize((400, 300)).save(tmp_path / "whole.png", compress_level=0)
        data = (tmp_path / "whole.png").read_bytes()
        (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
        with pytest.raises(MaskError, match=r"cut\.png is damaged or cut off"):
            read_mask(tmp_path / "cut.png")
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        with pytest.raises(MaskError, match="can't be read as a mask"):
            read_mask(tmp_path / "objects.npy")

    def test_name_appears(self) -> None:
        with pytest.raises(MaskError, match="^mask of frame 12 holds no object"):
            read_mask(np.zeros(SIZE), name="mask of frame 12")


class TestMasksOfSeveralFrames:
    def _fill(self, folder: Path, *names: str) -> Path:
        for name in names:
            (folder / name).touch()
        return folder

    def test_by_frame_name(self, tmp_path: Path) -> None:
        folder = self._fill(tmp_path, "b7.png", "a3.npy", "sequence.json", ".hidden.png")
        found = read_masks(folder, frame_names=["a1", "a3", "b7"])
        assert found == {1: folder / "a3.npy", 2: folder / "b7.png"}
        assert list(found) == [1, 2]

    def test_by_number(self, tmp_path: Path) -> None:
        folder = self._fill(tmp_path, "00000.png", "00120.PNG", "clip2_frame_7.png")
        assert {index: path.name for index, path in read_masks(folder).items()} == {
            0: "00000.png",
            7: "clip2_frame_7.png",
            120: "00120.PNG",
        }

    def test_by_order(self, tmp_path: Path) -> None:
        folder = self._fill(tmp_path, "start.png", "end.png")
        assert read_masks(str(folder)) == {0: folder / "end.png", 1: folder / "start.png"}

    def test_dict(self) -> None:
        first, second = _two(), _two()
        found = read_masks({np.int64(37): second, 0: first}, length=38)
        assert list(found) == [0, 37] and found[37] is second

    def test_frames_that_do_not_exist(self, tmp_path: Path) -> None:
        folder = self._fill(tmp_path, "00005.png")
        with pytest.raises(MaskError, match=r"no frame for the mask 00005\.png.*named x0 \.\.\. x2"):
            read_masks(folder, frame_names=["x0", "x1", "x2"])
        with pytest.raises(MaskError, match=r"mask for frame 5 .*video has 5 frames \(0 to 4\)"):
            read_masks(folder, length=5)
        with pytest.raises(MaskError, match="mask for frame 3 .*has 3 frames"):
            read_masks({3: _two()}, frame_names=["a", "b", "c"])

    def test_two_masks_of_one_frame(self, tmp_path: Path) -> None:
        with pytest.raises(MaskError, match=r"1\.npy and 1\.png .* of one frame"):
            read_masks(self._fill(tmp_path, "1.png", "1.npy"))
        (tmp_path / "1.npy").rename(tmp_path / "001.png")
        with pytest.raises(MaskError, match=r"001\.png and 1\.png are both of frame 1"):
            read_masks(tmp_path)

    def test_bad_sources(self, tmp_path: Path) -> None:
        with pytest.raises(MaskError, match="has no masks"):
            read_masks(tmp_path)
        with pytest.raises(MaskError, match=r"holds \.jpg files"):
            read_masks(self._fill(tmp_path, "0.jpg"))
        with pytest.raises(MaskError, match="does not exist"):
            read_masks(tmp_path / "nowhere")
        with pytest.raises(MaskError, match="is a file, not a folder"):
            read_masks(tmp_path / "0.jpg")
        with pytest.raises(MaskError, match="no frame number in its name"):
            read_masks(self._fill(tmp_path, "0.png", "mask.png"))
        with pytest.raises(MaskError, match="the dict is empty"):
            read_masks({})
        with pytest.raises(MaskError, match="not ndarray"):
            read_masks(_two())
        for key in (-1, "0", True, 1.5):
            with pytest.raises(MaskError, match="frame indices from 0"):
                read_masks({key: _two()})
