"""Stills: which pairs there are, what a bank keeps of them, and what it says of bad ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_data import RED, bank_of, save, still, write_stills

from vos_zoo.errors import DataError, SaveError
from vos_zoo.train.sources.problems import Problems
from vos_zoo.train.sources.stills import load_stills, pairs_of


def test_bank_keeps_colour_mask_aspect_and_box(tmp_path: Path) -> None:
    bank = bank_of(write_stills(tmp_path / "s", 2), cache=tmp_path / "cache", size=64)
    assert bank.textures.shape == (2, 4, 64, 64)
    assert bank.aspects.tolist() == pytest.approx([96 / 72] * 2)
    assert bank.objects.tolist() == [[0, 1], [1, 1]]
    assert bank.names == ["s/000", "s/001"]
    inside = bank.textures[0, 3] == 1
    rows, columns = inside.nonzero(as_tuple=True)
    box = [v / 32 - 1 for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]
    assert bank.boxes[0].tolist() == pytest.approx([float(v) for v in box])
    core = inside[1:-1, 1:-1] & inside[2:, 1:-1] & inside[:-2, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2]
    colours = bank.textures[0, :3, 1:-1, 1:-1][:, core].float().mean(1)
    assert colours.tolist() == pytest.approx(RED, abs=12)


def test_void_is_no_object_beside_numbers_and_an_object_alone(tmp_path: Path) -> None:
    image, mask = still(0)
    numbers = mask.copy()
    numbers[:10] = 255
    save(tmp_path / "void/images/a.png", image)
    save(tmp_path / "void/masks/a.png", numbers)
    save(tmp_path / "binary/images/a.png", image)
    save(tmp_path / "binary/masks/a.png", mask * 255)
    bank = bank_of(tmp_path / "void", tmp_path / "binary", cache=tmp_path / "cache", size=48)
    assert bank.textures[:, 3].amax().item() == 1
    assert bank.textures[0, 3].equal(bank.textures[1, 3])


def test_too_small_and_too_large_objects_are_no_targets(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :56], mask[20:40, 60:64], mask[0, 60] = 1, 2, 3
    save(tmp_path / "s/images/a.png", np.zeros((64, 64, 3), np.uint8))
    save(tmp_path / "s/masks/a.png", mask)
    assert bank_of(tmp_path / "s", cache=tmp_path / "cache", size=64).objects.tolist() == [[0, 2]]


def test_backgrounds_have_no_object(tmp_path: Path) -> None:
    save(tmp_path / "backgrounds/images/a.png", still(0)[0])
    assert pairs_of(tmp_path / "backgrounds", Problems()) == [(tmp_path / "backgrounds/images/a.png", None)]
    bank = bank_of(tmp_path / "backgrounds", write_stills(tmp_path / "s", 1), cache=tmp_path / "cache", size=32)
    assert len(bank) == 2 and bank.objects.tolist() == [[1, 1]]
    with pytest.raises(DataError, match="no object to train on in .*backgrounds: 1 stills"):
        bank_of(tmp_path / "backgrounds", cache=tmp_path / "cache", size=32)


def test_cache_is_used_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_stills(tmp_path / "s", 1)
    before = bank_of(folder, cache=tmp_path / "cache", size=32)
    with monkeypatch.context() as patch:
        patch.setattr("vos_zoo.train.sources.stills.read_picture", lambda path: pytest.fail("decoded again"))
        assert bank_of(folder, cache=tmp_path / "cache", size=32).textures.equal(before.textures)
    save(folder / "images/000.png", still(0, colour=(0, 250, 0))[0][:, ::-1])
    assert not bank_of(folder, cache=tmp_path / "cache", size=32).textures.equal(before.textures)


def test_a_bad_pair_is_left_out_and_named_again_when_the_cache_is_used(tmp_path: Path) -> None:
    folder = write_stills(tmp_path / "s", 3)
    whole = bank_of(folder, cache=tmp_path / "other", size=32)
    broken = folder / "images/001.png"
    broken.write_bytes(broken.read_bytes()[:200])
    for _ in range(2):
        problems = Problems()
        bank = load_stills([folder], tmp_path / "cache", problems, size=32)
        assert bank.names == ["s/000", "s/002"] and bank.textures.equal(whole.textures[[0, 2]])
        assert bank.objects.tolist() == [[0, 1], [1, 1]] and bank.aspects.tolist() == whole.aspects[[0, 2]].tolist()
        ((path, what),) = problems.found
        assert path == broken and what.startswith("can't be read as an image")


def test_nothing_half_written_stays_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vos_zoo.train.sources.stills._texture", full)
    with pytest.raises(SaveError, match="disk is full"):
        bank_of(write_stills(tmp_path / "s", 2), cache=tmp_path / "cache", size=32)
    assert list((tmp_path / "cache").iterdir()) == []


def test_mask_of_another_size_is_named_with_its_image(tmp_path: Path) -> None:
    folder = write_stills(tmp_path / "s", 1)
    save(folder / "masks/000.png", np.zeros((50, 96), np.uint8))
    with pytest.raises(DataError, match=r"masks/000\.png: is 50x96, its image .*images/000\.png 72x96"):
        bank_of(folder, cache=tmp_path / "cache", size=32)


def test_colour_mask_is_refused(tmp_path: Path) -> None:
    folder = write_stills(tmp_path / "s", 1)
    Image.new("RGB", (96, 72)).save(folder / "masks/000.png")
    with pytest.raises(DataError, match=r"000\.png: is a mask of mode RGB; masks are indexed"):
        bank_of(folder, cache=tmp_path / "cache", size=32)


def test_images_and_masks_without_the_other_are_problems(tmp_path: Path) -> None:
    folder = write_stills(tmp_path / "s", 3)
    (folder / "masks/001.png").unlink()
    (folder / "images/002.png").unlink()
    problems = Problems()
    assert [image.stem for image, _ in pairs_of(folder, problems)] == ["000"]
    report = problems.report()
    assert "s/images/001.png: an image without a mask" in report and "s/masks/002.png: a mask without an image" in report


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images: expected .*nowhere/images"):
        pairs_of(tmp_path / "nowhere", Problems())
    folder = write_stills(tmp_path / "s", 2)
    for mask in (folder / "masks").iterdir():
        mask.unlink()
    with pytest.raises(DataError, match="masks holds no PNG of an image; remove the folder if these images are backgrounds"):
        pairs_of(folder, Problems())
