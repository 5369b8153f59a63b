"""What a training run does, stated in a YAML file: hub_configs/<name>/recipe.yaml."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vos_zoo.errors import DataError
from vos_zoo.train.scene import SynthesisConfig

GRID = 16  # crops are multiples of this in both directions


@dataclass
class Stage:
    name: str
    steps: int
    size: tuple[int, int]  # height, width of the crops, multiples of 16
    batch: int = 8
    frames: int = 2  # frames a clip, the first included
    warm: int = 0  # predicted frames without gradient before those with
    real: float = 0.0  # share of batches that come from real clips
    corrupt: float = 0.0  # share of batches whose first mask is corrupted
    lr: float = 6e-4  # of the head; the trunk's is trunk_lr times this
    lr_end: float | None = None  # None: constant over the stage; else a cosine from lr to this
    max_skip: int = 3  # real clips: the largest distance between neighbouring frames
    synthesis: dict[str, Any] = field(default_factory=dict)  # arguments of SynthesisConfig for this stage, over the recipe's

    def __post_init__(self) -> None:
        where = f"stage {self.name}"
        self.size = (int(self.size[0]), int(self.size[1]))
        if any(s % GRID or s < GRID for s in self.size):
            nearest = " x ".join(str(max(1, round(s / GRID)) * GRID) for s in self.size)
            raise DataError(f"{where}: size {self.size[0]} x {self.size[1]} must be multiples of {GRID}, for instance {nearest}")
        if self.frames < 2:
            raise DataError(f"{where}: frames {self.frames} must be at least 2, the annotated one and one to predict")
        if not 0 <= self.warm < self.frames - 1:
            raise DataError(f"{where}: warm {self.warm} must leave a predicted frame of {self.frames - 1}; raise frames or lower warm")
        for name in ("steps", "batch", "max_skip"):
            if getattr(self, name) < 1:
                raise DataError(f"{where}: {name} {getattr(self, name)} must be at least 1")
        for name in ("real", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{where}: {name} {getattr(self, name)} is a share, between 0 and 1")


@dataclass
class Recipe:
    architecture: str
    model_args: dict[str, Any]
    stages: list[Stage]
    seed: int = 0
    slots: int = 2
    trunk_lr: float = 0.33
    frozen: tuple[str, ...] = ()  # parameter name prefixes that are not trained
    weight_decay: float = 1e-4
    clip_norm: float = 2.0
    ema: float = 0.998
    warmup: int = 150
    dice: float = 0.5
    auxiliary: float = 0.25
    backbone: str | None = None  # file name of the ImageNet trunk under --backbones
    stills: tuple[str, ...] = ()  # folder names under --data
    clips: bool = True  # use the training clips under --data
    clips_index: str | None = None  # JSON beside the data: clip name -> {"split": "train" or "val"}
    clips_skip: tuple[str, ...] = ()  # clips whose name holds one of these words are left out
    synthesis: dict[str, Any] = field(default_factory=dict)  # arguments of SynthesisConfig

    def __post_init__(self) -> None:
        if not self.stages:
            raise DataError("a recipe has at least one stage")
        if self.slots < 1:
            raise DataError(f"slots {self.slots} must be at least 1: the objects a clip")
        if not self.stills and not self.clips:
            raise DataError("the recipe has nothing to train on: name folders of stills, or set clips: true")

    @property
    def steps(self) -> int:
        return sum(s.steps for s in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage that `step` belongs to, and the step's number within it. IndexError past the end."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step
            step -= stage.steps
        raise IndexError("the recipe is over")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe. DataError names unknown, missing and wrong entries, and says what is known."""
    import yaml

    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"the recipe {path} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no YAML file: {error}") from error
    entries = _entries(raw, Recipe, str(path))
    if not all(isinstance(stage, dict) for stage in entries["stages"]):
        raise DataError(f"{path}: stages is a list of mappings, one a stage: - {{name: ..., steps: ..., size: [192, 336]}}")
    _entries(entries.get("synthesis", {}), SynthesisConfig, f"{path}, synthesis")
    try:
        stages = [Stage(**_entries(stage, Stage, f"{path}, stage {stage.get('name', n + 1)}")) for n, stage in enumerate(entries["stages"])]
        for stage in stages:
            _entries(stage.synthesis, SynthesisConfig, f"{path}, synthesis of stage {stage.name}")
        return Recipe(**{**entries, "stages": stages})
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error


def _entries(raw: Any, kind: type, where: str) -> dict[str, Any]:
    """raw, a mapping, checked against the fields of a dataclass: no unknown key, none missing, each of its type."""
    if not isinstance(raw, dict):
        raise DataError(f"{where}: expected `key: value` lines, found {type(raw).__name__}")
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(str(key) for key in raw if key not in known)
    if unknown:
        raise DataError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    required = (f.name for f in known.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    missing = [name for name in required if name not in raw]
    if missing:
        raise DataError(f"{where}: missing keys {', '.join(missing)}")
    hints = typing.get_type_hints(kind)
    entries = {}
    for key, value in raw.items():
        try:
            entries[key] = _cast(value, hints[key])
        except (TypeError, ValueError):
            raise DataError(f"{where}: {key} is {value!r}, expected {known[key].type}") from None
    return entries


def _cast(value: Any, hint: Any) -> Any:
    """value as the type of a dataclass field. YAML reads 6e-4 as text, so text that is a number counts as one."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _cast(value, next(option for option in inner if option is not type(None)))
    if origin is tuple:
        if not isinstance(value, list) or (inner[-1] is not ... and len(value) != len(inner)):
            raise TypeError
        return tuple(_cast(v, inner[0]) for v in value)
    if hint is float and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin or hint) or (hint is int and isinstance(value, bool)):
        raise TypeError
    return value
