"""A trunk that several checkpoints share is stored once; what is loaded and published is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from publishing import tiny_checkpoint
from safetensors.torch import load_file

import vos_zoo
from vos_zoo import zoo
from vos_zoo.checkpoints import catalogue, sources
from vos_zoo.checkpoints.shared import OWN_FILE, share, write_whole
from vos_zoo.checkpoints.weights import sha256_of
from vos_zoo.errors import CheckpointError
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.segmenter import Segmenter


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """hub_configs/ of two checkpoints with one trunk and different heads, and beside them a third, of another trunk."""
    home = tmp_path / "hub_configs"
    monkeypatch.setattr(catalogue, "folder", lambda: home)
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        tiny_checkpoint(home / name, seed=seed, name=name)
    segmenter = vos_zoo.load(home / "two", device="cpu", dtype="float32", redetection=False)
    with torch.no_grad():
        segmenter.model.predictor.bias.add_(1)
    segmenter.save_pretrained(home / "two", overwrite=True)
    return home


def of(folder: Path) -> dict[str, torch.Tensor]:
    return vos_zoo.load(folder, device="cpu", dtype="float32", redetection=False).model.state_dict()


def entry(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())["weights"]


def test_the_trunk_is_there_once_and_loads_as_before(library):
    before = {name: of(library / name) for name in ("one", "two")}
    said = {name: entry(library / name) for name in ("one", "two")}
    sizes = sum(each["bytes"] for each in said.values())
    for name in ("one", "two"):
        share(library / name, "tiny", "trunk.net.")
        assert not (library / name / "model.safetensors").exists()
        after = of(library / name)
        assert after.keys() == before[name].keys() and all(torch.equal(after[key], value) for key, value in before[name].items())
        kept = entry(library / name)
        assert {key: kept[key] for key in said[name]} == said[name], "the whole file is described as before"
    stored = [path for path in library.rglob("*.safetensors") if "other" not in path.parts]
    assert len(stored) == 3 and sum(path.stat().st_size for path in stored) < 0.7 * sizes
    assert not any(key.startswith("trunk.") for key in load_file(library / "one" / OWN_FILE))
    (row,) = vos_zoo.list_models("one")
    assert row.ships and row.has_weights and row.bytes == said["one"]["bytes"]
    assert zoo.download("one") == [library / "one" / OWN_FILE, library / "trunks" / "tiny.safetensors"]


def test_what_is_published_is_whole(library, tmp_path):
    content = (library / "one" / "model.safetensors").read_bytes()
    share(library / "one", "tiny", "trunk.net.")
    parcel = checkpoint_parcel(library / "one", "me/one", load=Segmenter.from_source)
    assert [item.path for item in parcel.items] == ["README.md", "config.json", "model.safetensors"]
    assert next(item.content for item in parcel.items if item.path == "model.safetensors") == content
    assert "shared" not in json.loads(parcel.text("config.json"))["weights"]
    whole = write_whole(library / "one", tmp_path / "whole")
    assert sorted(path.name for path in whole.iterdir()) == ["config.json", "model.safetensors"]
    assert (whole / "model.safetensors").read_bytes() == content and of(whole).keys() == of(library / "one").keys()
    saved = vos_zoo.load(library / "one", device="cpu", dtype="float32", redetection=False).save_pretrained(
        tmp_path / "saved", dtype="float16"
    )
    assert sha256_of(Path(saved) / "model.safetensors") == entry(whole)["sha256"] and "shared" not in entry(Path(saved))


def test_a_trunk_of_that_name_with_other_weights_is_refused_and_nothing_changes(library):
    share(library / "one", "tiny", "trunk.net.")
    before = {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match="is another trunk than that of .*other: give this one another name"):
        share(library / "other", "tiny", "trunk.net.")
    with pytest.raises(CheckpointError, match="no tensor's name begins with 'stem.'"):
        share(library / "other", "stem", "stem.")
    with pytest.raises(CheckpointError, match="has no weights in one file"):
        share(library / "one", "tiny", "trunk.net.")
    assert before == {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda home: (home / "trunks" / "tiny.safetensors").unlink(), "names tiny.safetensors, which is not in .*trunks"),
        (lambda home: (home / "one" / OWN_FILE).unlink(), f"names {OWN_FILE}, which is not beside it"),
        (lambda home: shutil.copy(home / "one" / OWN_FILE, home / "trunks" / "tiny.safetensors"), "cut short|not the file"),
    ],
)
def test_a_piece_that_is_missing_or_another_is_told(library, spoil, said):
    share(library / "one", "tiny", "trunk.net.")
    spoil(library)
    with pytest.raises(CheckpointError, match=said):
        vos_zoo.load(library / "one", device="cpu", redetection=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../other/model"}, "weights.shared.name"),
        ({"name": "other/model"}, "weights.shared.name"),
        ({"sha256": "0"}, "weights.shared.sha256"),
        ({"own": {"file": "../x.safetensors", "sha256": "0" * 64, "bytes": 1}}, "weights.shared.own.file"),
        ({"own": None}, "weights.shared.own"),
        ({"prefix": 3}, "weights.shared.prefix"),
        ({"more": 3}, "weights.shared: has unknown keys"),
    ],
)
def test_a_config_can_name_no_other_file(library, change, said):
    share(library / "one", "tiny", "trunk.net.")
    path = library / "one" / "config.json"
    data = json.loads(path.read_text())
    data["weights"]["shared"].update(change)
    path.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=said):
        sources.find(library / "one")


def test_a_link_out_of_the_folder_is_not_read(library, tmp_path):
    share(library / "one", "tiny", "trunk.net.")
    moved = shutil.move(library / "one" / OWN_FILE, tmp_path / OWN_FILE)
    (library / "one" / OWN_FILE).symlink_to(moved)
    with pytest.raises(CheckpointError, match="a link that leaves its folder"):
        vos_zoo.load(library / "one", device="cpu", redetection=False)
