"""Mask files that claim what they don't hold, or are something else: a sentence, and no memory taken."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peak import memory_grown

from vos_zoo.errors import MaskError, VosZooError
from vos_zoo.masks.read import read_mask
from vos_zoo.masks.rle import decode_rle
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.limits import set_limits

SIZE = (24, 32)


def _npy(shape: str, kind: str = "<i4", tail: bytes = b"\0" * 64) -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * ((64 - (len(header) + 11) % 64) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + tail


def _png(width: int, height: int, colour: bool = False, data: bytes = b"x") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2 * colour, 0, 0, 0)) + chunk(b"IDAT", data)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.npy", _npy("(100000, 100000)"), "says it holds 40000000000 bytes"),
        ("a.npy", _npy("(1000000000, 1000000000)"), "says it holds 4000000000000000000 bytes"),
        ("a.npy", _npy("(99999999999999999999999,)"), "bytes, the shape"),
        ("a.npy", _npy("(-4, 4)"), "its header says the shape"),
        ("a.npy", _npy("(2.0, 2)"), "header is damaged"),
        ("a.npy", _npy("(" * 500), "header is damaged"),
        ("a.npy", _npy("(4, 4)", kind="|O"), "not numbers"),
        ("a.npy", _npy("(2, 2)", tail=b"\0"), "damaged or cut off"),
        ("a.png", _png(13000, 13000), "is 13000x13000 but the video 32x24"),
        ("a.png", _png(60000, 60000), "exceeds limit|is 60000x60000 but"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "pointer of Git LFS.*git lfs pull"),
        ("a.npy", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("a.json", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("a.png", b"", "is an empty file"),
        ("a.npz", b"PK\x03\x04junk", "zip or .npz archive"),
        ("a.npy", pickle.dumps([1]), "Python pickle"),
        ("a.png", b"\0\0\0\x18ftypisom" + b"\0" * 50, "is a video"),
        ("a.json", b"[" * 100_000, "nested more than"),
        ("a.json", b'{"a": ' * 90 + b"1" + b"}" * 90, "levels within each other"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b'{"height": 3}', "of a form that is not read.*LabelMe.*COCO"),
        ("a.xml", b"<annotation><size/></annotation>", "Pascal VOC"),
        ("a.xml", b"<a>" * 5000, "levels within each other"),
        ("a.xml", b"<svg/>", "an SVG picture"),
    ],
)  # fmt: skip
def test_what_a_file_claims_is_checked_first(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MaskError, match=said):
        read_mask(tmp_path / name, size=SIZE)


def test_entities_of_xml_do_not_grow(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 20}">' for n in range(1, 12))
    (tmp_path / "a.xml").write_text(f'<!DOCTYPE a [<!ENTITY e0 "aaaaaaaaaa">{levels}]><annotations>&e11;</annotations>')
    with pytest.raises(MaskError, match="is no XML as it stands"):
        read_mask(tmp_path / "a.xml", size=SIZE)


def test_limits_hold_without_a_size_and_can_be_raised(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(9000, 9000))
    with pytest.raises(MaskError, match="81000000 pixels, more than the limit.*VOS_ZOO_MAX_PIXELS=81000000"):
        read_mask(tmp_path / "a.png")
    with pytest.raises(MaskError, match="more than the limit"):
        decode_rle({"size": [100_000, 100_000], "counts": [10**10]})
    set_limits(pixels=10**8)
    try:
        with pytest.raises(MaskError, match="damaged or cut off"):
            read_mask(tmp_path / "a.png")
    finally:
        set_limits(pixels=None)


class TestSavedMasks:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> Path:
        masks = MaskSequence(SIZE, fps=25, frame_names=["a", "b"])
        masks.append(np.eye(*SIZE, dtype=np.uint8), confidence={1: 0.5})
        masks.append(np.eye(*SIZE, dtype=np.uint8) * 2)
        return masks.save(tmp_path / "saved")

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("size", [float("inf"), 8], "two whole numbers.*inf"),
            ("size", "44", "'size' must be a list, not '44'"),
            ("size", [100_000, 100_000], "more than the limit"),
            ("object_ids", ["1"], "'object_ids' must be a whole number from 1 to .*, not '1'"),
            ("object_ids", [10**400], "'object_ids' must be a whole number"),
            ("fps", "25", "'fps' must be a finite number.*, not '25'"),
            ("fps", True, "'fps' must be a finite number"),
            ("first_frame", float("inf"), "'first_frame' must be a whole number.*, not inf"),
            ("frame_step", 0, "'frame_step' must not be 0"),
            ("frames", ["../a", "b"], "must be a file's, without a folder, not '../a'"),
            ("frames", ["\ud800", "b"], "character that no file can have"),
            ("frames", {"a": 1}, "'frames' must be a list"),
            ("computed", [1, 1], "'computed' must hold true and false, not 1"),
            ("computed", [True], "'computed' must have 2 entries, not 1"),
            ("confidence", [[None], [0.5, 0.5]], "a row of 'confidence' must have 2 entries, not 1"),
            ("lost", [[False, None], [False, False]], "'lost' must hold true and false, not None"),
            ("frame_names", 5, "'frame_names' must be a list, not 5"),
        ],
    )
    def test_values_of_another_kind(self, key: str, value: object, said: str, saved: Path) -> None:
        record = saved / "sequence.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), key: value}))
        with pytest.raises(MaskError, match=rf"sequence\.json is damaged.*{said}"):
            MaskSequence.load(saved)

    def test_pictures_of_another_size_are_not_decoded(self, saved: Path) -> None:
        (saved / "b.png").write_bytes(_png(13000, 13000))
        with pytest.raises(MaskError, match=r"b\.png is 13000x13000, but sequence\.json says 32x24"):
            MaskSequence.load(saved)
        (saved / "sequence.json").unlink()
        with pytest.raises(MaskError, match=r"a\.png is 32x24, b\.png 13000x13000"):
            MaskSequence.load(saved)

    def test_a_zip_is_loaded_again(self, saved: Path, tmp_path: Path) -> None:
        masks = MaskSequence.load(saved)
        masks.save_zip(tmp_path / "saved.zip")
        assert MaskSequence.load(tmp_path / "saved.zip") == masks
        cut = (tmp_path / "saved.zip").read_bytes()
        (tmp_path / "cut.zip").write_bytes(cut[: len(cut) // 2])
        with pytest.raises(MaskError, match="damaged or foreign zip"):
            MaskSequence.load(tmp_path / "cut.zip")

    def test_a_zip_bomb_is_told_by_what_it_claims(self, saved: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("sequence.json", (saved / "sequence.json").read_text())
            archive.writestr("a.png", b"\0" * 10**7)
        set_limits(unpacked=10**6)
        try:
            with pytest.raises(MaskError, match="bytes when unpacked, more than the limit"):
                MaskSequence.load(tmp_path / "bomb.zip")
        finally:
            set_limits(unpacked=None)


def test_the_interpreter_survives_random_run_lengths() -> None:
    """Counts whose sums wrap around, sizes of any kind, damaged strings: in a process of its own, since a fault here ends it."""
    cases = int(os.environ.get("VOS_ZOO_RLE_CASES", "5000"))  # 100,000 for a long run
    code = """
import faulthandler, random, sys
faulthandler.enable()
from vos_zoo.errors import VosZooError
from vos_zoo.masks.read import read_mask
rng = random.Random(5)
odd = [0, 1, 2, 15, 16, 17, 2**31, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, -2**63, 1.5, 1e400, None]
read = refused = 0
for case in range(int(sys.argv[1])):
    h, w = rng.randint(1, 5), rng.randint(1, 5)
    kind = rng.randrange(4)
    if kind == 0:
        counts = [rng.choice(odd) for _ in range(rng.randint(0, 4))]
    elif kind == 1:
        counts = [rng.randint(0, h * w) for _ in range(rng.randint(0, 3))]
        counts.append(h * w - sum(counts))
        if rng.random() < 0.3:
            counts[:0] = [2**63 - 1, 2**63 - 1, 2]
    elif kind == 2:
        counts = "".join(chr(rng.randint(48, 111)) for _ in range(rng.randint(0, 24)))
    else:
        counts = bytes(rng.randint(0, 255) for _ in range(rng.randint(0, 12)))
    size = [h, w] if rng.random() < 0.9 else [rng.choice(odd), rng.choice(odd)]
    try:
        labels = read_mask({"size": size, "counts": counts}, size=(h, w), allow_empty=True).labels
        assert labels.shape == (h, w) and labels.min() >= 0 and labels.max() <= 1
        read += 1
    except VosZooError:
        refused += 1
print(read, refused)
"""
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code, str(cases)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and not done.stderr, done.stderr[-3000:]
    read, refused = map(int, done.stdout.split())
    assert read > cases / 10 and refused > cases / 10 and read + refused == cases


_KEYS = st.sampled_from(["size", "counts", "shapes", "images", "videos", "annotations", "data", "segmentation", 1, 0, "a"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_VALUES)
def test_any_value_is_a_mask_or_a_sentence(value: object) -> None:
    try:
        assert read_mask(value, size=SIZE).labels.shape == SIZE
    except VosZooError as error:
        assert str(error)


@pytest.mark.parametrize("size", [(48, 64), None])
def test_a_large_colour_picture_is_refused_before_its_pixels_are_decoded(size: tuple[int, int] | None, tmp_path: Path) -> None:
    """Its EXIF data, by which it may lie on its side, would stand behind them."""
    (tmp_path / "a.png").write_bytes(_png(9100, 9100, colour=True, data=zlib.compress(bytes(9100 * (3 * 9100 + 1)), 1)))
    with memory_grown() as grown, pytest.raises(MaskError, match=r"9100x9100 but the video|pixels, more than the limit"):
        read_mask(tmp_path / "a.png", size=size)
    assert grown.bytes < 100 << 20
