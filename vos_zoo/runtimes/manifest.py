"""export.json: which graphs lie in a folder, what goes in and out of them by name, and of which checkpoint they are.

Sizes in it are numbers, or words: B clips, K objects, H and W pixels of the model's grid, "1+K", "H/16" rounded up, "H/16*W/16".
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.errors import CheckpointError
from vos_zoo.system import strict_json

MANIFEST_FILE = "export.json"
FORMAT_VERSION = 1
FORMATS = {"onnx": ".onnx", "pt2": ".pt2"}  # and how the names of their files end
MAX_BYTES = 1 << 20
Size: TypeAlias = int | str
_FACTOR = re.compile(r"([BKHW])(?:/(\d{1,3}))?")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(onnx|pt2)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that goes into a graph or comes out."""

    name: str
    dtype: str  # "float32", "bool" or "int64"
    shape: tuple[Size, ...]

    def sizes(self, known: Mapping[str, int]) -> tuple[int, ...]:
        """The shape in numbers, for B, K, H and W in `known`."""
        return tuple(size if isinstance(size, int) else size_of(size, known) for size in self.shape)


@dataclass(frozen=True)
class GraphFile:
    """Where a graph lies, in one precision."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Graph:
    """One method of a model."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: dict[str, GraphFile]  # by precision: "float32", "int8"


@dataclass(frozen=True)
class Manifest:
    """What export.json holds."""

    format: str  # of FORMATS
    name: str
    architecture: str
    model_args: dict[str, Any]
    weights: str | None  # SHA-256 of the checkpoint's weights; None: they were never saved
    preprocess: dict[str, Any]  # short_side, size, stride, padding
    contract: dict[str, Any]  # what the model says of itself: finds_objects, describes, ... (models/base.py)
    features: tuple[TensorSpec, ...]
    state: tuple[TensorSpec, ...]
    describe: str | None  # the feature by which things are told apart, or "describe" for the graph of that name
    graphs: dict[str, Graph]
    opset: int | None  # of ONNX
    versions: dict[str, str] = field(default_factory=dict)  # of what wrote it
    calibration: dict[str, Any] = field(default_factory=dict)  # of int8: by which clips, and what stayed in float32

    @property
    def precisions(self) -> set[str]:
        """Those in which every graph is there."""
        return set.intersection(*(set(graph.files) for graph in self.graphs.values()))

    def is_of(self, config: ModelConfig) -> bool:
        """Whether the graphs are those of a checkpoint, its arguments spelt out."""
        weights = config.weights.sha256 if config.weights else None
        same = json.dumps(self.model_args, sort_keys=True) == json.dumps(config.model_args, sort_keys=True)
        return self.architecture == config.architecture and self.weights == weights and same

    def write(self, folder: Path) -> None:
        """Into a folder that exists."""
        data = {"library": "vos_zoo", "format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        (folder / MANIFEST_FILE).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """That of a folder. CheckpointError if it is none that this library wrote."""
        path = folder / MANIFEST_FILE
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
            data = strict_json.parse(path.read_bytes())
            if not isinstance(data, dict) or data.get("library") != "vos_zoo":
                raise ValueError("it is of another library")
            if data.get("format_version") != FORMAT_VERSION:
                raise ValueError(f"its format_version is {data.get('format_version')!r:.80}, this vos_zoo reads {FORMAT_VERSION}")
            return _read(data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} can't be used: {error!s:.300}. Export the model again: vos-zoo export NAME --out FOLDER"
            ) from error


def size_of(words: str, known: Mapping[str, int]) -> int:
    """ "H/16*W/16" in numbers; a division is rounded up. ValueError if it is no such product."""
    if words == "1+K":
        return 1 + known["K"]
    factors = []
    for factor in words.split("*"):
        match = _FACTOR.fullmatch(factor)
        if match is None or match[2] == "0":
            raise ValueError(f"{words!r:.80} is no size")
        factors.append(math.ceil(known[match[1]] / int(match[2] or 1)))
    return math.prod(factors)


def words_for(sizes: Sequence[int], probes: Sequence[Mapping[str, int]]) -> Size:
    """What a size is that was seen to be sizes[n] where B, K, H and W were probes[n]: a number, or words. ValueError if neither fits."""
    if len(set(sizes)) == 1:
        return sizes[0]
    sides = {side: [side, *(f"{side}/{2**n}" for n in range(1, 7))] for side in "HW"}
    words = ["B", "K", "1+K", *sides["H"], *sides["W"], *(f"{h}*{w}" for h, w in zip(sides["H"], sides["W"], strict=True))]
    for each in words:
        if all(size_of(each, known) == size for size, known in zip(sizes, probes, strict=True)):
            return each
    raise ValueError(f"a size of {' or '.join(map(str, sizes))} follows from no number of clips, objects or pixels")


def _read(data: Mapping[str, Any]) -> Manifest:
    if data["format"] not in FORMATS:
        raise ValueError(f"its format is {data['format']!r:.80}")
    preprocess, contract = dict(data["preprocess"]), dict(data["contract"])
    if not (isinstance(preprocess["stride"], int) and 1 <= preprocess["stride"] <= 64 and preprocess["padding"] in ("reflect", "zeros")):
        raise ValueError("its preprocess has no stride and padding that a frame can have")
    return Manifest(
        format=data["format"],
        name=str(data["name"]),
        architecture=str(data["architecture"]),
        model_args=dict(data["model_args"]),
        weights=data["weights"],
        preprocess=preprocess,
        contract=contract,
        features=_specs(data["features"]),
        state=_specs(data["state"]),
        describe=data["describe"],
        graphs={name: _graph(name, each) for name, each in data["graphs"].items()},
        opset=data["opset"],
        versions=dict(data["versions"]),
        calibration=dict(data.get("calibration", {})),
    )


def _graph(name: str, data: Mapping[str, Any]) -> Graph:
    files = {precision: GraphFile(str(each["file"]), str(each["sha256"]), int(each["bytes"])) for precision, each in data["files"].items()}
    for each in files.values():
        if not _FILE.fullmatch(each.file) or not _SHA256.fullmatch(each.sha256):
            raise ValueError(f"graph {name!r:.80} must name a plain file that ends in .onnx or .pt2, and its SHA-256")
    return Graph(name, _specs(data["inputs"]), _specs(data["outputs"]), files)


def _specs(data: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    found = []
    for each in data:
        spec = TensorSpec(str(each["name"]), str(each["dtype"]), tuple(each["shape"]))
        if spec.dtype not in ("float32", "bool", "int64") or not all(isinstance(size, (int, str)) for size in spec.shape):
            raise ValueError(f"{spec.name!r:.80} has a dtype or a shape that no tensor of a graph has")
        spec.sizes(dict.fromkeys("BKHW", 64))
        found.append(spec)
    return tuple(found)
