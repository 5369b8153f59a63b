"""From a name or a folder to a Segmenter and back, proved with a toy architecture; and every way it fails."""

from __future__ import annotations

import errno
import json
import shutil
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vos_zoo import zoo
from vos_zoo.checkpoints import build, catalogue, hub, sources, weights
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.errors import CheckpointError, ModelNotFoundError, SaveError
from vos_zoo.models import discovery
from vos_zoo.segmenter import Segmenter

REAL_ARCHITECTURES = discovery.architectures


class Toy(nn.Module):
    @dataclass(frozen=True)
    class Config:
        width: int = 4
        widths: tuple[int, ...] = (1, 2)
        depth: int = 1

        def __post_init__(self) -> None:
            if not 1 <= self.depth <= 8:
                raise ValueError(f"depth must be 1 to 8, not {self.depth}")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.5, 0.5]), persistent=False)
        self.layers = nn.ModuleList(nn.Conv2d(3, config.width, 1) for _ in range(config.depth))
        self.norm = nn.BatchNorm2d(config.width)


class StubSegmenter:
    def __init__(
        self,
        model: nn.Module,
        config: ModelConfig,
        *,
        device: Any = "auto",
        dtype: Any = "auto",
        redetection: Any = False,
        adapts: Any = False,
    ) -> None:
        self.model, self.config, self.device, self.dtype, self.redetection = model, config, device, dtype, redetection
        self._members = (self,)

    from_source = Segmenter.__dict__["from_source"]

    def save_pretrained(self, folder: str | Path, **options: Any) -> Path:
        return save(self.model, self.config, folder, **options)


def toy_config(name: str = "toy", **changes: Any) -> dict[str, Any]:
    return {
        "library": "vos_zoo",
        "format_version": 1,
        "name": name,
        "architecture": "Toy",
        "model_args": {"width": 6},
        "weights": None,
        "licence": "MIT",
        "description": "A toy.",
        **changes,
    }


def write_entry(folder: Path, data: dict[str, Any]) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(data))
    return folder


def toy_architectures() -> dict[str, Any]:
    return {"Toy": lambda: Toy}


def stub_module() -> types.ModuleType:
    module = types.ModuleType("vos_zoo.segmenter")
    module.__dict__["Segmenter"] = StubSegmenter
    return module


def install_toy() -> None:
    """For other processes: the same seams, without monkeypatch."""
    setattr(discovery, "architectures", toy_architectures)  # noqa: B010
    sys.modules["vos_zoo.segmenter"] = stub_module()


@pytest.fixture(autouse=True)
def toys(monkeypatch, tmp_path):
    """A catalogue of a toy with weights and one without, a toy architecture, a Hub that must not be asked."""
    monkeypatch.setattr(discovery, "architectures", toy_architectures)
    monkeypatch.setitem(sys.modules, "vos_zoo.segmenter", stub_module())
    monkeypatch.setattr(catalogue, "PACKAGE", tmp_path / "site" / "vos_zoo")
    monkeypatch.setattr(hub, "fetch", lambda *args, **kwargs: pytest.fail(f"the Hub was asked for {args}"))
    write_entry(tmp_path / "site" / "vos_zoo" / "hub_configs" / "toy-bare", toy_config("toy-bare"))
    shipped = tmp_path / "site" / "vos_zoo" / "hub_configs" / "toy"
    zoo.create(ModelConfig.from_dict(toy_config())).save_pretrained(shipped)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return shipped


def edit(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, **changes}))


def test_a_shipped_name_is_loaded(toys):
    segmenter = zoo.load("toy", device="cpu", dtype="float32")
    assert (segmenter.device, segmenter.dtype) == ("cpu", "float32")
    assert not segmenter.model.training
    assert segmenter.model.layers[0].weight.shape == (6, 3, 1, 1)
    assert segmenter.model.mean.tolist() == [0.5, 0.5, 0.5]
    assert segmenter.config.model_args == {"width": 6, "widths": (1, 2), "depth": 1}
    assert segmenter.config.weights.dtype == "float16"


def test_saving_and_loading_keeps_the_weights(tmp_path):
    first = zoo.create("toy-bare")
    assert first.save_pretrained(tmp_path / "mine", dtype=None) == tmp_path / "mine"
    second = zoo.load(tmp_path / "mine")
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert second.config.parameters == sum(each.numel() for each in first.model.parameters())
    assert second.config.licence == "MIT"
    assert sorted(each.name for each in (tmp_path / "mine").iterdir()) == ["config.json", "model.safetensors"]
    assert zoo.load(str(tmp_path / "mine")).config == second.config


def test_loading_leaves_the_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    zoo.load("toy")
    assert torch.equal(torch.rand(3), expected)


def test_create_takes_a_name_a_folder_or_a_config_and_forgets_the_scores(toys):
    edit(toys, metrics=[{"dataset": "d", "split": "v", "command": "c", "J": 70}])
    for given in ("toy", toys, ModelConfig.read(toys / "config.json")):
        made = zoo.create(given, width=3)
        assert made.model.layers[0].weight.shape[0] == 3
        assert made.config.weights is None and made.config.metrics == []


def test_a_folder_in_the_way_of_a_name_counts_only_if_it_is_a_checkpoint(tmp_path, toys):
    Path("toy").mkdir()
    assert zoo.load("toy").config.model_args["width"] == 6
    Path("toy").rmdir()
    zoo.create("toy-bare", width=2).save_pretrained("toy")
    assert zoo.load("toy").config.model_args["width"] == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("toi", r"no model is called 'toi'\. Did you mean 'toy'\? Shipped: toy, toy-bare\."),
        ("TOY", r"Did you mean 'toy'"),
        ("zzzzz", r"no model is called 'zzzzz'\. Shipped: toy, toy-bare\. Others .* a folder, or as owner/repo"),
        ("", r"no model is called ''"),
        ("./nothing", r"no folder 'nothing' \(looked from .*here\)\. Give a folder that holds config\.json"),
        ("~/no/such", r"no folder '.*/no/such'"),
        ("/no/such/folder", r"no folder '/no/such/folder'"),
        ("a/b/c", r"no folder 'a/b/c'"),
        ("best.pth", r"no folder 'best\.pth'"),
        ("runs/best.safetensors", r"no folder 'runs/best\.safetensors'"),
        ("toy\0", r"no model is called"),
        ("x" * 5000, r"no model is called 'x+"),
        (Path("owner/repo"), r"no folder 'owner/repo'"),
        (7, r"named by a string or a path, not by 7"),
    ],
)
def test_a_name_that_is_nowhere_asks_no_network(name, message):
    with pytest.raises(ModelNotFoundError, match=message):
        zoo.load(name)


def test_create_does_not_ask_the_hub():
    with pytest.raises(ModelNotFoundError, match=r"the Hub is asked by `load` only\. Shipped: toy, toy-bare"):
        zoo.create("owner/repo")


def test_a_config_without_weights_names_the_ways_out(tmp_path, toys):
    with pytest.raises(ModelNotFoundError, match="'toy-bare' has a config but no weights yet") as caught:
        zoo.load("toy-bare")
    for part in ("train it by its recipe", "vos_zoo.create('toy-bare')", "convert the authors'", "use: toy."):
        assert part in str(caught.value)
    folder = write_entry(tmp_path / "mine", toy_config("mine"))
    with pytest.raises(ModelNotFoundError, match=r"describes 'mine' without weights .*save_pretrained"):
        zoo.load(folder)


def test_a_file_instead_of_a_folder(tmp_path, toys):
    with pytest.raises(CheckpointError, match=r"one file of a checkpoint\. Give the folder .*load\('"):
        zoo.load(toys / "model.safetensors")
    for name in ("x.pth", "x.pt", "x.bin", "x.ckpt"):
        (tmp_path / name).write_bytes(b"\x80\x04")
        with pytest.raises(CheckpointError, match=r"is not loaded\. Only safetensors is read, because"):
            zoo.load(tmp_path / name)
    (tmp_path / "bear.mp4").touch()
    with pytest.raises(CheckpointError, match="is a file, not a checkpoint"):
        zoo.load(tmp_path / "bear.mp4")


def test_a_folder_without_config_or_weights(tmp_path, toys):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError, match=r"holds no config\.json, so it is no checkpoint of"):
        zoo.load(empty)
    (empty / "pytorch_model.bin").touch()
    with pytest.raises(CheckpointError, match=r"It holds pytorch_model\.bin\. Only safetensors"):
        zoo.load(empty)
    (toys / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"names model\.safetensors, which is not beside it"):
        zoo.load("toy")


def test_revision_is_for_the_hub(toys):
    with pytest.raises(ModelNotFoundError, match=r"revision='v1' .* but 'toy' comes with the library"):
        zoo.load("toy", revision="v1")
    with pytest.raises(ModelNotFoundError, match=r"is a folder here"):
        zoo.load(str(toys), revision="v1")


def test_an_unknown_architecture_lists_those_known(toys):
    edit(toys, architecture="os.system")
    with pytest.raises(CheckpointError, match=r"config\.json: unknown architecture 'os\.system'\. Known: T"):
        zoo.load("toy")
    edit(toys, architecture="toy")
    with pytest.raises(CheckpointError, match=r"Did you mean 'Toy'\?"):
        zoo.load("toy")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"widht": 4}, r"config\.json: unknown model_args 'widht'\. Known: depth, width, widths"),
        ({"width": "6"}, r"model_args\.width must be a whole number, not '6'"),
        ({"depth": 9}, r"model_args of Toy: depth must be 1 to 8, not 9"),
        ({"width": -1}, r"Toy can't be built with these model_args"),
        ({"width": 10**12}, r"make a Toy of [\d,]+ values; at most 1,000,000,000 are allowed"),
    ],
)
def test_wrong_arguments_in_a_config(toys, args, message):
    edit(toys, model_args=args)
    with pytest.raises(CheckpointError, match=message):
        zoo.load("toy")
    with pytest.raises(CheckpointError, match=message):
        zoo.create("toy")


def test_arguments_of_load_are_checked_against_the_model(toys):
    with pytest.raises(CheckpointError, match=r"'devise' .* neither of load\(\) nor of Toy\. Did .* 'dev"):
        zoo.load("toy", devise="cpu")
    with pytest.raises(CheckpointError, match=r"model_args\.width must be a whole number, not '3'"):
        zoo.load("toy", width="3")
    with pytest.raises(CheckpointError, match=r"layers\.0\.weight: \[6, 3, 1, 1\] in the file, \[3, 3"):
        zoo.load("toy", width=3)
    assert zoo.load("toy", widths=[5]).config.model_args["widths"] == (5,)


def test_weights_of_another_config_are_refused(toys):
    edit(toys, model_args={"width": 6, "depth": 2})
    with pytest.raises(CheckpointError, match=r"missing from the file \(2\):\n +layers\.1\.bias \[6\]"):
        zoo.load("toy")


def test_downloading_what_is_here_costs_nothing(toys, tmp_path):
    assert zoo.download("toy") == [toys / "model.safetensors"]
    with pytest.raises(ModelNotFoundError, match="'toy-bare' has a config but no weights yet"):
        zoo.download("toy-bare")
    edit(toys, architecture="Tyo")
    with pytest.raises(CheckpointError, match=r"unknown architecture 'Tyo'.*Did you mean 'Toy'"):
        zoo.download("toy")


def test_downloading_fetches_what_finds_lost_objects_too(toys, tmp_path):
    shutil.copytree(toys, tmp_path / "mine")
    edit(tmp_path / "mine", name="mine", redetection="toy")
    assert zoo.download(tmp_path / "mine") == [tmp_path / "mine" / "model.safetensors", toys / "model.safetensors"]
    edit(tmp_path / "mine", name="toy")
    assert zoo.download(tmp_path / "mine") == [tmp_path / "mine" / "model.safetensors"]


def test_whose_features_find_lost_objects(toys, tmp_path):
    assert zoo.load("toy").redetection is False
    edit(toys, redetection="toy")
    assert zoo.load("toy").redetection is True and zoo.load("toy", redetection=False).redetection is False
    shutil.copytree(toys, tmp_path / "mine")
    edit(tmp_path / "mine", name="mine")
    other = zoo.load(tmp_path / "mine", device="cpu").redetection
    assert other.config.name == "toy" and other.device == "cpu" and other.redetection is False
    edit(tmp_path / "mine", redetection="tou")
    with pytest.raises(CheckpointError, match=r"redetection names 'tou'.*Did you mean 'toy'.*redetection=False"):
        zoo.load(tmp_path / "mine")
    assert zoo.load(tmp_path / "mine", redetection=False).config.redetection == "tou"


def test_weights_that_are_pinned_on_the_hub_are_fetched_from_there(toys, tmp_path, monkeypatch):
    moved, asked = tmp_path / "moved.safetensors", []
    shutil.move(toys / "model.safetensors", moved)
    entry = json.loads((toys / "config.json").read_text())["weights"]
    edit(toys, weights={**entry, "hub": {"repo_id": "owner/toy", "revision": "a" * 40}})
    monkeypatch.setattr(hub, "fetch", lambda *args, **options: asked.append((args, options)) or moved)
    assert zoo.load("toy", local_files_only=True, cache_dir=tmp_path).config.name == "toy"
    ((args, options),) = asked
    assert args == ("owner/toy", "model.safetensors") and options["revision"] == "a" * 40
    assert options["local_files_only"] and options["expected_bytes"] == entry["bytes"] and options["cache_dir"] == tmp_path
    assert zoo.list_models("toy")[0].has_weights


def test_swapped_weights_are_refused(toys, tmp_path):
    zoo.create("toy").save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", toys / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"config: [0-9a-f]{64}\n +sha256 of the file: +[0-9a-f]{64}"):
        zoo.load("toy")


def test_saving_does_not_overwrite_unasked(tmp_path):
    segmenter = zoo.create("toy")
    segmenter.save_pretrained(tmp_path / "mine")
    before = (tmp_path / "mine" / "config.json").read_bytes()
    with pytest.raises(SaveError, match=r"model\.safetensors and config\.json already\. .*overwrite=True"):
        zoo.create("toy").save_pretrained(tmp_path / "mine")
    assert (tmp_path / "mine" / "config.json").read_bytes() == before
    zoo.create("toy").save_pretrained(tmp_path / "mine", overwrite=True)
    assert zoo.load(tmp_path / "mine").config.weights.sha256.encode() not in before


def test_a_failed_save_leaves_the_old_checkpoint_whole(tmp_path):
    zoo.create("toy").save_pretrained(tmp_path / "mine")
    broken = zoo.create("toy")
    broken.model.layers[0].bias.data[0] = float("nan")
    with pytest.raises(CheckpointError, match="NaN"):
        broken.save_pretrained(tmp_path / "mine", overwrite=True)
    assert sorted(each.name for each in (tmp_path / "mine").iterdir()) == ["config.json", "model.safetensors"]
    zoo.load(tmp_path / "mine")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "write_state", full)
    with pytest.raises(SaveError, match="the disk is full"):
        zoo.create("toy").save_pretrained(tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


def test_saving_into_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="is a file; give the folder to save in"):
        zoo.create("toy").save_pretrained(tmp_path / "file")


def test_rows_of_the_catalogue(toys):
    toy, bare = zoo.list_models()
    assert (toy.name, toy.has_weights, toy.parameters, toy.licence) == ("toy", True, 6 * 3 + 6 + 12, "MIT")
    assert toy.bytes == (toys / "model.safetensors").stat().st_size and len(toy.sha256) == 64
    assert (bare.has_weights, bare.parameters, bare.bytes) == (False, None, None)
    assert [row.name for row in zoo.list_models("*-bare")] == ["toy-bare"]
    assert zoo.list_models("nothing*") == []
    assert "no weights" in str(bare) and str(toy).startswith("toy ") and str(toy).endswith("A toy.")


def test_parameters_are_counted_from_the_file_where_the_config_is_silent(toys):
    edit(toys, parameters=None)
    assert zoo.list_models("toy")[0].parameters == 36


def test_a_folder_of_the_catalogue_bears_its_configs_name(toys):
    edit(toys, name="other")
    with pytest.raises(CheckpointError, match="its name is 'other', its folder's 'toy'"):
        zoo.list_models()


def test_the_catalogue_is_found_beside_the_package_in_a_checkout(tmp_path, monkeypatch):
    checkout = tmp_path / "checkout"
    write_entry(checkout / "hub_configs" / "beside", toy_config("beside"))
    monkeypatch.setattr(catalogue, "PACKAGE", checkout / "vos_zoo")
    with pytest.raises(ModelNotFoundError, match="carries no hub_configs folder .*Install the library again"):
        catalogue.names()
    (checkout / "pyproject.toml").touch()
    assert catalogue.names() == ["beside"]


def test_architectures_are_found_by_file(monkeypatch):
    monkeypatch.undo()
    found = discovery.architectures()
    assert "CRVOS" in found and not {"VOSModel", "Trunk", "Config"} & set(found)
    assert found["CRVOS"]().__name__ == "CRVOS"


def test_a_real_architecture_goes_round(monkeypatch, tmp_path):
    monkeypatch.setattr(discovery, "architectures", REAL_ARCHITECTURES)
    args = {"backbone": "resnet18", "backbone_stages": 3, "reduced": [8, 8, 8], "blended": [8, 8, 8]}
    first = zoo.create(ModelConfig.from_dict(toy_config("small", architecture="CRVOS", model_args=args)))
    assert first.config.model_args["blended"] == (8, 8, 8)
    first.save_pretrained(tmp_path / "small")
    second = zoo.load(tmp_path / "small")
    assert second.config.model_args == first.config.model_args
    assert torch.equal(second.model.predictor.weight, first.model.predictor.weight.half().float())
    with pytest.raises(CheckpointError, match="model_args of CRVOS: backbone 'resnet19' is no model of timm"):
        zoo.load(tmp_path / "small", backbone="resnet19")


def test_what_ships_is_sound(monkeypatch):
    """Each real entry is readable, of a known architecture, with fitting arguments and weights."""
    monkeypatch.undo()
    if not (catalogue.PACKAGE.parent / "pyproject.toml").is_file():
        pytest.skip("not in a checkout")
    for row in zoo.list_models():
        architecture, config = build.resolved(catalogue.read(row.name), {}, row.name)
        outline = build.outlined(architecture, config, row.name)
        if row.has_weights:
            weights.check_fit(outline, *sources.find(row.name).files())
            assert row.licence, f"{row.name} ships weights without a licence"
