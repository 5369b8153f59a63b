"""Checkpoints of somebody who means harm: each is refused with a reason, before code runs, memory is taken or a file outside is read."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peak import memory_grown
from publishing import TINY, edit, tiny_checkpoint

from vos_zoo import zoo
from vos_zoo.checkpoints import build
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import CheckpointError
from vos_zoo.models import discovery


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("saved") / "tiny")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def weights_entry(folder: Path, **changes: Any) -> dict[str, Any]:
    return {**json.loads((folder / "config.json").read_text())["weights"], **changes}


def replace_weights(folder: Path, content: bytes) -> None:
    """As the attacker would: with the size and SHA-256 of the replacement in the config."""
    path = folder / "model.safetensors"
    path.write_bytes(content)
    edit(folder, weights=weights_entry(folder, sha256=sha256_of(path), bytes=len(content)))


class Harm:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize(
    "write", [pickle.dump, torch.save, lambda harm, file: torch.save(harm, file, _use_new_zipfile_serialization=False)]
)
def test_a_pickle_renamed_to_safetensors_is_not_opened(folder, tmp_path, write):
    mark = tmp_path / "harmed"
    with open(folder / "harm", "wb") as file:
        write(Harm(mark), file)
    replace_weights(folder, (folder / "harm").read_bytes())
    with pytest.raises(CheckpointError, match="is a pickle or an archive, whatever its name says"):
        zoo.load(folder)
    assert not mark.exists()
    with open(folder / "harm", "rb") as file:  # the mark would have been made
        pickle.load(file) if write is pickle.dump else torch.load(file, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((1 << 42).to_bytes(8, "little") + b"{}", r"its header claims 4,398,046,511,104 bytes, the file has 10"),
        (
            (62).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,8]}}'[:62],
            r"not a whole safetensors file",
        ),
    ],
)
def test_a_header_that_claims_terabytes_takes_no_memory(folder, content, message):
    replace_weights(folder, content)
    with memory_grown() as grown, pytest.raises(CheckpointError, match=message):
        zoo.load(folder)
    assert grown.bytes < 100 << 20


def test_a_config_that_claims_a_terabyte_of_weights_is_refused_before_they_are_read(folder):
    edit(folder, weights=weights_entry(folder, bytes=1 << 40))
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"weights take 1,099,511,627,776 bytes, but CRVOS .* has [\d,]+ values, at most [\d,]+ bytes"
    ):
        zoo.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder, value):
    from safetensors.torch import load_file, save

    state = load_file(folder / "model.safetensors")
    state["lift.bias"][0] = value
    replace_weights(folder, save(state))
    with pytest.raises(CheckpointError, match=r"holds NaN or infinity:\n.*\n +lift\.bias"):
        zoo.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "os.system"}, r"unknown architecture 'os\.system'\. Known: .*CRVOS"),
        ({"architecture": "vos_zoo.models.crvos.CRVOS"}, r"unknown architecture"),
        ({"architecture": "VOSModel"}, r"unknown architecture 'VOSModel'"),
        ({"architecture": {"__class__": "subprocess.Popen"}}, r"architecture: must be a string"),
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, r"unknown keys 'auto_map'"),
        ({"model_args": {**TINY, "__reduce__": "os.system"}}, r"unknown model_args '__reduce__'"),
        ({"model_args": {**TINY, "backbone": "hf-hub:evil/model"}}, r"backbone 'hf-hub:evil/model' is no model of timm"),
        ({"model_args": {**TINY, "backbone": "local-dir:/tmp"}}, r"is no model of timm"),
        ({"model_args": {**TINY, "backbone": {"py": "os.system"}}}, r"model_args\.backbone must be a string"),
        ({"model_args": {**TINY, "background": "!!python/object/apply:os.system"}}, r"background is 'min' or 'prod'"),
    ],
)
def test_a_config_that_names_code(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        zoo.load(folder)


HUGE: dict[type, list[Any]] = {
    int: [10**6, 10**12, 1 << 62, -1],
    tuple: [[10**12] * 3, [10**6] * 3, [1] * 100_000],
    float: [1e300],
    str: ["os.system", "hf-hub:a/b", "vit_giant_patch14_dinov2", "x" * 100_000],
}


@pytest.mark.parametrize("name", sorted(discovery.architectures()))
def test_arguments_that_would_take_a_terabyte(name):
    """Whatever a single argument is set to: it is refused, or the model that it makes is of bounded size. Nothing is built for it."""
    fields = dataclasses.fields(discovery.architecture_class(name).Config)
    refused = 0
    with memory_grown() as grown:
        for field in fields:
            for value in HUGE.get(type(field.default), [10**12]):
                config = ModelConfig(name="huge", architecture=name, model_args={field.name: value})
                try:
                    architecture, resolved = build.resolved(config, {}, "its config")
                    outline = build.outlined(architecture, resolved, "its config")
                except CheckpointError as error:
                    assert str(error).startswith("its config: ") and len(str(error)) < 3000
                    refused += 1
                else:
                    assert sum(each.numel() for each in outline.state_dict().values()) <= build.MAX_PARAMETERS
    assert refused > len(fields) and grown.bytes < 500 << 20


def test_many_arguments_that_are_large_together():
    args = {"backbone": "resnet101", "reduced": [4096] * 3, "blended": [4096] * 3}
    config = ModelConfig(name="huge", architecture="CRVOS", model_args=args)
    with memory_grown() as grown:
        outline = build.outlined(*build.resolved(config, {}, "c"), "c")
    assert sum(each.numel() for each in outline.state_dict().values()) <= build.MAX_PARAMETERS
    assert grown.bytes < 300 << 20


@pytest.mark.parametrize("file", ["../model.safetensors", "/etc/model.safetensors", "a/model.safetensors", "..\\model.safetensors", "."])
def test_a_path_that_leaves_the_folder(folder, file):
    edit(folder, weights=weights_entry(folder, file=file))
    with pytest.raises(CheckpointError, match=r"weights\.file: .* must be a plain file name, without folders"):
        zoo.load(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_link_that_leaves_the_folder(folder, tmp_path, file):
    shutil.move(folder / file, tmp_path / file)
    (folder / file).symlink_to(tmp_path / file)
    with pytest.raises(
        CheckpointError, match=rf"{file} is a link that leaves its folder \(to .*\), so it is not read.*Put the file itself"
    ):
        zoo.load(folder)


def test_a_link_to_the_folder_itself_and_the_hubs_cache_are_fine(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder)
    assert zoo.load(tmp_path / "linked", device="cpu").config.name == "crvos-tiny"
    snapshot = tmp_path / "hub" / "models--me--tiny" / "snapshots" / ("a" * 40)
    blobs = tmp_path / "hub" / "models--me--tiny" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copy(folder / file, blobs / file)
        (snapshot / file).symlink_to(blobs / file)
    assert zoo.load(snapshot, device="cpu").config.name == "crvos-tiny"


def test_a_swapped_file(folder, tmp_path):
    other = tiny_checkpoint(tmp_path / "other", seed=1)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"sha256 in the config: [0-9a-f]{64}\n +sha256 of the file: +[0-9a-f]{64}"):
        zoo.load(folder)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return tiny_checkpoint(tmp_path / "shards", max_shard_bytes=1_000_000)


def rewrite_index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index))
    edit(folder, weights=weights_entry(folder, sha256=sha256_of(path), bytes=path.stat().st_size))


def names(folder: Path) -> list[str]:
    return [shard["file"] for shard in weights_entry(folder)["shards"]]


def doubled(folder: Path) -> None:
    shards = weights_entry(folder)["shards"]
    shutil.copy(folder / shards[0]["file"], folder / "model-again.safetensors")
    edit(folder, weights=weights_entry(folder, shards=[*shards, {**shards[0], "file": "model-again.safetensors"}]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: rewrite_index(f, lambda i: i["weight_map"].update({"lift.bias": "../../etc/passwd"})),
            r"weight_map is not what .* 'lift\.b",
        ),
        (
            lambda f: rewrite_index(f, lambda i: i["weight_map"].pop("lift.bias")),
            r"weight_map is not what the shards hold, 'lift\.bias' for",
        ),
        (lambda f: rewrite_index(f, lambda i: i.pop("weight_map")), r'its "weight_map" must be an object of tensor: file, not None'),
        (doubled, r"tensor '.*' is in model-00001-of-0000\d\.safetensors and in model-again\.safetensors"),
        (lambda f: (f / names(f)[1]).write_bytes(b"x" * 10), r"model-00002-of-0000\d\.safetensors is cut short"),
        (lambda f: (f / names(f)[1]).unlink(), r"names model-00002-of-0000\d\.safetensors, which is not beside it"),
        (lambda f: edit(f, weights=weights_entry(f, shards=weights_entry(f)["shards"][:1])), r"its weight_map is not what the shards hold"),
        (
            lambda f: edit(f, weights=weights_entry(f, shards=[{**weights_entry(f)["shards"][0], "file": "../model.safetensors"}])),
            r"weights\.shards\[0\]\.file: '\.\./model\.safetensors' must be a plain file name",
        ),
    ],
)
def test_shards_that_do_not_belong_together(sharded, spoil, message):
    spoil(sharded)
    with pytest.raises(CheckpointError, match=message):
        zoo.load(sharded)
