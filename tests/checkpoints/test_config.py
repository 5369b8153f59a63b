"""Configs: every check names the file, the field and the fix; what is written is read back the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from vos_zoo.checkpoints.arguments import checked_args
from vos_zoo.checkpoints.config import HubPlace, ModelConfig, Preprocess, Shard, WeightsFile
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


def test_an_exact_size_is_read_and_written():
    config = ModelConfig.from_dict(entry(preprocess={"size": [256, 448]}))
    assert config.preprocess == Preprocess(size=(256, 448))
    assert json.loads(config.to_json())["preprocess"] == {"size": [256, 448]}


def test_a_largest_size_is_read_and_written():
    config = ModelConfig.from_dict(entry(preprocess={"short_side": 480, "largest": 500}))
    assert config.preprocess == Preprocess(480, largest=500)
    assert json.loads(config.to_json())["preprocess"] == {"short_side": 480, "largest": 500}


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
        ({"name": "../up"}, r"name: '\.\./up' may hold at most 96 letters"),
        ({"model_args": [1]}, r"model_args: must be a JSON object, not \[1\]"),
        ({"preprocess": {"short_side": 480.5}}, r"preprocess\.short_side: must be a whole number"),
        ({"preprocess": {"short_side": 2}}, r"preprocess\.short_side: .*from 16 to 16384, not 2"),
        ({"preprocess": {"short_side": 480, "largest": 479}}, r"preprocess\.largest: .*from 480 to 16384, not 479"),
        ({"preprocess": {"size": [256, 448], "largest": 480}}, r"preprocess: has largest without short_side"),
        ({"preprocess": {"mean": 0}}, r"preprocess: has unknown keys 'mean'"),
        ({"preprocess": {"size": 256}}, r"preprocess\.size: must be \[height, width\] in pixels, not 256"),
        ({"preprocess": {"size": [256, 448, 3]}}, r"preprocess\.size: must be \[height, width\]"),
        ({"preprocess": {"size": [256, 8]}}, r"preprocess\.size\[1\]: must be a whole number from 16 to 16384, not 8"),
        ({"preprocess": {"size": [256, 448], "short_side": 240}}, r"preprocess: has short_side and size; give one of them"),
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


SHARD = {"file": "model-00001-of-00002.safetensors", "sha256": "1" * 64, "bytes": 60}
HUB = {"repo_id": "owner/name", "revision": "a" * 40}


def test_weights_in_shards_and_on_the_hub_are_read_and_written():
    shards = [SHARD, {**SHARD, "file": "model-00002-of-00002.safetensors"}]
    weights = {**entry()["weights"], "file": "model.safetensors.index.json", "shards": shards, "hub": HUB}
    config = ModelConfig.from_dict(entry(weights=weights))
    assert config.weights.shards[1] == Shard("model-00002-of-00002.safetensors", "1" * 64, 60)
    assert config.weights.hub == HubPlace("owner/name", "a" * 40) and len(config.weights.files) == 3
    assert json.loads(config.to_json())["weights"] == weights
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert ModelConfig.from_dict(entry()).weights.files == (ModelConfig.from_dict(entry()).weights,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": [SHARD]}, r"weights\.file: 'model\.safetensors' must be .* ends in \.safetensors\.index\.json, since there are shards"),
        ({"file": "model.safetensors.index.json"}, r"weights\.file: .* ends in \.safetensors \(the only kind"),
        ({"shards": {}, "file": "a.safetensors.index.json"}, r"weights\.file: "),
        ({"shards": "x"}, r"weights\.shards: must be a list of at most 1000 files"),
        ({"shards": [SHARD] * 1001}, r"weights\.shards: must be a list of at most 1000 files"),
        ({"shards": [SHARD, SHARD]}, r"weights\.shards: names a file twice"),
        ({"shards": [{**SHARD, "file": "../x.safetensors"}]}, r"weights\.shards\[0\]\.file: .* without folders"),
        ({"shards": [{**SHARD, "sha256": "x"}]}, r"weights\.shards\[0\]\.sha256: 'x' must be 64"),
        ({"shards": [{"file": "a.safetensors"}]}, r"weights\.shards\[0\]: lacks 'bytes', 'sha256'"),
        ({"hub": {**HUB, "revision": "main"}}, r"weights\.hub\.revision: 'main' must be a whole commit, 40 lower-case hex digits"),
        ({"hub": {**HUB, "repo_id": "crvos"}}, r"weights\.hub\.repo_id: 'crvos' must be owner/name"),
        ({"hub": {**HUB, "token": "x"}}, r"weights\.hub: has unknown keys 'token'"),
        ({"url": "x"}, r"weights: has unknown keys 'url'"),
    ],
)
def test_a_wrong_entry_of_weights_is_named(changes, message):
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.from_dict(entry(weights={**entry()["weights"], **changes}))


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
        "import sys, vos_zoo.checkpoints.config, vos_zoo.checkpoints.catalogue, vos_zoo.zoo; from vos_zoo.models import discovery; "
        "discovery.architectures(); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'timm', 'huggingface_hub')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
