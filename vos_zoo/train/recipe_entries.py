"""A recipe checked entry by entry: no unknown key, none missing, each of its type and within its bounds."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Any

from vos_zoo.errors import DataError
from vos_zoo.system.shown import shown
from vos_zoo.train.losses import LOSSES
from vos_zoo.train.recipe import Recipe, Source, Stage
from vos_zoo.train.sources.views import ViewConfig
from vos_zoo.train.synthesis.scene import SynthesisConfig

LONGEST_TEXT = 300


def recipe_from(raw: object, source: str) -> Recipe:
    """The recipe that plain entries describe; source names them in messages."""
    if isinstance(raw, dict):
        raw = _with_named_loss(raw)
    entries = _entries(raw, Recipe, source)
    if not all(isinstance(stage, dict) for stage in entries["stages"]):
        raise DataError(f"{source}: stages is a list of mappings, one a stage: - {{name: ..., steps: ..., size: [192, 336]}}")
    try:
        stages = [
            Stage(**_entries(stage, Stage, f"{source}, stage {_plain(stage.get('name', n + 1))}"))
            for n, stage in enumerate(entries["stages"])
        ]
        sources = {
            name: Source(**_entries(each, Source, f"{source}, source {_plain(name)}")) for name, each in entries.get("sources", {}).items()
        }
        recipe = Recipe(**{**entries, "stages": stages, "sources": sources})
        parts: list[tuple[Recipe | Stage, str]] = [(recipe, ""), *((stage, f" of stage {stage.name}") for stage in stages)]
        for part, of in parts:
            part.synthesis = _entries(part.synthesis, SynthesisConfig, f"{source}, synthesis{of}")
            part.windows = _entries(part.windows, ViewConfig, f"{source}, windows{of}")
        for stage in stages:
            ViewConfig(**{**recipe.windows, **stage.windows})
            _check_loss({**recipe.loss, **stage.loss}, f"{source}, loss of stage {stage.name}")
    except DataError as error:
        raise error if source in str(error) else DataError(f"{source}: {error}") from error
    return recipe


def _plain(name: object) -> str:
    return name[:80] if isinstance(name, str) else shown(name)


def _with_named_loss(raw: dict[str, Any]) -> dict[str, Any]:
    """Recipes were written with `dice` and `auxiliary` beside the other entries before losses had names."""
    old, loss = {key: raw[key] for key in ("dice", "auxiliary") if key in raw}, raw.get("loss") or {}
    return {**{k: v for k, v in raw.items() if k not in old}, "loss": {**old, **loss}} if old and isinstance(loss, dict) else raw


def _check_loss(options: dict[str, Any], where: str) -> None:
    kind = options.get("kind", "bce_dice")
    if not isinstance(kind, str) or kind not in LOSSES:
        raise DataError(f"{where}: kind is {shown(kind)}, not one of {', '.join(LOSSES)}")
    _entries({key: value for key, value in options.items() if key != "kind"}, LOSSES[kind], where)


def _entries(raw: object, kind: type, where: str) -> dict[str, Any]:
    """raw, a mapping, checked against the fields of a dataclass: no unknown key, none missing, each of its type."""
    if not isinstance(raw, dict):
        raise DataError(f"{where}: expected `key: value` lines, found {type(raw).__name__}")
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(key if isinstance(key, str) else shown(key) for key in raw if key not in known)
    if unknown:
        raise DataError(f"{where}: unknown keys {', '.join(unknown)[:200]}; known are {', '.join(sorted(known)) or 'none'}")
    required = (f.name for f in known.values() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    missing = [name for name in required if name not in raw]
    if missing:
        raise DataError(f"{where}: missing keys {', '.join(missing)}")
    hints = _hints(kind)
    entries = {}
    for key, value in raw.items():
        try:
            entries[key] = _cast(value, hints[key])
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"{where}: {key} is {shown(value)}, expected {known[key].type}") from None
    return entries


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _cast(value: Any, hint: Any) -> Any:
    """value as the type of a dataclass field. YAML reads 6e-4 as text, so text that is a number counts as one."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        fitting = [
            option for option in inner if option is not type(None) and (typing.get_origin(option) is tuple) == isinstance(value, list)
        ]
        if not fitting:
            raise TypeError
        return _cast(value, fitting[0])
    if origin is tuple:
        if not isinstance(value, list) or (inner[-1] is not ... and len(value) != len(inner)):
            raise TypeError
        return tuple(_cast(v, inner[0]) for v in value)
    if hint is float and not isinstance(value, bool):
        if not math.isfinite(number := float(value)):
            raise ValueError
        return number
    if hint is Any:
        return value
    if hint is str and isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError
    if not isinstance(value, origin or hint) or (hint is int and (isinstance(value, bool) or abs(value) >= 2**63)):
        raise TypeError
    if origin is dict:
        return {_cast(key, inner[0]): each if dataclasses.is_dataclass(inner[1]) else _cast(each, inner[1]) for key, each in value.items()}
    return value
