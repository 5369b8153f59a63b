"""Checkpoints: configs, safetensors and the indices of shards, with anything in any place, and with damaged bytes."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import struct
import tempfile
from pathlib import Path
from typing import Any

from publishing import tiny_checkpoint

import vos_zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.card import model_card
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.errors import VosZooError

from ..mutation import ODD_NUMBERS, as_json, mutated_bytes, mutated_value
from ..target import Target

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
GOOD = 0.1  # share of the cases that nothing is wrong with


@functools.cache
def seeds() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The corpus: a checkpoint in one file of weights, and one in shards, as file name -> content."""
    with tempfile.TemporaryDirectory() as folder:
        one = tiny_checkpoint(Path(folder) / "one")
        several = tiny_checkpoint(Path(folder) / "several", max_shard_bytes=2_000_000)
        return tuple({path.name: path.read_bytes() for path in each.iterdir()} for each in (one, several))  # type: ignore[return-value]


@functools.cache
def configs() -> list[dict[str, Any]]:
    """Every config that the library ships, and that of the corpus."""
    shipped = [json.loads((catalogue.folder_of(name) / CONFIG).read_text(encoding="utf-8")) for name in catalogue.names()]
    return [json.loads(seeds()[0][CONFIG]), *shipped]


def _written(files: dict[str, bytes], folder: Path, name: str, content: bytes) -> Path:
    """A checkpoint in which one file has other content, and the config its size and digest."""
    for each, data in files.items():
        (folder / each).write_bytes(data)
    (folder / name).write_bytes(content)
    if name != CONFIG:
        config = json.loads(files[CONFIG])
        for entry in (config["weights"], *config["weights"].get("shards", ())):
            if entry["file"] == name:
                entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": max(len(content), 1)}
        (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return folder


def make_config(rng: random.Random, folder: Path) -> Path:
    """A config with odd values, keys too many or too few, or damaged bytes; beside it the corpus' weights."""
    config = configs()[0] if rng.random() < 0.6 else rng.choice(configs())
    if rng.random() < GOOD:
        return _written(seeds()[0], folder, CONFIG, seeds()[0][CONFIG])
    text = as_json(mutated_value(rng, config)).encode("utf-8", "surrogatepass")
    if rng.random() < 0.25:
        text = mutated_bytes(rng, [json.dumps(config).encode()])
    return _written(seeds()[0], folder, CONFIG, text)


def make_arguments(rng: random.Random, folder: Path) -> Path:
    """A config whose arguments of the model are of their kind, but not as anybody means them."""
    config = json.loads(json.dumps(configs()[0]))
    arguments = config["model_args"]
    for name in rng.sample(sorted(arguments), rng.choice((0, 1, 1, 2))):
        value = arguments[name]
        if isinstance(value, bool):
            arguments[name] = not value
        elif isinstance(value, list):
            arguments[name] = [rng.choice((0, 1, 3, 8, 10**6, -1)) for _ in range(rng.choice((0, 1, 3, 200)))]
        elif isinstance(value, str):
            arguments[name] = rng.choice(("resnet10t", "resnet101", "vit_tiny_patch16_224", "os.system", "hf-hub:a/b", "min", ""))
        else:
            arguments[name] = rng.choice([number for number in ODD_NUMBERS if isinstance(number, int) and abs(number) < 2**63])
    config["preprocess"] = {"short_side": rng.choice((16, 48, 48, 48, 16_384, 0, 17))}
    return _written(seeds()[0], folder, CONFIG, json.dumps(config).encode())


def make_weights(rng: random.Random, folder: Path) -> Path:
    """Weights, or one of their shards, with an odd header or damaged bytes."""
    files = rng.choice(seeds())
    name = rng.choice(sorted(each for each in files if each.endswith(".safetensors")))
    content = files[name]
    if rng.random() < GOOD:
        return _written(files, folder, name, content)
    end = 8 + int.from_bytes(content[:8], "little")
    kind = rng.randrange(4)
    if kind == 0:
        begin, middle = content[: end + 200], content[end + 200 :]
        return _written(files, folder, name, mutated_bytes(rng, [begin]) + middle)
    if kind == 1:
        length = rng.choice([number for number in ODD_NUMBERS if isinstance(number, int) and 0 <= number < 2**64])
        return _written(files, folder, name, struct.pack("<Q", length) + content[8 : rng.choice((8, 100, len(content)))])
    header = mutated_value(rng, json.loads(content[8:end]))
    if kind == 2 and isinstance(header, dict) and header:
        odd = [10**14] * rng.choice((3, 17, 80_000))
        header[rng.choice(sorted(header))] = {
            "dtype": rng.choice(("F32", "F16", "F8_E4M3", "", "U64")),
            "shape": odd,
            "data_offsets": [0, 8],
        }
    text = as_json(header).encode("utf-8", "surrogatepass")
    return _written(files, folder, name, struct.pack("<Q", len(text)) + text + content[end:])


def make_index(rng: random.Random, folder: Path) -> Path:
    """A checkpoint in shards whose index is odd."""
    files = seeds()[1]
    index = json.loads(files[INDEX])
    text = as_json(mutated_value(rng, index)).encode("utf-8", "surrogatepass")
    return _written(files, folder, INDEX, mutated_bytes(rng, [text]) if rng.random() < 0.3 else text)


def feed(folder: Path) -> object:
    """Loaded, created, looked at and put on a card; what one door refuses, the others may take."""
    done, refused = [], None
    for door in (
        lambda: vos_zoo.load(folder, device="cpu", redetection=False),
        lambda: vos_zoo.create(ModelConfig.read(folder / CONFIG), device="cpu"),
        lambda: model_card(ModelConfig.read(folder / CONFIG)),
    ):
        try:
            done.append(type(door()).__name__)
        except VosZooError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return done


TARGETS = [
    Target("checkpoints-configs", make_config, feed),
    Target("checkpoints-arguments", make_arguments, feed),
    Target("checkpoints-weights", make_weights, lambda folder: vos_zoo.load(folder, device="cpu", redetection=False)),
    Target("checkpoints-indices", make_index, lambda folder: vos_zoo.load(folder, device="cpu", redetection=False)),
]
