"""Configs: every check names the file, the field and the fix; what is written is read back the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from vos_zoo.config import ModelConfig, Preprocess, WeightsFile, checked_args
from vos_zoo.errors import CheckpointError


def entry(**changes: Any) -> dict[str, Any]:
    """A whole and valid config, with some fields changed; a value of ... leaves the field out."""
    whole = {
        "library": "vos_zoo",
        "format_version": 1,
        "name": "toy-small",
        "architecture": "Toy",
        "model_args": {"width": 8},
        "preprocess": {"short_side": 480},
        "weights": {"file": "model.safetensors", "sha256": "0" * 64, "bytes": 100, "dtype": "float16"},
        "licence": "Apache-2.0",
        "description": "A toy.",
        "parameters": 42,
        "paper": {"title": "Toys", "authors": ["A", "B"]},
        "training": {"seed": 3},
        "metrics": [{"dataset": "d", "split": "val", "J&F": 71.5, "command": "vos-zoo evaluate"}],
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


def test_a_written_config_is_read_back_the_same(tmp_path):
    config = ModelConfig.from_dict(entry())
    path = tmp_path / "config.json"
    path.write_text(config.to_json(), encoding="utf-8")
    assert ModelConfig.read(path) == config
    assert config.preprocess == Preprocess(short_side=480)
    assert config.weights == WeightsFile("model.safetensors", "0" * 64, 100, "float16")
    assert json.loads(path.read_text()) == entry()


def test_what_may_be_left_out():
    least = {"library": "vos_zoo", "format_version": 1, "name": "a", "architecture": "Toy"}
    config = ModelConfig.from_dict(least)
    assert config.weights is None and config.preprocess.short_side is None and config.model_args == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"library": "timm"}, r"another library.*'timm'"),
        ({"library": ...}, r"another library"),
        ({"format_version": 2}, r"format_version 2.*reads up to 1\. Upgrade with: pip install --upgrade vos_zoo"),
        ({"format_version": True}, r"format_version: must be a whole number"),
        ({"format_version": ...}, r"format_version: must be a whole number"),
        ({"architecture": ...}, r"lacks 'architecture'"),
        ({"architecture": ""}, r"architecture: must be a string that is not empty"),
        ({"licens": "MIT"}, r"unknown keys 'licens'; known are .*licence"),
        ({"name": "../up"}, r"name: '\.\./up' may hold letters"),
        ({"model_args": [1]}, r"model_args: must be a JSON object, not \[1\]"),
        ({"preprocess": {"short_side": 480.5}}, r"preprocess\.short_side: must be a whole number"),
        ({"preprocess": {"short_side": 2}}, r"preprocess\.short_side: .*from 16 to 16384, not 2"),
        ({"preprocess": {"mean": 0}}, r"preprocess: has unknown keys 'mean'"),
        ({"weights": {"file": "model.safetensors"}}, r"weights: lacks 'bytes', 'dtype', 'sha256'"),
        ({"metrics": [{"dataset": "d", "split": "val", "J": 70}]}, r"metrics\[0\]\.command: must be a string"),
        ({"metrics": {}}, r"metrics: must be a list"),
        ({"description": None}, r"description: must be a string"),
        ({"licence": 3}, r"licence: must be a string"),
        ({"parameters": -1}, r"parameters: must be a whole number"),
    ],
)
def test_a_wrong_field_is_named(changes, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        ModelConfig.from_dict(entry(**changes), source="here/config.json")
    assert str(caught.value).startswith("here/config.json")


@pytest.mark.parametrize(
    "file",
    ["../model.safetensors", "/etc/model.safetensors", "a/b.safetensors", "model.pth", "model.bin", ".safetensors", "a\\b.safetensors"],
)
def test_weights_stay_in_the_folder_and_are_safetensors(file):
    weights = {**entry()["weights"], "file": file}
    with pytest.raises(CheckpointError, match=r"weights\.file: .*plain file name.*a pickle can run code"):
        ModelConfig.from_dict(entry(weights=weights))


def test_a_digest_must_be_one():
    weights = {**entry()["weights"], "sha256": "abc"}
    with pytest.raises(CheckpointError, match=r"weights\.sha256: 'abc' must be 64 lower-case hex digits"):
        ModelConfig.from_dict(entry(weights=weights))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{not json", r"is not valid JSON .*fetch the file again"),
        (b"\xff\xfe\x00", r"not a text file in UTF-8"),
        (b"[1, 2]", r"must be a JSON object, not \[1, 2\]"),
        (b'{"library": NaN}', r"NaN is not a number that JSON knows"),
        (b"[" * 100_000, r"is not valid JSON"),
        (b" " * (1 << 20) + b"{}", r"1,048,578 bytes; a config has at most"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json can't be read \(No such file"):
        ModelConfig.read(tmp_path / "config.json")


@dataclass(frozen=True)
class Arguments:
    trunk: str = "resnet18"
    width: int = 8
    rate: float = 0.5
    fast: bool = False
    slots: int | None = None
    widths: tuple[int, int] = (1, 2)
    dilations: tuple[int, ...] = ()
    kind: Literal["min", "prod"] = "min"


def test_arguments_of_the_right_type_pass():
    given = {"trunk": "x", "width": 4, "rate": 2, "fast": True, "slots": None, "widths": [3, 4], "dilations": [1, 2, 4], "kind": "prod"}
    checked = checked_args(Arguments, given, source="c")
    assert checked == {**given, "rate": 2.0, "widths": (3, 4), "dilations": (1, 2, 4)}
    assert type(checked["rate"]) is float
    assert Arguments(**checked).slots is None


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"widht": 4}, r"c: unknown model_args 'widht'\. Known: .*width"),
        ({"width": "8"}, r"c: model_args\.width must be a whole number, not '8'"),
        ({"width": 8.0}, r"model_args\.width must be a whole number"),
        ({"width": True}, r"model_args\.width must be a whole number, not True"),
        ({"fast": 1}, r"model_args\.fast must be true or false, not 1"),
        ({"rate": float("inf")}, r"model_args\.rate must be a number, not inf"),
        ({"rate": 10**400}, r"model_args\.rate must be a number"),
        ({"slots": "many"}, r"model_args\.slots must be a whole number or null, not 'many'"),
        ({"widths": [1]}, r"model_args\.widths must be a list of a whole number, a whole number, not \[1\]"),
        ({"dilations": [1, "x"]}, r"model_args\.dilations must be a list of a whole number"),
        ({"kind": "max"}, r"model_args\.kind must be one of 'min', 'prod', not 'max'"),
        ({"trunk": {"class": "os.system"}}, r"model_args\.trunk must be a string"),
    ],
)
def test_arguments_of_a_wrong_name_or_type_are_named(args, message):
    with pytest.raises(CheckpointError, match=message):
        checked_args(Arguments, args, source="c")


def test_an_argument_without_default_must_be_given():
    @dataclass(frozen=True)
    class Needs:
        width: int

    with pytest.raises(CheckpointError, match=r"model_args lack 'width'"):
        checked_args(Needs, {}, source="c")


def test_configs_and_the_catalogue_need_no_torch():
    code = (
        "import sys, vos_zoo.config, vos_zoo.catalogue, vos_zoo.zoo; vos_zoo.zoo.architectures(); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'timm', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
