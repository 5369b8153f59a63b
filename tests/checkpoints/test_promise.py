"""No exception but VosZooError crosses load, create, list_models, download, save and publishing, whatever a checkpoint's files hold."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing import as_json, damaged, mutated, odd, promise, thorough
from hypothesis import given
from hypothesis import strategies as st
from publishing import tiny_checkpoint
from test_zoo import StubSegmenter, Toy, toy_architectures, toy_config

import vos_zoo
from vos_zoo import zoo
from vos_zoo.checkpoints import hub
from vos_zoo.checkpoints.card import model_card
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.checkpoints.weights import read_header
from vos_zoo.errors import CheckpointError, ModelNotFoundError
from vos_zoo.models import discovery
from vos_zoo.publish.checkpoint import checkpoint_parcel
from vos_zoo.system import strict_json

REAL = discovery.architectures
RICH: dict[str, Any] = {
    "preprocess": {"size": [240, 432]},
    "redetection": "toy",
    "licence": "MIT",
    "paper": {"title": "A Toy: for Tests", "authors": ["A. Body", "B. Else"], "venue": "Tests 2026", "url": "https://example.org"},
    "training": {
        "data": "Two drawings.",
        "recipe": {"seed": 1, "stages": [{"name": "a", "steps": 3, "batch": 1, "frames": 2, "size": [8, 8], "real": 0.5, "lr": 1e-4}]},
        "recipe_sha256": "0" * 64,
        "steps": 3,
        "files": {"stills": {"files": 2, "bytes": 3, "sha256": "0" * 64}},
        "versions": {"torch": "2.9"},
        "converted_from": [{"file": "a.pt"}],
        "parameters": 36,
    },
    "metrics": [{"dataset": "drawings", "split": "val", "command": "vos-zoo evaluate", "J&F": 50.5, "J": 50.0, "F": 51.0}],
}


@pytest.fixture(autouse=True, scope="module")
def toys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discovery, "architectures", toy_architectures)
        patch.setattr("vos_zoo.segmenter.Segmenter", StubSegmenter)

        def nothing(*given: Any, **more: Any) -> Path:
            raise ModelNotFoundError("the Hub is not asked in this test")

        patch.setattr(hub, "fetch", nothing)
        yield


@pytest.fixture(scope="module")
def good(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy checkpoint in two shards, with everything that a config may say."""
    config = ModelConfig.from_dict(toy_config(**RICH))
    return save(Toy(Toy.Config(**config.model_args)), config, tmp_path_factory.mktemp("good") / "toy", max_shard_bytes=60)


@pytest.fixture(scope="module")
def whole(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig.from_dict(toy_config(**RICH))
    return save(Toy(Toy.Config(**config.model_args)), config, tmp_path_factory.mktemp("whole") / "toy")


def written(data: bytes, like: Path, name: str) -> tempfile.TemporaryDirectory[str]:
    """A copy of a checkpoint in which a file has other content, and the config its size and digest."""
    place = tempfile.TemporaryDirectory()
    for path in like.iterdir():
        (Path(place.name) / path.name).write_bytes(data if path.name == name else path.read_bytes())
    if name != "config.json":
        config = json.loads((like / "config.json").read_text())
        for entry in (config["weights"], *config["weights"].get("shards", ())):
            if entry["file"] == name:
                entry |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": max(len(data), 1)}
        (Path(place.name) / "config.json").write_text(json.dumps(config))
    return place


def everything(folder: str) -> None:
    """Every door that a checkpoint's files come in by."""
    for call in (zoo.load, zoo.create, zoo.download):
        promise(lambda call=call: call(folder))
    config = promise(lambda: ModelConfig.read(Path(folder) / "config.json"))
    if config is not None:
        model_card(config).encode()
        assert ModelConfig.from_dict(json.loads(config.to_json())) == config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vos_zoo.publish.checkpoint._problems_of_model", lambda *given: ())
        patch.setattr("vos_zoo.publish.checkpoint.try_it", lambda *given: None)
        promise(lambda: checkpoint_parcel(folder, "me/toy", load=lambda *given, **more: None))


@thorough
@given(data=st.data())
def test_configs_with_anything_in_any_place(whole, data):
    config = data.draw(mutated(json.loads((whole / "config.json").read_text())))
    with written(as_json(config), whole, "config.json") as folder:
        everything(folder)


@thorough
@given(data=st.data())
def test_configs_of_damaged_bytes(whole, data):
    with written(data.draw(damaged((whole / "config.json").read_bytes())), whole, "config.json") as folder:
        everything(folder)


@thorough
@given(data=st.data())
def test_headers_with_anything_in_any_place(whole, data):
    content = (whole / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = as_json(data.draw(mutated(json.loads(content[8:end]))))
    with written(struct.pack("<Q", len(header)) + header + content[end:], whole, "model.safetensors") as folder:
        promise(lambda: zoo.load(folder))


@thorough
@given(data=st.data())
def test_weights_of_damaged_bytes(whole, data):
    with written(data.draw(damaged((whole / "model.safetensors").read_bytes())), whole, "model.safetensors") as folder:
        promise(lambda: zoo.load(folder))


@thorough
@given(data=st.data())
def test_indices_with_anything_in_any_place(good, data):
    name = "model.safetensors.index.json"
    with written(as_json(data.draw(mutated(json.loads((good / name).read_text())))), good, name) as folder:
        promise(lambda: zoo.load(folder))


@thorough
@given(name=odd | st.text(max_size=300), args=st.dictionaries(st.sampled_from(["width", "widths", "depth", "wdith"]), odd, max_size=2))
def test_names_and_arguments_of_any_kind(name, args):
    for call in (zoo.load, zoo.create):
        promise(lambda call=call: call(name, **args))
    promise(lambda: zoo.download(name))
    promise(lambda: zoo.list_models(name))


@thorough
@given(folder=odd | st.text(max_size=300), options=st.dictionaries(st.sampled_from(["dtype", "max_shard_bytes"]), odd, max_size=2))
def test_folders_and_options_of_any_kind(folder, options):
    config = ModelConfig.from_dict(toy_config())
    model = Toy(Toy.Config(**config.model_args))
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        if not (isinstance(folder, str) and (folder.startswith("/") or ".." in folder)):
            promise(lambda: save(model, config, folder, **options))
        promise(lambda: save(model, config, "mine", **options))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "more than 64 deep within each other"),
        (b'{"a": ' * 900 + b"1" + b"}" * 900, "more than 64 deep within each other"),
        (b"1" * 5000, r"1111111111\.\.\. is a number of 5000 digits, at most 40 are read"),
        (b"1e999", "1e999 is more than a number can hold"),
        (b"[NaN]", "NaN is not a number that JSON knows"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice in one object"),
        (b'["\\ud800"]', "half of a character"),
        (b"\xff", "byte 0 is not UTF-8"),
    ],
)
def test_what_a_parser_takes_on_good_faith(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        strict_json.parse(text)
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match="is no config" if text == b"\xff" else message):
        zoo.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [10**14] * 80_000}, r"the shape of tensor 'norm\.bias' must be a list of at most 16 whole numbers .* not \[1000"),
        ({"dtype": []}, r"tensor 'norm\.bias' has dtype \[\]"),
        ({"data_offsets": ["0", 8]}, r"the data_offsets of tensor 'norm\.bias' must be two whole numbers .* not \['0', 8\]"),
    ],
)
def test_a_header_is_refused_at_once_with_the_key_and_what_is_wanted(whole, change, message, tmp_path):
    content = (whole / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:end])
    entries["norm.bias"] |= change
    header = json.dumps(entries).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + content[end:])
    begun = time.perf_counter()
    with pytest.raises(CheckpointError, match=message):
        read_header(tmp_path / "a.safetensors")
    assert time.perf_counter() - begun < 5


def test_a_real_checkpoint_keeps_the_promise_too(tmp_path, monkeypatch):
    """The toy's model can't be built wrongly; a real one's can."""
    monkeypatch.undo()
    monkeypatch.setattr(discovery, "architectures", REAL)
    folder = tiny_checkpoint(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    for key in (*config["model_args"], "stride"):
        for value in (None, -1, 10**30, "resnet18", [], [1] * 9, {"a": 1}, 1.5):
            args = {**config["model_args"], key: value}
            promise(lambda args=args: vos_zoo.create(ModelConfig.from_dict({**config, "weights": None, "model_args": args}), device="cpu"))
