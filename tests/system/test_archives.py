"""Archives of strangers: refused by what they claim, and never unpacked to more than that."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from peak import memory_grown

from vos_zoo.errors import MaskError
from vos_zoo.system.archives import open_archive
from vos_zoo.system.limits import set_limits


def made(path: Path, method: int = zipfile.ZIP_DEFLATED, size: int = 1000, count: int = 2) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for number in range(count):
            archive.writestr(f"{number}.png", bytes(size))
    return path


def test_members_are_read(tmp_path):
    with open_archive(made(tmp_path / "a.zip"), MaskError) as archive:
        assert "0.png" in archive and archive.size("1.png") == 1000 and archive.read("1.png") == bytes(1000)
        assert "2.png" not in archive
        with pytest.raises(FileNotFoundError):
            archive.read("2.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_can_not_be_unpacked_in_steps_is_refused(tmp_path, method):
    with pytest.raises(MaskError, match="packed by a method that is not read"), open_archive(made(tmp_path / "a.zip", method), MaskError):
        pass


@pytest.mark.parametrize(("limits", "message"), [({"frames": 1}, "have 2 frames"), ({"unpacked": 1999}, "have 2000 bytes when unpacked")])
def test_claims_over_the_limits_are_refused(tmp_path, limits, message):
    set_limits(**limits)
    try:
        with pytest.raises(MaskError, match=message), open_archive(made(tmp_path / "a.zip"), MaskError):
            pass
    finally:
        set_limits(**dict.fromkeys(limits))


def test_a_member_that_is_larger_than_it_claims_takes_no_memory(tmp_path):
    path = made(tmp_path / "a.zip", size=200_000_000, count=1)
    data = path.read_bytes()
    path.write_bytes(data.replace((200_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with memory_grown() as grown, pytest.raises(MaskError, match="damaged or foreign zip"), open_archive(path, MaskError) as archive:
        archive.read("0.png")
        raise ValueError("it was read without its checksum")
    assert grown.bytes < 50 << 20


@pytest.mark.parametrize(
    "data", [b"", b"no archive", b"PK\5\6" + b"\xff" * 18, bytes(100) + b"PK\6\7" + bytes(12) + b"\2\0\0\0PK\5\6" + bytes(18)]
)
def test_what_is_no_archive(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(MaskError, match="damaged or foreign zip"), open_archive(tmp_path / "a.zip", MaskError):
        pass
