"""No exception but VosZooError crosses the converters, and nothing is left at the target, whatever the authors' file holds."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from fuzzing import damaged, promise, thorough
from hypothesis import given
from hypothesis import strategies as st

from vos_zoo.convert import crvos, rvos, stm
from vos_zoo.errors import CheckpointError, SaveError

TENSORS = {"vos.refine.predictor.weight": torch.ones(6, 2, 6, 6), "clstm_list.0.Gates.weight": torch.ones(4, 2, 3, 3)}
TENSORS |= {"sk5.weight": torch.ones(2, 4, 3, 3), "base.layer1.0.conv1.weight": torch.ones(2, 2, 1, 1), "Encoder_M.mean": torch.ones(3)}


def saved(content: Any, *, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


FILES = [saved(TENSORS, legacy=legacy) for legacy in (False, True)]
odd_tensors = st.sampled_from(
    [
        *(
            torch.tensor(1.0),
            torch.ones(0),
            torch.ones(3, dtype=torch.complex64),
            torch.ones(2, 2).to_sparse(),
            torch.ones(1).expand(10**12),
        ),
        *(
            torch.full((3,), float("nan")),
            torch.ones(3, dtype=torch.bool),
            torch.ones(1, 1, 1, 1, 1),
            torch.ones(2, 3),
            "text",
            None,
            [1],
            {},
        ),
    ]
)


def converted(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        file, out = Path(place) / "weights.pt", Path(place) / "out"
        file.write_bytes(data)
        for call in (lambda: crvos.convert(file, out), lambda: stm.convert(file, out), lambda: rvos.convert(file, file, out)):
            assert promise(call) is None
            assert [path.name for path in Path(place).iterdir()] == ["weights.pt"]


@thorough
@given(data=st.data())
def test_files_of_damaged_bytes(data):
    converted(data.draw(damaged(data.draw(st.sampled_from(FILES)))))


@thorough
@given(values=st.dictionaries(st.sampled_from([*TENSORS, "net", "module.sk5.weight", "x" * 500]), odd_tensors), legacy=st.booleans())
def test_tensors_that_no_model_has(values, legacy):
    converted(saved({**TENSORS, **values}, legacy=legacy))


def test_archives_that_are_broken_or_compressed(tmp_path):
    (tmp_path / "broken.tar").write_bytes(bytes(100) + b"PK\x05\x06" + b"\xff" * 18)
    with pytest.raises(CheckpointError, match="is a broken archive"):
        crvos.convert(tmp_path / "broken.tar", tmp_path / "out")
    locator = b"PK\x06\x07" + b"\0" * 12 + b"\2\0\0\0"  # of an archive on two disks, at which zipfile raises before it is opened
    (tmp_path / "disks.tar").write_bytes(bytes(100) + locator + b"PK\x05\x06" + bytes(18))
    with pytest.raises(CheckpointError, match="is a broken archive"):
        crvos.convert(tmp_path / "disks.tar", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "bomb.tar", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"compressed archive, which would grow to 10,000,004 bytes"):
        crvos.convert(tmp_path / "bomb.tar", tmp_path / "out")


@pytest.mark.parametrize("path", ["~nobody_of_that_name/w.pt", "a\0b", "x" * 5000, "/dev/zero"])
def test_paths_that_can_not_be(path, tmp_path):
    with pytest.raises(CheckpointError):
        crvos.convert(path, tmp_path / "out")
    (tmp_path / "w.pt").write_bytes(FILES[0])
    if path != "/dev/zero":
        with pytest.raises((SaveError, CheckpointError)):
            crvos.convert(tmp_path / "w.pt", path)
