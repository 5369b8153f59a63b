"""MaskSequence: what it holds, and what it writes and reads back."""

from __future__ import annotations

import errno
import io
import json
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vos_zoo.errors import MaskError, SaveError, VosZooError, VosZooWarning
from vos_zoo.masks.overlay import draw_mask, draw_overlay
from vos_zoo.masks.palette import davis_palette
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.rle import decode_rle
from vos_zoo.masks.sequence import MaskSequence

SIZE = (24, 32)
LENGTH = 5


def _labels(t: int, ids: tuple[int, ...] = (2, 7)) -> np.ndarray:
    labels = np.zeros(SIZE, np.int32)
    for k, object_id in enumerate(ids):
        labels[2 + t : 9 + t, 3 + 10 * k : 11 + 10 * k] = object_id
    return labels


def _sequence(ids: tuple[int, ...] = (2, 7), **facts: object) -> MaskSequence:
    masks = MaskSequence(SIZE, **facts)  # type: ignore[arg-type]
    for t in range(LENGTH):
        masks.append(_labels(t, ids), confidence={ids[0]: 0.1 * t + 0.1}, lost=ids[1:] if t == 3 else ())
    return masks


def _frames(length: int = LENGTH) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (length, *SIZE, 3), dtype=np.uint8)


def _leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestHolding:
    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint32])
    def test_masks_come_back(self, dtype: type) -> None:
        rng = np.random.default_rng(0)
        frames: list[np.ndarray] = [
            np.zeros(SIZE, dtype),
            np.full(SIZE, 9, dtype),
            rng.integers(0, 4, SIZE).astype(dtype),
            _labels(0).astype(dtype),
        ]
        masks = MaskSequence(SIZE)
        for labels in frames:
            masks.append(labels)
        assert len(masks) == 4 and masks.object_ids == (1, 2, 3, 7, 9)
        for got, given in zip(masks, frames, strict=True):
            assert got.dtype == np.uint8 and (got == given).all()
        assert (np.asarray(masks) == np.stack(frames)).all()
        assert np.asarray(masks, dtype=np.float32).dtype == np.float32

    def test_large_ids(self) -> None:
        masks = _sequence((2, 2**31 - 1))
        assert masks[0].dtype == np.int32 and (masks[4] == _labels(4, (2, 2**31 - 1))).all()

    def test_booleans_are_object_1(self) -> None:
        masks = MaskSequence(SIZE)
        masks.append(_labels(0) > 0)
        assert masks.object_ids == (1,)

    def test_one_pixel(self) -> None:
        masks = MaskSequence((1, 1))
        masks.append(np.array([[5]]))
        assert masks[0].tolist() == [[5]]

    def test_views_and_foreign_byte_orders(self) -> None:
        masks = MaskSequence(SIZE)
        masks.append(np.asfortranarray(_labels(1)))
        masks.append(_labels(1).astype(">i4"))
        masks.append(np.repeat(_labels(1), 2, axis=1)[:, ::2])
        assert all((labels == _labels(1)).all() for labels in masks)

    def test_storage_is_small(self) -> None:
        rows, columns = np.mgrid[:480, :854]
        labels = (np.hypot(rows - 240, columns - 400) < 120 + 9 * np.sin(columns / 7)).astype(np.uint8)
        masks = MaskSequence((480, 854))
        for t in range(3):
            masks.append(np.roll(labels, 5 * t, axis=1))
        assert masks.nbytes / 3 < 4000

    def test_facts_per_frame_and_object(self) -> None:
        masks = _sequence()
        assert masks.confidence.dtype == np.float32 and masks.confidence.shape == (5, 2)
        assert np.allclose(masks.confidence[:, 0], [0.1, 0.2, 0.3, 0.4, 0.5])
        assert np.isnan(masks.confidence[:, 1]).all()
        assert masks.lost.dtype == bool and np.argwhere(masks.lost).tolist() == [[3, 1]]
        assert masks.area.dtype == np.int64 and masks.area.tolist() == [[56, 56]] * 5
        assert (masks.mask_of(2, 7) == (_labels(2) == 7)).all()
        assert masks.complete and masks.computed.all()

    def test_ids_may_come_later(self) -> None:
        masks = MaskSequence(SIZE, (7,))
        masks.append(_labels(0, (7,)), confidence={7: 0.5})
        masks.append(_labels(1, (2, 7)), confidence={9: 0.25})
        assert masks.object_ids == (2, 7, 9)
        assert masks.area.tolist() == [[0, 56, 0], [56, 56, 0]]
        assert np.nan_to_num(masks.confidence, nan=-1).tolist() == [[-1, 0.5, -1], [-1, -1, 0.25]]

    def test_gaps(self) -> None:
        masks = MaskSequence(SIZE, (2,))
        masks.set(3, _labels(3))
        masks.set(1, _labels(1))
        assert len(masks) == 4 and masks.computed.tolist() == [False, True, False, True]
        assert not masks.complete and not masks[0].any() and (masks[1] == _labels(1)).all()
        assert masks.area[:, 0].tolist() == [0, 56, 0, 56]
        masks.set(0, _labels(0))
        masks.set(2, _labels(9))
        masks.set(2, _labels(2))
        masks.append(_labels(4))
        assert masks.complete and (np.asarray(masks) == [_labels(t) for t in range(5)]).all()
        masks.reserve(7)
        assert len(masks) == 7 and not masks.complete

    def test_slices(self) -> None:
        masks = _sequence(fps=30, frame_names=list("abcdefgh"))
        part = masks[1:4]
        assert isinstance(part, MaskSequence) and len(part) == 3
        assert (np.asarray(part) == np.asarray(masks)[1:4]).all()
        assert part.fps == 30 and part.frame_names == ["b", "c", "d"] and part.object_ids == (2, 7)
        assert part.lost[2, 1] and part.frame_indices == range(1, 4)
        thin = masks[::2][1:]
        assert thin.frame_indices == range(2, 6, 2) and thin.fps == 15 and thin.frame_names == ["c", "e"]
        assert (masks[::-1][0] == masks[-1]).all()
        part.append(_labels(0))
        assert len(masks) == 5 and len(part) == 4
        assert not len(masks[9:])

    def test_equality_is_of_content(self) -> None:
        assert _sequence(fps=3) == _sequence(fps=5)
        assert _sequence() != _sequence((2, 8))
        assert _sequence() != _sequence()[:4]
        assert _sequence()[1:3] == _sequence()[1:3]
        other = _sequence()
        other.set(2, _labels(3))
        assert other != _sequence()
        gap, black = MaskSequence(SIZE), MaskSequence(SIZE)
        gap.reserve(1)
        black.append(np.zeros(SIZE, np.uint8))
        assert gap != black and gap != 3

    def test_repr(self) -> None:
        masks = _sequence(fps=29.97)
        masks.set(7, _labels(0))
        assert repr(masks) == "MaskSequence(8 frames, 32x24, ids 2, 7, 29.97 fps, 2 not computed)"
        assert repr(MaskSequence(SIZE)) == "MaskSequence(0 frames, 32x24, no objects)"

    def test_what_can_not_be_held(self) -> None:
        masks = _sequence()
        with pytest.raises(MaskError, match=r"shape \(4, 5\) .* are \(24, 32\)"):
            masks.append(np.zeros((4, 5), np.uint8))
        with pytest.raises(MaskError, match="whole numbers, not float64"):
            masks.append(np.zeros(SIZE))
        with pytest.raises(MaskError, match="these go from -1 to 7"):
            masks.append(np.where(_labels(0) == 2, -1, _labels(0)))
        with pytest.raises(MaskError, match="0 can't be the id"):
            masks.append(_labels(0), confidence={0: 1.0})
        with pytest.raises(MaskError, match="no object 3 .*ids are 2, 7"):
            masks.mask_of(0, 3)
        with pytest.raises(IndexError):
            masks[5]
        with pytest.raises(IndexError, match="from 0"):
            masks.set(-1, _labels(0))
        assert masks == _sequence()
        with pytest.raises(MaskError, match="-4 can't be the id"):
            MaskSequence(SIZE, (-4,))
        with pytest.raises(MaskError, match="at least 1x1"):
            MaskSequence((0, 5))
        with pytest.raises(MaskError, match="two frames are named 'a'"):
            MaskSequence(SIZE, frame_names=["a", "b", "a"])
        for name in ("../a", "", "..", "a\\b"):
            with pytest.raises(MaskError, match="can't name a frame"):
                MaskSequence(SIZE, frame_names=[name])
        with pytest.raises(ValueError, match="always a copy"):
            masks.__array__(copy=False)


class TestFolder:
    def test_round_trip(self, tmp_path: Path) -> None:
        masks = _sequence(fps=12.5)
        masks.set(6, _labels(0), confidence={2: float("nan")})
        assert masks.save(tmp_path / "out") == tmp_path / "out"
        assert _leftovers(tmp_path) == ["out"]
        assert _leftovers(tmp_path / "out") == [*(f"{t:05d}.png" for t in (0, 1, 2, 3, 4, 6)), "sequence.json"]
        loaded = MaskSequence.load(tmp_path / "out")
        assert loaded == masks and loaded.fps == 12.5 and loaded.frame_names is None
        assert np.array_equal(loaded.confidence, masks.confidence, equal_nan=True)
        assert (loaded.lost == masks.lost).all() and loaded.computed.tolist() == masks.computed.tolist()
        assert (loaded.area == masks.area).all()
        text = (tmp_path / "out" / "sequence.json").read_text()
        assert "NaN" not in text and json.loads(text)["object_ids"] == [2, 7]

    def test_pngs_are_indexed_in_davis_colours(self, tmp_path: Path) -> None:
        _sequence().save(tmp_path / "out")
        image = Image.open(tmp_path / "out" / "00002.png")
        assert image.mode == "P" and (np.asarray(image) == _labels(2)).all()
        assert (np.asarray(image.convert("RGB")) == davis_palette()[_labels(2)]).all()
        assert read_mask(tmp_path / "out" / "00002.png").ids == (2, 7)

    @pytest.mark.parametrize("ids", [(3, 255), (255, 256), (1, 65535)])
    def test_large_ids_are_sixteen_bit_grey(self, ids: tuple[int, ...], tmp_path: Path) -> None:
        masks = _sequence(ids)
        masks.save(tmp_path / "out")
        with Image.open(tmp_path / "out" / "00000.png") as image:
            assert image.mode == "I;16"
        assert MaskSequence.load(tmp_path / "out") == masks
        with pytest.raises(SaveError, match="object 65536 .*up to 65535.*save_coco"):
            _sequence((1, 65536)).save(tmp_path / "more")

    def test_frame_names_and_slices(self, tmp_path: Path) -> None:
        masks = _sequence(frame_names=["a", "b", "c", "d", "e", "f"])
        masks[1:3].save(tmp_path / "named")
        assert _leftovers(tmp_path / "named") == ["b.png", "c.png", "sequence.json"]
        assert MaskSequence.load(tmp_path / "named").frame_names == ["b", "c"]
        _sequence()[1:3].save(tmp_path / "numbered")
        assert _leftovers(tmp_path / "numbered") == ["00001.png", "00002.png", "sequence.json"]
        assert MaskSequence.load(tmp_path / "numbered").frame_indices == range(1, 3)

    def test_plain_pngs_of_others(self, tmp_path: Path) -> None:
        for t, name in [(0, "00000"), (1, "00005"), (2, "00010")]:
            image = Image.fromarray(_labels(t).astype(np.uint8))
            image.putpalette(davis_palette().tobytes())
            image.save(tmp_path / f"{name}.png")
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "00015.png")
        masks = MaskSequence.load(tmp_path)
        assert masks.frame_names == ["00000", "00005", "00010", "00015"] and masks.object_ids == (2, 7)
        assert (masks[2] == _labels(2)).all() and not masks[3].any() and masks.complete
        Image.new("L", (5, 4)).save(tmp_path / "00020.png")
        with pytest.raises(MaskError, match=r"00000\.png is 32x24, 00020\.png 5x4"):
            MaskSequence.load(tmp_path)

    def test_damaged_folders(self, tmp_path: Path) -> None:
        with pytest.raises(MaskError, match="does not exist"):
            MaskSequence.load(tmp_path / "nowhere")
        out = _sequence().save(tmp_path / "out")
        whole = (out / "sequence.json").read_text()
        (out / "00001.png").rename(out / "kept")
        with pytest.raises(MaskError, match=r"00001\.png is missing"):
            MaskSequence.load(out)
        (out / "00001.png").write_bytes((out / "kept").read_bytes()[:60])
        with pytest.raises(MaskError, match=r"00001\.png is damaged"):
            MaskSequence.load(out)
        for text in ("{", "[]", whole.replace('"confidence"', '"trust"')):
            (out / "sequence.json").write_text(text)
            with pytest.raises(MaskError, match=r"sequence\.json is damaged"):
                MaskSequence.load(out)
        (out / "sequence.json").write_text(whole.replace('"format_version": 1', '"format_version": 2'))
        with pytest.raises(MaskError, match="version 2, but .* reads .* version 1: update"):
            MaskSequence.load(out)

    def test_existing_folders_are_kept_unless_asked(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        _sequence().save(out)
        with pytest.raises(SaveError, match="exists and is not empty.*overwrite=True"):
            _sequence((1, 2)).save(out)
        assert MaskSequence.load(out) == _sequence()
        _sequence((1, 2))[:2].save(out, overwrite=True)
        assert MaskSequence.load(out) == _sequence((1, 2))[:2]
        assert _leftovers(out) == ["00000.png", "00001.png", "sequence.json"]
        (out / "thesis.tex").touch()
        with pytest.raises(SaveError, match=r"holds thesis\.tex, which would be lost"):
            _sequence().save(out, overwrite=True)
        (tmp_path / "file").touch()
        with pytest.raises(SaveError, match="it is a file"):
            _sequence().save(tmp_path / "file", overwrite=True)
        (tmp_path / "empty").mkdir()
        _sequence().save(tmp_path / "empty")
        assert MaskSequence.load(tmp_path / "empty") == _sequence()

    def test_nothing_to_save(self, tmp_path: Path) -> None:
        masks = MaskSequence(SIZE)
        writers: list[Callable[[], object]] = [
            lambda: masks.save(tmp_path / "a"),
            lambda: masks.save_zip(tmp_path / "a.zip"),
            lambda: masks.save_coco(tmp_path / "a.json"),
            lambda: masks.save_video(tmp_path / "a.mp4", _frames()),
            lambda: masks.save_cutouts(tmp_path / "a", _frames()),
        ]
        for write in writers:
            with pytest.raises(SaveError, match="nothing to save to .*a"):
                write()
        assert not _leftovers(tmp_path)


class TestFullDisk:
    @pytest.fixture
    def full_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The third PNG no longer fits."""
        save, count = Image.Image.save, [0]

        def save_until_full(image: Image.Image, target: object, *args: object, **more: object) -> None:
            count[0] += 1
            if count[0] == 3:
                if isinstance(target, Path):
                    target.write_bytes(b"half a PNG")
                raise OSError(errno.ENOSPC, "No space left on device")
            save(image, target, *args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(Image.Image, "save", save_until_full)

    def test_folder(self, full_disk: None, tmp_path: Path) -> None:
        with pytest.raises(SaveError, match=r"can't save .*out: No space left .*free some space"):
            _sequence().save(tmp_path / "out")
        assert not _leftovers(tmp_path)

    def test_overwriting_keeps_the_old_folder(self, tmp_path: Path, request: pytest.FixtureRequest) -> None:
        _sequence().save(tmp_path / "out")
        request.getfixturevalue("full_disk")
        with pytest.raises(SaveError, match="free some space"):
            _sequence((1, 2)).save(tmp_path / "out", overwrite=True)
        assert _leftovers(tmp_path) == ["out"] and MaskSequence.load(tmp_path / "out") == _sequence()

    def test_failing_swap_keeps_the_old_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _sequence().save(tmp_path / "out")

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("vos_zoo.system.exchange.exchange", refuse)
        with pytest.raises(SaveError, match="Permission denied"):
            _sequence((1, 2)).save(tmp_path / "out", overwrite=True)
        assert _leftovers(tmp_path) == ["out"] and MaskSequence.load(tmp_path / "out") == _sequence()

    def test_zip(self, full_disk: None, tmp_path: Path) -> None:
        with pytest.raises(SaveError, match=r"out\.zip: No space left .*free some space"):
            _sequence().save_zip(tmp_path / "out.zip")
        assert not _leftovers(tmp_path)

    def test_cutouts(self, full_disk: None, tmp_path: Path) -> None:
        with pytest.raises(SaveError, match="free some space"):
            _sequence().save_cutouts(tmp_path / "out", _frames())
        assert not _leftovers(tmp_path)

    def test_coco(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> object:
            raise OSError(errno.ENOSPC, "No space left on device")

        (tmp_path / "out.json").write_text("old")
        monkeypatch.setattr("vos_zoo.masks.coco.encode_rle", full)
        with pytest.raises(SaveError, match="free some space"):
            _sequence().save_coco(tmp_path / "out.json")
        assert _leftovers(tmp_path) == ["out.json"] and (tmp_path / "out.json").read_text() == "old"

    def test_ctrl_c_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Image.Image, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _sequence().save(tmp_path / "out")
        assert not _leftovers(tmp_path)


class TestZipAndCoco:
    def test_zip(self, tmp_path: Path) -> None:
        masks = _sequence(fps=8)
        masks.save_zip(tmp_path / "masks.zip")
        with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
            assert archive.testzip() is None
            image = Image.open(io.BytesIO(archive.read("00004.png")))
            assert image.mode == "P" and (np.asarray(image) == _labels(4)).all()
            archive.extractall(tmp_path / "unpacked")
        assert MaskSequence.load(tmp_path / "unpacked") == masks

    def test_coco(self, tmp_path: Path) -> None:
        masks = _sequence()
        masks.append(np.zeros(SIZE, np.uint8))
        masks.save_coco(tmp_path / "masks.json")
        coco = json.loads((tmp_path / "masks.json").read_text())
        assert [image["id"] for image in coco["images"]] == [1, 2, 3, 4, 5, 6]
        assert coco["images"][3]["file_name"] == "00003.png"
        assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (32, 24)
        assert coco["categories"] == [{"id": 1, "name": "object"}]
        annotations = coco["annotations"]
        assert len(annotations) == 10 and [a["id"] for a in annotations] == list(range(1, 11))
        for annotation in annotations:
            t = annotation["image_id"] - 1
            mask = decode_rle(annotation["segmentation"])
            assert (mask == (_labels(t) == annotation["track_id"])).all()
            assert annotation["area"] == 56 and annotation["category_id"] == 1
            left = 3 if annotation["track_id"] == 2 else 13
            assert annotation["bbox"] == [left, 2 + t, 8, 7]
        assert annotations[2]["score"] == pytest.approx(0.2) and "score" not in annotations[3]


class TestSupervision:
    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "supervision", None)
        with pytest.raises(VosZooError, match="pip install supervision"):
            _sequence().to_supervision(0)

    def test_detections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = types.ModuleType("supervision")
        fake.Detections = types.SimpleNamespace  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "supervision", fake)
        masks = _sequence()
        masks.append(_labels(0, (9,)), confidence={9: 0.75})
        both = masks.to_supervision(1)
        assert both.tracker_id.tolist() == [2, 7] and both.confidence is None
        assert both.mask.dtype == bool and (both.mask[1] == (_labels(1) == 7)).all()
        assert both.xyxy.tolist() == [[3, 3, 10, 9], [13, 3, 20, 9]] and both.xyxy.dtype == np.float32
        last = masks.to_supervision(-1)
        assert last.tracker_id.tolist() == [9] and last.confidence.tolist() == [0.75]
        masks.append(np.zeros(SIZE, np.uint8))
        none = masks.to_supervision(6)
        assert none.xyxy.shape == (0, 4) and none.mask.shape == (0, *SIZE) and len(none.tracker_id) == 0


class TestVideo:
    def _read(self, path: Path) -> list[np.ndarray]:
        from vos_zoo.videos.video import open_video

        with open_video(path) as video:
            return list(video)

    def _flat_frames(self, length: int = LENGTH) -> np.ndarray:
        levels = np.linspace(30, 220, length).astype(np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (length, *SIZE, 3)).copy()

    def test_styles(self, tmp_path: Path) -> None:
        frames, masks = self._flat_frames(), _sequence()
        expected = {
            "overlay": [draw_overlay(f, m) for f, m in zip(frames, masks, strict=True)],
            "mask": [draw_mask(m) for m in masks],
        }
        expected["overlay"][3] = draw_overlay(frames[3], masks[3], lost=[7])
        expected["side-by-side"] = [np.concatenate(pair, axis=1) for pair in zip(frames, expected["overlay"], strict=True)]
        for style, pictures in expected.items():
            path = masks.save_video(tmp_path / f"{style}.mp4", frames, style=style)  # type: ignore[arg-type]
            drawn = self._read(path)
            assert len(drawn) == LENGTH and drawn[0].shape == pictures[0].shape
            for got, wanted in zip(drawn, pictures, strict=True):
                assert np.abs(got.astype(int) - wanted).mean() < 12
        assert _leftovers(tmp_path) == ["mask.mp4", "overlay.mp4", "side-by-side.mp4"]

    def test_frames_are_read_one_by_one(self, tmp_path: Path) -> None:
        alive: list[int] = []

        def source() -> object:
            for t, frame in enumerate(self._flat_frames()):
                alive.append(t)
                yield frame

        masks = _sequence()
        masks.save_video(tmp_path / "out.mp4", source())
        assert alive == list(range(LENGTH)) and len(self._read(tmp_path / "out.mp4")) == LENGTH

    def test_fps(self, tmp_path: Path) -> None:
        from vos_zoo.videos.video import open_video

        def rate(path: Path) -> float | None:
            with open_video(path) as video:
                return video.fps

        frames = self._flat_frames()
        assert rate(_sequence(fps=10).save_video(tmp_path / "own.mp4", frames)) == pytest.approx(10)
        assert rate(_sequence(fps=10).save_video(tmp_path / "asked.mp4", frames, fps=5)) == pytest.approx(5)
        of_video = _sequence().save_video(tmp_path / "video.mp4", open_video(frames, fps=20))
        assert rate(of_video) == pytest.approx(20)
        assert rate(_sequence().save_video(tmp_path / "none.mp4", frames)) == pytest.approx(25)

    def test_counts_that_differ(self, tmp_path: Path) -> None:
        with pytest.warns(VosZooWarning, match="more frames than the 5 masks"):
            _sequence().save_video(tmp_path / "more.mp4", self._flat_frames(8))
        assert len(self._read(tmp_path / "more.mp4")) == LENGTH
        with pytest.warns(VosZooWarning, match="ended after 3 of the 5 frames"):
            _sequence().save_video(tmp_path / "fewer.mp4", self._flat_frames(3))
        assert len(self._read(tmp_path / "fewer.mp4")) == 3

    def test_slices_find_their_frames(self, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
        frames = _frames()
        _sequence()[1:4:2].save_cutouts(tmp_path / "cut", frames)
        assert _leftovers(tmp_path / "cut") == ["00001.png", "00003.png"]
        inside = _labels(3) > 0
        cut = np.asarray(Image.open(tmp_path / "cut" / "00003.png"))
        assert (cut[inside, :3] == frames[3][inside]).all()
        assert not recwarn.list
        with pytest.raises(MaskError, match="reverse them first"):
            _sequence()[::-1].save_cutouts(tmp_path / "back", frames)
        with pytest.raises(MaskError, match="none of the frames 3 to 4"):
            _sequence()[3:].save_video(tmp_path / "late.mp4", self._flat_frames(2))
        assert _leftovers(tmp_path) == ["cut"]

    def test_frames_are_found_by_name(self, tmp_path: Path) -> None:
        frames = _frames()
        (tmp_path / "frames").mkdir()
        for t, frame in enumerate(frames):
            Image.fromarray(frame).save(tmp_path / "frames" / f"{5 * t:05d}.png")
        masks = MaskSequence(SIZE, frame_names=["00005", "00020"])
        masks.append(_labels(1))
        masks.append(_labels(4))
        masks.save_cutouts(tmp_path / "cut", tmp_path / "frames")
        inside = _labels(4) > 0
        cut = np.asarray(Image.open(tmp_path / "cut" / "00020.png"))
        assert (cut[inside, :3] == frames[4][inside]).all()

    def test_cutouts(self, tmp_path: Path) -> None:
        frames = _frames()
        _sequence().save_cutouts(tmp_path / "all", frames)
        _sequence().save_cutouts(tmp_path / "one", frames, ids=[7])
        for folder, ids in (("all", (2, 7)), ("one", (7,))):
            image = Image.open(tmp_path / folder / "00002.png")
            rgba, inside = np.asarray(image), np.isin(_labels(2), ids)
            assert image.mode == "RGBA"
            assert (rgba[inside, :3] == frames[2][inside]).all() and (rgba[inside, 3] == 255).all()
            assert not rgba[~inside].any()
        with pytest.raises(MaskError, match=r"no object 5 .*ids are \[2, 7\]"):
            _sequence().save_cutouts(tmp_path / "none", frames, ids=[5])
        with pytest.raises(SaveError, match="overwrite=True"):
            _sequence().save_cutouts(tmp_path / "all", frames)
        _sequence()[:2].save_cutouts(tmp_path / "all", frames[:2], overwrite=True)
        assert _leftovers(tmp_path / "all") == ["00000.png", "00001.png"]

    def test_wrong_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(MaskError, match=r"video array is 64x48, but the masks are 32x24"):
            _sequence().save_video(tmp_path / "a.mp4", np.zeros((5, 48, 64, 3), np.uint8))
        with pytest.raises(SaveError, match="no style 'heatmap': choose one of overlay, side-by-side, mask"):
            _sequence().save_video(tmp_path / "a.mp4", _frames(), style="heatmap")  # type: ignore[arg-type]
        with pytest.raises(SaveError, match="alpha must lie between"):
            _sequence().save_video(tmp_path / "a.mp4", _frames(), alpha=2)
        assert not _leftovers(tmp_path)

    def test_a_video_that_breaks_leaves_no_file(self, tmp_path: Path) -> None:
        def broken() -> object:
            yield from self._flat_frames()[:3]
            raise RuntimeError("the camera fell")

        with pytest.raises(RuntimeError, match="the camera fell"):
            _sequence().save_video(tmp_path / "a.mp4", broken())
        assert not _leftovers(tmp_path)


def test_frames_not_computed_are_not_written(tmp_path):
    masks = MaskSequence((4, 5))
    masks.set(2, np.ones((4, 5), np.uint8))
    masks.save(tmp_path / "folder")
    assert [p.name for p in sorted((tmp_path / "folder").glob("*.png"))] == ["00002.png"]
    again = MaskSequence.load(tmp_path / "folder")
    assert again == masks and again.computed.tolist() == [False, False, True]
    masks.save_cutouts(tmp_path / "cutouts", np.full((3, 4, 5, 3), 9, np.uint8))
    assert [p.name for p in (tmp_path / "cutouts").iterdir()] == ["00002.png"]
    images = json.loads(masks.save_coco(tmp_path / "a.json").read_text())["images"]
    assert [(image["id"], image["frame_index"]) for image in images] == [(3, 2)]
