"""The config of a checkpoint: what config.json holds, and every check on it that needs no torch."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vos_zoo.errors import CheckpointError
from vos_zoo.system import strict_json

LIBRARY = "vos_zoo"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
MAX_CONFIG_BYTES = 1 << 20

_PIXELS = {"least": 16, "most": 16384}  # of a side inside a model
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_WEIGHTS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_INDEX_NAME = re.compile(_WEIGHTS_NAME.pattern + r"\.index\.json")
_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_SHARDS = 1000


@dataclass(frozen=True)
class Preprocess:
    """What is done to a frame before the model sees it."""

    short_side: int | None = None  # pixels of the shorter side inside the model; None: the video's own size, unless `size` is given
    size: tuple[int, int] | None = None  # exactly this (height, width) inside the model, whatever the video's; instead of short_side
    largest: int | None = None  # pixels of the shorter side beyond which masks get no better: `quality` asks for no more; None: for any


@dataclass(frozen=True)
class Shard:
    """One of several files that hold the weights together."""

    file: str  # a plain file name that ends in .safetensors
    sha256: str  # 64 lower-case hex digits
    bytes: int


@dataclass(frozen=True)
class HubPlace:
    """Where on the Hugging Face Hub a file lies."""

    repo_id: str  # "owner/name"
    revision: str  # a whole commit, 40 lower-case hex digits: what stands behind a branch or a tag can change


@dataclass(frozen=True)
class SharedTrunk:
    """How the library stores weights whose trunk other checkpoints have, too: the trunk once, and beside the config what is left."""

    name: str  # of a file in hub_configs/trunks, without its ending
    prefix: str  # of the trunk's tensors in the weights; the file's names go on behind it
    sha256: str  # of the trunk's file, 64 lower-case hex digits
    bytes: int
    own: Shard  # the other tensors


@dataclass(frozen=True)
class WeightsFile:
    """The weights that belong to a config, beside it or on the Hub."""

    file: str  # a plain file name that ends in .safetensors; with shards, their index, which ends in .safetensors.index.json
    sha256: str  # 64 lower-case hex digits
    bytes: int
    dtype: str  # of the floating-point tensors in the file: float16, bfloat16, float32; mixed
    shards: tuple[Shard, ...] = ()  # the files that the index names, when the weights are in several
    hub: HubPlace | None = None  # where the files are fetched from when they do not lie beside the config
    shared: SharedTrunk | None = None  # what lies here in place of `file`, which is what both together make (shared.py)

    @property
    def files(self) -> tuple[WeightsFile | Shard, ...]:
        """Every file that belongs to the weights: the one, or the index and then its shards."""
        return (self, *self.shards)


@dataclass(frozen=True)
class Encoder:
    """The checkpoint that comes with the library and whose features this one reads."""

    name: str
    sha256: str  # of its weights: other features would be read wrongly


@dataclass(frozen=True)
class PublishedFigure:
    """A figure of the paper's authors, never mixed with what was measured here."""

    where: str  # the data, for instance "DAVIS-2017 val"
    what: str  # the figure, and in which table it stands


@dataclass(frozen=True)
class ModelConfig:
    """One checkpoint's config.json. `read` makes it from a file, `from_dict` from a parsed object."""

    name: str
    architecture: str  # a class in vos_zoo/models/, for instance "CRVOS"
    model_args: dict[str, Any] = field(default_factory=dict)  # fields of that class's Config
    preprocess: Preprocess = field(default_factory=Preprocess)
    redetection: str | None = None  # shipped checkpoint whose features find lost objects again, its own name: itself; None: not looked for
    encoder: Encoder | None = None  # of a head without a trunk of its own (PointingNetwork)
    weights: WeightsFile | None = None  # None: the config exists before its weights do
    licence: str | None = None  # of the weights
    description: str = ""
    parameters: int | None = None  # number of trainable values
    paper: dict[str, Any] = field(default_factory=dict)
    published: tuple[PublishedFigure, ...] = ()  # what the paper's authors report of their own weights, for the card
    limits: str = ""  # what such a model is known to fail at, for the card
    training: dict[str, Any] = field(default_factory=dict)  # provenance, free in form
    metrics: list[dict[str, Any]] = field(default_factory=list)  # each: dataset, split, command, values

    @classmethod
    def read(cls, path: str | Path) -> ModelConfig:
        """Reads a config.json. CheckpointError names the field when it is no JSON or breaks the schema."""
        path = Path(path)
        try:
            size = path.stat().st_size
            if size > MAX_CONFIG_BYTES:
                raise CheckpointError(
                    f"{path} has {size:,} bytes; a config has at most {MAX_CONFIG_BYTES:,}. This is not a {LIBRARY} config."
                )
            text = path.read_bytes()
        except OSError as error:
            raise CheckpointError(
                f"{path} can't be read ({error.strerror or error}). Check that the file exists and that you may read it."
            ) from error
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(
                f"{path} is not a text file in UTF-8, so it is no config. Fetch it again, or write it with save_pretrained."
            ) from error
        try:
            data = strict_json.parse(text)
        except ValueError as error:
            raise CheckpointError(f"{path} is not valid JSON ({error}). Correct it there, or fetch the file again.") from error
        return cls.from_dict(data, source=str(path))

    @classmethod
    def from_dict(cls, data: object, *, source: str = CONFIG_FILE) -> ModelConfig:
        """Checks a parsed config and makes a ModelConfig of it. `source` is what messages call the file."""
        check = _Checker(source)
        data = check.mapping("the whole", data)
        if data.get("library") != LIBRARY:
            raise CheckpointError(
                f'{source} is a config of another library: "library" is '
                f"{data.get('library')!r:.80}, not {LIBRARY!r}. Load it with the library that "
                "wrote it."
            )
        version = check.integer("format_version", data.get("format_version"), least=1)
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"{source} has format_version {version}; this {LIBRARY} reads up to "
                f"{FORMAT_VERSION}. Upgrade with: pip install --upgrade {LIBRARY}"
            )
        check.keys("the config", data, required={"name", "architecture"}, known=_KEYS)

        licence, parameters = data.get("licence"), data.get("parameters")
        return cls(
            name=check.name("name", data["name"]),
            architecture=check.string("architecture", data["architecture"]),
            model_args=check.mapping("model_args", data.get("model_args", {})),
            preprocess=check.preprocess(data.get("preprocess", {})),
            redetection=check.name("redetection", data["redetection"]) if data.get("redetection") is not None else None,
            encoder=check.encoder(data.get("encoder")),
            weights=check.weights(data.get("weights")),
            licence=None if licence is None else check.string("licence", licence),
            description=check.string("description", data.get("description", ""), empty=True),
            parameters=None if parameters is None else check.integer("parameters", parameters, least=0),
            paper=check.paper(data.get("paper", {})),
            published=check.published(data.get("published", [])),
            limits=check.string("limits", data.get("limits", ""), empty=True),
            training=check.mapping("training", data.get("training", {})),
            metrics=check.metrics(data.get("metrics", [])),
        )

    def to_dict(self) -> dict[str, Any]:
        """The object that config.json holds; `from_dict` reads it back."""
        fields = dataclasses.asdict(self)
        size = self.preprocess.size
        fields["preprocess"] = {"short_side": self.preprocess.short_side} if size is None else {"size": list(size)}
        if self.preprocess.largest is not None:
            fields["preprocess"]["largest"] = self.preprocess.largest
        for key in ("redetection", "encoder", "published", "limits"):
            if not fields[key]:
                del fields[key]
        if "published" in fields:
            fields["published"] = list(fields["published"])
        if self.weights is not None:
            fields["weights"] = {key: value for key, value in fields["weights"].items() if value or key not in ("shards", "hub", "shared")}
        return {"library": LIBRARY, "format_version": FORMAT_VERSION, **fields}

    def to_json(self) -> str:
        """config.json as text: two blanks an indent, a newline at the end."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def replace(self, **changes: Any) -> ModelConfig:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


_KEYS = {"library", "format_version"} | {each.name for each in dataclasses.fields(ModelConfig)}


class _Checker:
    """Checks on single fields, with messages that name the file and the field."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, where: str, why: str) -> typing.NoReturn:
        raise CheckpointError(f"{self.source}: {where}: {why}. Correct the config, or write it anew with save_pretrained.")

    def mapping(self, where: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(where, f"must be a JSON object, not {value!r:.80}")
        for key in value:
            if not isinstance(key, str):
                self.fail(where, f"its keys must be strings, not {key!r:.80}")
        return dict(value)

    def string(self, where: str, value: object, *, empty: bool = False) -> str:
        if not isinstance(value, str) or not (value or empty):
            self.fail(where, f"must be a string{'' if empty else ' that is not empty'}, not {value!r:.80}")
        return value

    def name(self, where: str, value: object) -> str:
        name = self.string(where, value)
        if not _NAME.fullmatch(name):
            self.fail(where, f"{name!r:.120} may hold at most 96 letters, digits, '.', '_' and '-' only")
        return name

    def integer(self, where: str, value: object, *, least: int, most: int = 1 << 62) -> int:
        if type(value) is not int or not least <= value <= most:
            self.fail(where, f"must be a whole number from {least} to {most}, not {value!r:.80}")
        return value

    def keys(self, where: str, value: Mapping[str, Any], *, required: set[str], known: set[str]) -> None:
        if missing := sorted(required - set(value)):
            self.fail(where, f"lacks {', '.join(map(repr, missing))}")
        if unknown := sorted(set(value) - known):
            self.fail(where, f"has unknown keys {', '.join(map(repr, unknown)):.300}; known are {', '.join(sorted(known))}")

    def preprocess(self, value: object) -> Preprocess:
        entry = self.mapping("preprocess", value)
        self.keys("preprocess", entry, required=set(), known={"short_side", "size", "largest"})
        short_side, size, largest = entry.get("short_side"), entry.get("size"), entry.get("largest")
        if short_side is not None and size is not None:
            self.fail("preprocess", "has short_side and size; give one of them, the shorter side in pixels or [height, width]")
        if largest is not None and short_side is None:
            self.fail("preprocess", "has largest without short_side: what it bounds is the shorter side")
        if short_side is not None:
            side = self.integer("preprocess.short_side", short_side, **_PIXELS)
            bounds = {**_PIXELS, "least": side}
            return Preprocess(side, largest=None if largest is None else self.integer("preprocess.largest", largest, **bounds))
        if size is None:
            return Preprocess()
        if not isinstance(size, (list, tuple)) or len(size) != 2:
            self.fail("preprocess.size", f"must be [height, width] in pixels, not {size!r:.80}")
        height, width = (self.integer(f"preprocess.size[{n}]", side, **_PIXELS) for n, side in enumerate(size))
        return Preprocess(size=(height, width))

    def encoder(self, value: object) -> Encoder | None:
        if value is None:
            return None
        entry = self.mapping("encoder", value)
        self.keys("encoder", entry, required={"name", "sha256"}, known={"name", "sha256"})
        sha256 = self.string("encoder.sha256", entry["sha256"])
        if not _SHA256.fullmatch(sha256):
            self.fail("encoder.sha256", f"{sha256!r:.80} must be 64 lower-case hex digits")
        return Encoder(self.name("encoder.name", entry["name"]), sha256)

    def weights(self, value: object) -> WeightsFile | None:
        if value is None:
            return None
        entry = self.mapping("weights", value)
        required = {"file", "sha256", "bytes", "dtype"}
        self.keys("weights", entry, required=required, known=required | {"shards", "hub", "shared"})
        shards = self.shards(entry.get("shards") or [])
        file, sha256, size = self.stored("weights", entry, _INDEX_NAME if shards else _WEIGHTS_NAME)
        if shards and entry.get("shared") is not None:
            self.fail("weights", "has shards and shared; weights in several files share no trunk")
        dtype, hub, shared = self.string("weights.dtype", entry["dtype"]), self.hub(entry.get("hub")), self.shared(entry.get("shared"))
        return WeightsFile(file, sha256, size, dtype, shards, hub, shared)

    def stored(self, where: str, entry: Mapping[str, Any], pattern: re.Pattern[str]) -> tuple[str, str, int]:
        file = self.string(f"{where}.file", entry["file"])
        if not pattern.fullmatch(file):
            ending = ".safetensors" if pattern is _WEIGHTS_NAME else ".safetensors.index.json, since there are shards"
            self.fail(
                f"{where}.file",
                f"{file!r:.200} must be a plain file name, without folders, that ends in "
                f"{ending} (the only kind that is read: a pickle can run code)",
            )
        sha256 = self.string(f"{where}.sha256", entry["sha256"])
        if not _SHA256.fullmatch(sha256):
            self.fail(f"{where}.sha256", f"{sha256!r:.80} must be 64 lower-case hex digits")
        return file, sha256, self.integer(f"{where}.bytes", entry["bytes"], least=1)

    def shards(self, value: object) -> tuple[Shard, ...]:
        if not isinstance(value, (list, tuple)) or len(value) > _MAX_SHARDS:
            self.fail("weights.shards", f"must be a list of at most {_MAX_SHARDS} files, not {value!r:.80}")
        keys = {"file", "sha256", "bytes"}
        shards = []
        for index, each in enumerate(value):
            where = f"weights.shards[{index}]"
            entry = self.mapping(where, each)
            self.keys(where, entry, required=keys, known=keys)
            shards.append(Shard(*self.stored(where, entry, _WEIGHTS_NAME)))
        if len({shard.file for shard in shards}) != len(shards):
            self.fail("weights.shards", "names a file twice")
        return tuple(shards)

    def shared(self, value: object) -> SharedTrunk | None:
        if value is None:
            return None
        where, keys = "weights.shared", {"name", "prefix", "sha256", "bytes", "own"}
        entry = self.mapping(where, value)
        self.keys(where, entry, required=keys, known=keys)
        name = self.name(f"{where}.name", entry["name"])
        _, sha256, size = self.stored(where, {**entry, "file": f"{name}.safetensors"}, _WEIGHTS_NAME)
        prefix, rest = self.string(f"{where}.prefix", entry["prefix"]), self.mapping(f"{where}.own", entry["own"])
        self.keys(f"{where}.own", rest, required={"file", "sha256", "bytes"}, known={"file", "sha256", "bytes"})
        return SharedTrunk(name, prefix, sha256, size, Shard(*self.stored(f"{where}.own", rest, _WEIGHTS_NAME)))

    def hub(self, value: object) -> HubPlace | None:
        if value is None:
            return None
        entry = self.mapping("weights.hub", value)
        self.keys("weights.hub", entry, required={"repo_id", "revision"}, known={"repo_id", "revision"})
        repo_id, revision = (self.string(f"weights.hub.{key}", entry[key]) for key in ("repo_id", "revision"))
        if not _REPO_ID.fullmatch(repo_id):
            self.fail("weights.hub.repo_id", f"{repo_id!r:.80} must be owner/name, as the Hub spells it")
        if not _COMMIT.fullmatch(revision):
            self.fail("weights.hub.revision", f"{revision!r:.80} must be a whole commit, 40 lower-case hex digits; branches and tags move")
        return HubPlace(repo_id, revision)

    def published(self, value: object) -> tuple[PublishedFigure, ...]:
        if not isinstance(value, (list, tuple)):
            self.fail("published", f"must be a list, not {value!r:.80}")
        figures = []
        for index, each in enumerate(value):
            where = f"published[{index}]"
            entry = self.mapping(where, each)
            self.keys(where, entry, required={"where", "what"}, known={"where", "what"})
            figures.append(PublishedFigure(*(self.string(f"{where}.{key}", entry[key]) for key in ("where", "what"))))
        return tuple(figures)

    def metrics(self, value: object) -> list[dict[str, Any]]:
        if not isinstance(value, list):
            self.fail("metrics", f"must be a list, not {value!r:.80}")
        rows = [self.mapping(f"metrics[{index}]", row) for index, row in enumerate(value)]
        for index, row in enumerate(rows):
            for key in ("dataset", "split", "command"):
                self.string(f"metrics[{index}].{key}", row.get(key))
            for key, value in row.items():
                if not (isinstance(value, (str, int, type(None))) or (isinstance(value, float) and math.isfinite(value))):
                    self.fail(f"metrics[{index}].{key}", f"must be a number or a string, not {value!r:.80}")
        return rows

    def paper(self, value: object) -> dict[str, Any]:
        entry = self.mapping("paper", value)
        for key, each in entry.items():
            names = key == "authors" and isinstance(each, list) and all(isinstance(name, str) for name in each)
            if not (names or isinstance(each, (str, int, type(None)))):
                self.fail(f"paper.{key}", f"must be a string{' or a list of strings' if key == 'authors' else ''}, not {each!r:.80}")
        return entry
