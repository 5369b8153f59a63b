"""Recipes, changes of them, manifests, published files for the converters, and archives and YAML that grow when they are opened."""

from __future__ import annotations

import functools
import io
import pickle
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image

from vos_zoo.checkpoints import catalogue
from vos_zoo.convert import crvos, rvos, stm
from vos_zoo.convert.published import read_published
from vos_zoo.errors import VosZooError
from vos_zoo.jobs.manifest import read_manifest
from vos_zoo.jobs.task import checked
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.models import discovery
from vos_zoo.train.recipe_file import load_recipe, with_changes

from ..mutation import as_json, mutated_bytes, mutated_value, odd_value
from ..target import Target

BEGINNINGS = ("&a ", "*a", "!!int ", "!!binary ", "!!timestamp ", "!!set ", "!!python/object/apply:os.system ", "[{", "? ", "<<: *a",
              "|\n ", "- " * 70, "'", '"', "%YAML 9.9\n", "\ufeff", "\u2028", "2001-99-99", "1e999", ".nan", "0o9", "1:99:99", "~",
              "\t")  # fmt: skip


@functools.cache
def recipes() -> list[str]:
    """Every recipe that the library ships."""
    return [path.read_text(encoding="utf-8") for path in sorted(catalogue.folder().glob("*/recipe.yaml"))]


def make_recipe(rng: random.Random, folder: Path) -> tuple[Path, list[str]]:
    """A recipe with odd values, as YAML or JSON, with damaged bytes or odd beginnings of values; and changes as --set takes them."""
    text, kind = rng.choice(recipes()), rng.randrange(3)
    if kind == 0:
        data = as_json(mutated_value(rng, yaml.safe_load(text))).encode("utf-8", "surrogatepass")
    elif kind == 1:
        data = mutated_bytes(rng, [text.encode(), *(each.encode() for each in recipes())])
    else:
        lines = text.split("\n")
        for _ in range(rng.choice((1, 2, 5))):
            at = rng.randrange(len(lines))
            key, colon, value = lines[at].partition(": ")
            lines[at] = f"{key}{colon}{rng.choice(BEGINNINGS)}{rng.choice((value, '', '9' * 5000))}"
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
    path = folder / rng.choice(("recipe.yaml", "recipe.json"))
    path.write_bytes(data)
    keys = ("seed", "stages.0.lr", "stages.*.steps", "stages.9.lr", "loss.kind", "a.b.c", "stages", "", "synthesis.x", "stages.-1.lr")
    changes = [
        f"{rng.choice(keys)}{rng.choice(('=', '=', '', '=='))}{as_json(odd_value(rng))[:9000]}" for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    return path, changes


def feed_recipe(case: tuple[Path, list[str]]) -> object:
    path, changes = case
    recipe = load_recipe(path, changes)
    for stage in recipe.stages:
        recipe.loss_of(stage), recipe.weights_of(stage), stage.rate(0), stage.own_share(0), stage.skip_limit(0), recipe.starts_of(stage)
    recipe.rate(0), recipe.rate(recipe.steps - 1)
    return with_changes(recipe, ["seed=3"])


def make_manifest(rng: random.Random, folder: Path) -> Path:
    """A manifest whose lines name clips that are there, and others; with odd values and damaged bytes."""
    (folder / "a.mp4").write_bytes(b"x")
    Image.fromarray(np.ones((4, 4), np.uint8)).save(folder / "a.png")
    (folder / "masks").mkdir()
    names = (
        "a.mp4",
        "a.png",
        "masks",
        "",
        "gone.mp4",
        "~nobody/a.mp4",
        "/dev/zero",
        "a\0b",
        "..",
        "a" * 5000,
        "http://x/y.mp4",
        "é",
        "con:1",
    )
    rows = [[rng.choice(names) for _ in range(4)] for _ in range(rng.randrange(1, 6))]
    if rng.random() < 0.5:
        text = "video,mask,masks,out\n" + "\n".join(",".join(row) for row in rows)
        path = folder / "clips.csv"
    else:
        lines = [dict(zip(("video", "mask", "masks", "out"), row, strict=True)) for row in rows]
        text = "\n".join(as_json(mutated_value(rng, line) if rng.random() < 0.5 else line) for line in lines)
        path = folder / "clips.jsonl"
    data = text.encode("utf-8", "surrogatepass")
    path.write_bytes(mutated_bytes(rng, [data]) if rng.random() < 0.5 else data)
    return path


def feed_manifest(path: Path) -> object:
    found = read_manifest(path)
    return [checked(found, finds_objects=finds, model="still") for finds in (False, found.kind == "folder")]


@functools.cache
def published() -> list[bytes]:
    """Small files as torch saves them: of tensors by names that the converters look for, old format and new."""
    for architecture in discovery.architectures():
        discovery.architecture_class(architecture)  # imported here, not within a case's time
    names = ("vos.refine.predictor.weight", "clstm_list.0.Gates.weight", "sk5.weight", "base.layer1.0.conv1.weight", "Encoder_M.mean")
    contents: list[Any] = [
        {name: torch.ones(2, 2) for name in names},
        {"net": {f"module.{name}": torch.ones(3) for name in names}},
        {"Encoder_M.mean": torch.ones(3), "Encoder_Q.std": torch.ones(3)},
        [torch.ones(2)],
        {"a": "text"},
    ]
    found = []
    for content in contents:
        for legacy in (False, True):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=not legacy)
            found.append(file.getvalue())
    return found


def make_published(rng: random.Random, folder: Path) -> Path:
    """A file of weights with damaged bytes; now and then a pickle or a zip that is something else."""
    path = folder / rng.choice(("weights.pt", "weights.pth", "args.pkl", "weights.tar"))
    kinds = [*published(), pickle.dumps({"a": 1}), b"<html></html>", b"version https://git-lfs", bytes(100) + b"PK\x05\x06" + b"\xff" * 18]
    path.write_bytes(rng.choice(kinds) if rng.random() < 0.1 else mutated_bytes(rng, [rng.choice(kinds), rng.choice(kinds)]))
    return path


def feed_published(path: Path) -> None:
    """Read, and handed to every converter, none of which takes so few tensors; nothing may be left at their target."""
    read_published(path, wrapper="net")
    out = path.parent / "out"
    for convert in (lambda: crvos.convert(path, out), lambda: stm.convert(path, out), lambda: rvos.convert(path, path, out)):
        try:
            convert()
        except VosZooError as error:
            if sorted(each.name for each in path.parent.iterdir()) != [path.name]:
                raise AssertionError("something was left behind") from error
        else:
            raise AssertionError("a model was made of nothing")


def make_bomb(rng: random.Random, folder: Path) -> Path:
    """A small file that is large once it is opened: YAML by its aliases, archives of masks and of weights, also of other methods."""
    kind = rng.randrange(4)
    if kind == 0:
        levels, width = rng.choice((3, 9, 30)), rng.choice((2, 9))
        rows = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels))]
        path = folder / "recipe.yaml"
        path.write_text("\n".join([recipes()[0], *rows]), encoding="utf-8")
        return path
    masks = MaskSequence((24, 32))
    masks.append(np.ones((24, 32), np.uint8))
    path = folder / ("saved.zip" if kind < 3 else "weights.pt")
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    large = bytes(rng.choice((10, 1000, 5_000_000)))
    if kind == 1:
        masks.save_zip(path)
        if rng.random() < 0.3:
            return path
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("00001.png" if kind == 1 else "sequence.json", large)
        archive.writestr("00000.png" if kind == 2 else "archive/data.pkl", large)
    if rng.random() < 0.5:  # the directory says that there is little
        data = bytearray(path.read_bytes())
        for mark in re.finditer(b"PK(\1\2|\3\4)", bytes(data)):
            offset = mark.start() + (24 if mark[0] == b"PK\1\2" else 22)
            data[offset : offset + 4] = rng.choice((10, 100, 2**31)).to_bytes(4, "little")
        path.write_bytes(bytes(data))
    return path


def feed_bomb(path: Path) -> object:
    if path.suffix == ".yaml":
        return load_recipe(path)
    return MaskSequence.load(path) if path.suffix == ".zip" else crvos.convert(path, path.parent / "out")


TARGETS = [
    Target("recipes", make_recipe, feed_recipe),
    Target("manifests", make_manifest, feed_manifest),
    Target("converters", make_published, feed_published),
    Target("bombs", make_bomb, feed_bomb),
]
