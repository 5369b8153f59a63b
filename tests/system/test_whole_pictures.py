"""A host that lets Pillow fill what is missing with grey gets no such frames and masks from us, and keeps its setting."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.whole_pictures import whole_pictures
from vos_zoo.train.sources.pictures import BadFile, read_picture
from vos_zoo.videos.video import open_video

NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def lenient(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    yield
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def cut(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_frames(tmp_path: Path, suffix: str) -> None:
    for i in range(3):
        Image.fromarray(NOISE).save(tmp_path / f"{i}{suffix}")
    cut(tmp_path / f"1{suffix}")
    with pytest.raises(VosZooError):
        list(open_video(tmp_path))


def test_a_stack(tmp_path: Path) -> None:
    pages = [Image.fromarray(NOISE) for _ in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_deflate")
    cut(tmp_path / "a.tif")
    with pytest.raises(VosZooError):
        list(open_video(tmp_path / "a.tif"))


@pytest.mark.parametrize("read", [read_mask, lambda path: MaskSequence.load(path.parent)], ids=["mask", "saved"])
def test_masks(tmp_path: Path, read: Callable[[Path], object]) -> None:
    Image.fromarray(NOISE[..., 0] % 5).save(tmp_path / "0.png")
    with pytest.raises(MaskError, match="damaged or cut off"):
        read(cut(tmp_path / "0.png"))


def test_pictures_to_learn_from(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.jpg")
    with pytest.raises(BadFile):
        read_picture(cut(tmp_path / "a.jpg"))


def test_threads_put_the_setting_back_once_all_have_left() -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with whole_pictures():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait(10)
    with whole_pictures():
        pass
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    leave.set()
    thread.join()
    assert ImageFile.LOAD_TRUNCATED_IMAGES
