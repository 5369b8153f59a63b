"""Weights on disk: strict, finite, checked against their digest; every refusal says why."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from vos_zoo.checkpoints import weights
from vos_zoo.checkpoints.config import WeightsFile
from vos_zoo.errors import CheckpointError


def written(model: torch.nn.Module, path: Path, *, dtype: str | None = "float16") -> None:
    """The whole model in one file, as `save` writes it."""
    weights.write_state(weights.stored_state(model, dtype), path)


def net(width: int = 4, norm: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width) if norm else nn.Identity())


def raw(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "model.safetensors"
    written(net(), path)
    return path


def test_what_is_written_is_read_back(stored):
    torch.manual_seed(1)
    source, target = net(), net()
    written(source, stored, dtype=None)
    weights.load_weights(target, stored)
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name]), name


def test_half_precision_is_stored_and_read_into_float32(stored):
    model = net()
    written(model, stored)
    target = net()
    weights.load_weights(target, stored)
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, model[0].weight.half().float())
    header = weights.read_header(stored)
    assert header["0.weight"] == ("F16", (4, 3, 3, 3)) and header["1.num_batches_tracked"] == ("I64", ())
    assert weights.stored_dtype(header) == "float16"
    assert weights.count_parameters(header) == sum(each.numel() for each in model.parameters())


def test_the_same_weights_give_the_same_bytes(stored, tmp_path):
    model = net()
    written(model, stored)
    written(model, tmp_path / "again.safetensors")
    assert stored.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_values_beyond_half_precision_stay_in_float32(stored):
    model = net()
    model[1].running_var[0] = 1e6
    written(model, stored)
    header = weights.read_header(stored)
    assert header["1.running_var"].dtype == "F32" and header["0.weight"].dtype == "F16"
    assert weights.stored_dtype(header) == "mixed"
    target = net()
    weights.load_weights(target, stored)
    assert target[1].running_var[0] == 1e6


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_an_oserror():
    with pytest.raises(OSError, match="No space left"):
        written(net(), Path("/dev/full"))


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="can't be stored as 'int8': give 'float16'"):
        written(net(), tmp_path / "x.safetensors", dtype="int8")


def test_a_model_with_nan_is_not_written(tmp_path):
    model = net()
    model[0].bias.data[0] = float("nan")
    with pytest.raises(CheckpointError, match=r"holds NaN or infinity, so it is not saved:\n.*\n +0\.bias"):
        written(model, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(tmp_path, value):
    from safetensors.torch import save_file

    state = net().state_dict()
    state["1.running_mean"][2] = value
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"NaN or infinity:\n.*\(1\):\n +1\.running_mean\n.*earlier"):
        weights.load_weights(net(), tmp_path / "x.safetensors")


def test_the_diff_names_missing_unexpected_and_misshaped_keys(tmp_path, stored):
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("0", nn.Conv2d(3, 6, 3))
            self.extra = nn.Linear(2, 2, bias=False)

    with pytest.raises(CheckpointError) as caught:
        weights.check_fit(Other(), stored)
    said = str(caught.value)
    assert "does not fit Other" in said and "(3 tensors wanted, 7 found)" in said
    assert "missing from the file (1):\n    extra.weight [2, 2]" in said
    assert "unexpected in the file (5):\n    1.bias [4]" in said
    assert "0.weight: [4, 3, 3, 3] in the file, [6, 3, 3, 3] in the model" in said


def test_a_long_diff_is_cut_after_ten_lines_and_counted(tmp_path, stored):
    with pytest.raises(CheckpointError) as caught:
        weights.check_fit(nn.Sequential(*(nn.Linear(1, 1) for _ in range(20))), stored)
    said = str(caught.value)
    assert "missing from the file (36):" in said and "... and 26 more" in said
    assert len(said.splitlines()) < 30


def test_integers_do_not_pass_for_weights(tmp_path):
    from safetensors.torch import save_file

    state = net().state_dict()
    state["0.bias"] = state["0.bias"].to(torch.int32)
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"0\.bias: integer in the file, floating point in the model"):
        weights.load_weights(net(), tmp_path / "x.safetensors")


def test_a_fit_is_found_without_memory(stored):
    with torch.device("meta"):
        outline = net()
    weights.check_fit(outline, stored)
    with torch.device("meta"):
        huge = net(width=10**9)
    with pytest.raises(CheckpointError, match=r"0\.bias: \[4\] in the file, \[1000000000\] in the model"):
        weights.check_fit(huge, stored)


def test_a_truncated_file_is_refused(stored):
    whole = stored.read_bytes()
    for length in (3, 8, 40, len(whole) - 1):
        stored.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"not a whole safetensors file: .*Delete it and fetch"):
            weights.load_weights(net(), stored)


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (raw({}, length=1 << 60), r"its header claims 1,152,921,504,606,846,976 bytes, the file has 10"),
        (raw(b"{{{{"), r"its header is not JSON"),
        (raw(b"[1, 2]"), r"its header is not a JSON object"),
        (raw(b"[" * 50_000), r"its header is not JSON"),
        (raw({"a": {**TENSOR, "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}), r"promises 4,398,046,511,104"),
        (raw({"a": {**TENSOR, "shape": [3]}}, bytes(8)), r"'a' of shape \[3\] does not fill its 8 bytes"),
        (raw({"a": {**TENSOR, "shape": [-2]}}, bytes(8)), r"the shape of tensor 'a' must be a list of at most 16 whole numbers"),
        (raw({"a": TENSOR, "b": TENSOR}, bytes(8)), r"overlap or leave gaps"),
        (raw({"a": TENSOR}, bytes(9)), r"promises 8 bytes of tensors, the file holds 9"),
        (raw({"a": 1}, bytes(8)), r"entry of tensor 'a' is not a JSON object"),
        (raw({"a": {**TENSOR, "dtype": "F8_E4M3", "data_offsets": [0, 2]}}, bytes(2)), r"dtype 'F8_E4M3'.*Store"),
    ],
)
def test_a_hostile_header_is_refused_before_memory_is_taken(tmp_path, content, message):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        weights.read_header(path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(pickle.dumps({"a": 1})),
        lambda path: torch.save({"a": torch.zeros(2)}, path),
        lambda path: torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False),
    ],
)
def test_a_pickle_is_refused_whatever_its_name(tmp_path, write):
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(CheckpointError, match="is a pickle or an archive.*Only safetensors is read, because"):
        weights.load_weights(net(), path)


def test_a_git_lfs_pointer_says_so(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(CheckpointError, match="git-lfs pointer.*git lfs pull"):
        weights.read_header(path)


def entry_of(path, **changes):
    found = {"file": path.name, "sha256": weights.sha256_of(path), "bytes": path.stat().st_size}
    return WeightsFile(**{**found, "dtype": "float16", **changes})


def test_a_swapped_file_is_found_by_its_digest(stored):
    entry = entry_of(stored)
    weights.verify_file(stored, entry)
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(CheckpointError, match="not the file that its config describes") as caught:
        weights.verify_file(stored, entry)
    assert entry.sha256 in str(caught.value) and hashlib.sha256(content).hexdigest() in str(caught.value)
    assert "save_pretrained" in str(caught.value)


def test_size_is_checked(stored):
    with pytest.raises(CheckpointError, match=r"is cut short: it has .* bytes, its config says"):
        weights.verify_file(stored, entry_of(stored, bytes=stored.stat().st_size + 1))
    with pytest.raises(CheckpointError, match=r"the sha256 is right\). Correct weights.bytes"):
        weights.verify_file(stored, entry_of(stored, bytes=stored.stat().st_size - 1))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.safetensors can't be read \(No such file"):
        weights.read_header(tmp_path / "gone.safetensors")
