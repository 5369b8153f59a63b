"""Weights in several files: written and read back the same, replaced whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from publishing import tiny_checkpoint, tiny_config

from vos_zoo import zoo
from vos_zoo.checkpoints import shards
from vos_zoo.checkpoints.weights import read_header
from vos_zoo.errors import SaveError


def test_tensors_are_kept_in_order_and_within_the_limit():
    assert shards.split({"a": 4, "b": 4, "c": 4, "d": 20, "e": 1}, 8) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert shards.split({"a": 4, "b": 4}, 100) == [["a", "b"]]
    assert shards.shard_names(2) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_shards_are_written_and_read_back_the_same(tmp_path):
    whole, several = tiny_checkpoint(tmp_path / "whole"), tiny_checkpoint(tmp_path / "several", max_shard_bytes=1_000_000)
    index = json.loads((several / "model.safetensors.index.json").read_text())
    config = json.loads((several / "config.json").read_text())
    files = [shard["file"] for shard in config["weights"]["shards"]]
    assert len(files) > 1 and set(index["weight_map"].values()) == set(files)
    header = read_header(whole / "model.safetensors")
    assert index["metadata"]["total_size"] == sum({"F16": 2, "I64": 8}[each.dtype] * math.prod(each.shape) for each in header.values())
    first, second = (zoo.load(each, device="cpu", dtype="float32").model.state_dict() for each in (whole, several))
    assert all(torch.equal(first[name], second[name]) for name in first) and first.keys() == second.keys()
    assert zoo.download(several) == [several / file for file in files]


def test_saving_again_leaves_no_old_files(tmp_path):
    folder = tiny_checkpoint(tmp_path / "tiny", max_shard_bytes=1_000_000)
    segmenter = zoo.create(tiny_config(), device="cpu", dtype="float32")
    with pytest.raises(SaveError, match=r"holds model\.safetensors\.index\.json and config\.json already"):
        segmenter.save_pretrained(folder)
    segmenter.save_pretrained(folder, overwrite=True)
    assert sorted(path.name for path in Path(folder).iterdir()) == ["config.json", "model.safetensors"]
    assert zoo.load(folder, device="cpu").config.weights.shards == ()
