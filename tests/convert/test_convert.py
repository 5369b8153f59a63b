"""Converters, without their models: files as authors published them are read as tensors or refused, and keys that don't fit are named."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import published
import pytest
import torch
from programs import program

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.convert import rvos, stm
from vos_zoo.convert.folder import fit
from vos_zoo.convert.published import read_published
from vos_zoo.errors import CheckpointError

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


# ---- files


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_old_and_new_files_are_read(tmp_path, legacy, kind):
    path = published.save(kind(TENSORS), tmp_path / "weights.tar", legacy=legacy)
    assert zipfile.is_zipfile(path) != legacy
    found = read_published(path)
    assert same(found.tensors)
    assert found.source() == {"file": "weights.tar", "bytes": path.stat().st_size, "sha256": sha256_of(path)}


@pytest.mark.parametrize("which", [lambda key: True, lambda key: key == "a.bias", lambda key: False], ids=["all", "only some", "none"])
def test_data_parallels_prefix_is_taken_off(tmp_path, which):
    assert same(read_published(published.save(published.parallel(TENSORS, which), tmp_path / "weights.pt")).tensors)


def test_a_key_with_and_without_the_prefix_is_refused(tmp_path):
    path = published.save({**TENSORS, "module.a.bias": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"holds a\.bias twice, with and without 'module\.'"):
        read_published(path)


def test_a_wrapper_is_opened_where_there_is_one(tmp_path):
    wrapped = published.save({"net": TENSORS, "epoch": 200}, tmp_path / "wrapped.tar")
    assert same(read_published(wrapped, wrapper="net").tensors)
    assert same(read_published(published.save(TENSORS, tmp_path / "bare.tar"), wrapper="net").tensors)
    with pytest.raises(CheckpointError, match="no state_dict: beside tensors by name it holds net, epoch"):
        read_published(wrapped)


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
def test_tensors_that_were_saved_on_a_gpu_come_to_the_cpu(tmp_path, monkeypatch, legacy):
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
        path = published.save(TENSORS, tmp_path / "weights.tar", legacy=legacy)
    assert b"cuda:1" in path.read_bytes()
    found = read_published(path).tensors
    assert same(found) and {each.device.type for each in found.values()} == {"cpu"}


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('it went off')",)


def test_args_pkl_is_never_opened(tmp_path):
    for name, protocol in (("args.pkl", 2), ("args.pkl", 4), ("renamed.pt", 3), ("renamed.pt", 5)):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
        with pytest.raises(
            CheckpointError, match=r"is a pickle of Python objects.*not opened.*args\.pkl is not needed.*shapes of the weights"
        ):
            read_published(path)


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
@pytest.mark.parametrize("thing", [Bomb(), argparse.Namespace(base_model="resnet101")], ids=["bomb", "namespace"])
def test_a_file_with_more_than_tensors_runs_no_code(tmp_path, thing, legacy):
    path = published.save({**TENSORS, "thing": thing}, tmp_path / "weights.pt", legacy=legacy)
    with pytest.raises(CheckpointError, match=r"holds more than tensors \((exec|argparse\.Namespace)\).*torch\.save\(model\.state_dict"):
        read_published(path)


def archive(path):
    with zipfile.ZipFile(path, "w") as into:
        into.writestr("one-shot/encoder.pt", b"")
        into.writestr("one-shot/args.pkl", b"")


def half(path):
    published.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"can't be read \(No such file"),
        (lambda path: path.mkdir(), r"is a folder\. Give the file of weights in it"),
        (lambda path: path.write_bytes(b""), r"no whole file of torch\.save.*Fetch it again"),
        (lambda path: path.write_bytes(b"rubbish" * 50), r"no whole file of torch\.save"),
        (half, r"no whole file of torch\.save \(.*EOF"),
        (archive, r"is an archive with one-shot/encoder\.pt, one-shot/args\.pkl\. Unpack it"),
        (lambda path: path.write_text("\n<!DOCTYPE html><html>quota exceeded"), r"is a web page, not the weights.*in a browser"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), r"git-lfs pointer.*git lfs pull"),
        (lambda path: published.save([torch.ones(2)], path), r"no tensors by name, but a list"),
        (lambda path: published.save({}, path), r"no tensors by name, but a dict"),
    ],
    ids=["absent", "folder", "empty", "rubbish", "half", "archive", "page", "lfs", "list", "nothing"],
)
def test_files_that_are_none_are_refused(tmp_path, make, message):
    make(tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=message):
        read_published(tmp_path / "weights.pt")


# ---- tensors into a model

WANTED = {"one.weight": torch.zeros(4, 5, 3, 3), "one.num_batches_tracked": torch.zeros((), dtype=torch.int64)}
PARTS = {"a.weight": torch.randn(4, 3, 3, 3), "b.weight": torch.randn(4, 2, 3, 3), "a.num_batches_tracked": torch.tensor(7)}


def fitted(tensors: dict[str, torch.Tensor], unused: str = r"extra\..*") -> dict[str, torch.Tensor]:
    def spelling(key: str) -> tuple[str, ...]:
        return ("a.weight", "b.weight") if key == "one.weight" else ("a.num_batches_tracked",)

    return fit(tensors, WANTED, spelling, unused=unused, source="weights.pt", model="thing")


def test_parts_are_joined_and_what_is_not_used_is_left_out():
    found = fitted({**PARTS, "extra.weight": torch.zeros(9)})
    assert torch.equal(found["one.weight"][:, :3], PARTS["a.weight"]) and torch.equal(found["one.weight"][:, 3:], PARTS["b.weight"])
    assert found["one.num_batches_tracked"] == 7


def test_num_batches_tracked_may_be_missing():
    found = fitted(published.without(PARTS, "num_batches_tracked"))
    assert found["one.num_batches_tracked"] == 0 and found["one.num_batches_tracked"].dtype == torch.int64


def test_all_that_does_not_fit_is_named():
    with pytest.raises(CheckpointError) as raised:
        fitted({"b.weight": torch.zeros(4, 2, 3, 3), **{f"c{n:02d}.weight": torch.zeros(1) for n in range(12)}})
    message = str(raised.value)
    assert "weights.pt does not fit thing; nothing was written" in message
    assert "missing from the file (1):\n    a.weight\n" in message
    assert "unexpected in the file (12):\n    c00.weight" in message and "... and 2 more" in message


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (5, 2, 3, 3), (4, 2, 5, 5), (4,)])
def test_a_shape_that_does_not_fit_is_named(shape):
    with pytest.raises(
        CheckpointError, match=r"of another shape \(1\):\n    a\.weight \+ b\.weight: .* in the file, \[4, 5, 3, 3\] in the model"
    ):
        fitted({**PARTS, "b.weight": torch.zeros(shape)})


def test_weights_that_are_not_finite_are_named():
    with pytest.raises(CheckpointError, match=r"holds NaN or infinity; nothing was written.\n.*\n    one\.weight"):
        fitted({**PARTS, "b.weight": torch.full((4, 2, 3, 3), torch.nan)})


# ---- what shapes say


def shapes(*files: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: x for file in files for key, x in file.items()}


@pytest.mark.parametrize("zero_shot", [False, True], ids=["one-shot", "zero-shot"])
@pytest.mark.parametrize("hidden", [128, 32])
@pytest.mark.parametrize("kind", published.RESNETS)
def test_rvos_is_known_by_its_shapes(kind, hidden, zero_shot):
    with torch.device("meta"):
        tensors = shapes(*published.rvos(kind, zero_shot=zero_shot, hidden=hidden))
    assert tensors["clstm_list.0.Gates.weight"].shape[1] == 3 * hidden + (0 if zero_shot else 1)  # 385 and 384 of the published models
    assert rvos.infer(tensors, "files") == {"backbone": kind, "hidden": hidden, "zero_shot": zero_shot}


def test_rvos_of_another_backbone_is_refused():
    with torch.device("meta"):
        tensors = shapes(*published.rvos("resnet34"))
    vgg = {key: x for key, x in tensors.items() if not key.startswith("base.")} | {"base.features.0.weight": torch.zeros(64, 3, 3, 3)}
    with pytest.raises(CheckpointError, match=r"no ResNet \(there is no base\.layer1\).*VGG-16.*Take a model with resnet34"):
        rvos.infer(vgg, "files")
    other = {key: x for key, x in tensors.items() if not key.startswith("base.layer3.5.")}
    with pytest.raises(CheckpointError, match=r"have \(3, 4, 5, 3\) basic blocks, which is none of resnet34, resnet50, resnet101"):
        rvos.infer(other, "files")


def test_rvos_files_of_two_models_are_refused():
    with torch.device("meta"):
        tensors = shapes(published.rvos("resnet34", hidden=64)[0], published.rvos("resnet34")[1])
    with pytest.raises(CheckpointError, match=r"Gates\.weight takes 385 channels, but sk5\.weight gives 64.*192.*193.*same model"):
        rvos.infer(tensors, "files")


def test_rvos_roles(tmp_path):
    encoder = published.save({"sk5.weight": torch.ones(1)}, tmp_path / "encoder.pt")
    decoder = published.save({"clstm_list.0.Gates.weight": torch.ones(1)}, tmp_path / "decoder.pt")
    other = published.save({"state": torch.ones(1)}, tmp_path / "enc_opt.pt")
    for files, message in (
        ((decoder, encoder), r"decoder\.pt is the decoder and .*encoder\.pt the encoder\. Give them the other way round"),
        ((other, decoder), r"enc_opt\.pt is no encoder of RVOS: it has no sk5\.weight, but state"),
        ((encoder, encoder), r"encoder\.pt is no decoder of RVOS: it has no clstm_list\.0\.Gates\.weight"),
    ):
        with pytest.raises(CheckpointError, match=message):
            rvos.convert(*files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stm_of_another_normalisation_is_refused():
    tensors = {"Encoder_M.mean": published.MEAN, "Encoder_Q.std": torch.full((1, 3, 1, 1), 0.5)}
    with pytest.raises(CheckpointError, match=r"w\.pth: Encoder_Q\.std is \[0\.5, 0\.5, 0\.5\], not ImageNet's \[0\.229, 0\.224, 0\.225\]"):
        stm.check_statistics(tensors, "w.pth")
    stm.check_statistics({"Encoder_M.mean": published.MEAN, "Encoder_M.std": published.STD}, "w.pth")


# ---- the program


@pytest.fixture
def run_tool():
    return program("convert_weights").main


def test_the_program_says_what_is_wrong(run_tool, tmp_path, capsys):
    file = published.save({"vos.something": torch.ones(1)}, tmp_path / "CRVOS_best.tar")
    for arguments, message in (
        (["crvos", str(tmp_path / "absent.tar")], "absent.tar can't be read"),
        (["rvos", str(file), str(file)], "is no encoder of RVOS"),
    ):
        assert run_tool([*arguments, "--out", str(tmp_path / "out")]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and message in printed.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["CRVOS_best.tar"]


@pytest.mark.parametrize(
    "arguments", [["scm", "file"], ["crvos"], ["rvos", "encoder.pt", "--out", "x"], ["crvos", "f", "--out", "x", "--dtype", "int8"]]
)
def test_the_program_refuses_wrong_arguments(run_tool, arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        run_tool(arguments)
    assert raised.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "module"), [(["crvos", "a"], "crvos"), (["rvos", "a", "b"], "rvos"), (["stm", "a"], "stm")])
def test_the_program_hands_the_files_on(run_tool, arguments, module, monkeypatch, tmp_path, capsys):
    given = []

    def convert(*files: Path, dtype: str) -> Path:
        given.extend([*map(str, files), dtype])
        (tmp_path / "config.json").write_text(ModelConfig("it", "Thing", licence="none at all", parameters=2_500_000).to_json())
        return tmp_path

    monkeypatch.setattr(f"vos_zoo.convert.{module}.convert", convert)
    assert run_tool([*arguments, "--out", "o", "--dtype", "float16"]) == 0
    assert given == [*arguments[1:], "o", "float16"]
    assert "it, 2.50 M parameters" in (out := capsys.readouterr().out) and "terms of the weights: none at all" in out
