"""The checkpoints that come with the library: a folder in hub_configs/ is an entry. Imports no torch."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig
from vos_zoo.checkpoints.weights import count_parameters, read_header
from vos_zoo.errors import CheckpointError, ModelNotFoundError

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class ModelInfo:
    """One row of list_models()."""

    name: str
    architecture: str
    description: str
    parameters: int | None  # None: unknown until it is built
    licence: str | None  # of the weights
    has_weights: bool  # False: `load` can't, `create` builds it untrained
    ships: bool  # the weights lie beside the config; else they are fetched from the Hub, if there are any
    bytes: int | None  # of all files of weights
    sha256: str | None  # of the file, or of the index of several
    metrics: tuple[dict[str, Any], ...]
    follows: bool = True  # False: it makes masks of clicks (`load_pointer`), and `load` can't

    def __str__(self) -> str:
        parameters = "     ?" if self.parameters is None else f"{self.parameters / 1e6:5.1f}M"
        size = "no weights" if self.bytes is None or not self.has_weights else f"{self.bytes / 1e6:7.1f} MB"
        where = " (on the Hub)" if self.has_weights and not self.ships else ""
        return f"{self.name:<20} {self.architecture:<8} {parameters} {size:>10}  {self.description}{where}".rstrip()


def folder() -> Path:
    """Where hub_configs/ lies: inside the package when installed from a wheel, beside it in a checkout."""
    inside, beside = PACKAGE / "hub_configs", PACKAGE.parent / "hub_configs"
    if inside.is_dir():
        return inside
    if beside.is_dir() and (PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    raise ModelNotFoundError(
        f"this installation carries no hub_configs folder (looked for {inside} and "
        f"{beside}). Install the library again: pip install --force-reinstall vos_zoo"
    )


def names() -> list[str]:
    """The names of all entries that follow masks, with or without weights, in alphabetical order."""
    return [name for name in every_name() if not _is_head(name)]


def every_name() -> list[str]:
    """Those of `names`, then the entries that make masks of clicks (`vos_zoo.load_pointer`)."""
    return sorted((path.parent.name for path in folder().glob(f"*/{CONFIG_FILE}")), key=lambda name: (_is_head(name), name))


def _is_head(name: str) -> bool:
    """Whether an entry reads another's features, as its config says. A broken config is `read`'s business."""
    try:
        return '"encoder": {' in (folder() / name / CONFIG_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def read(name: str) -> ModelConfig:
    """The config of an entry; `name` must be one of `every_name()`."""
    path = folder() / name / CONFIG_FILE
    config = ModelConfig.read(path)
    if config.name != name:
        raise CheckpointError(f"{path}: its name is {config.name!r}, its folder's {name!r}. Make them the same.")
    return config


def info(name: str) -> ModelInfo:
    """One entry as a row. Reads its config and, where that names no count, the header of its weights."""
    config = read(name)
    files = () if config.weights is None else config.weights.files
    paths = [folder() / name / each.file for each in files]
    ships = bool(paths) and all(path.is_file() for path in paths)
    parameters = config.parameters
    if parameters is None and isinstance(config.training.get("parameters"), int):
        parameters = config.training["parameters"]
    if parameters is None and ships:
        parameters = sum(count_parameters(read_header(path)) for path in (paths[1:] or paths))
    return ModelInfo(
        name=name,
        architecture=config.architecture,
        description=config.description,
        parameters=parameters,
        licence=config.licence,
        has_weights=ships or (config.weights is not None and config.weights.hub is not None),
        ships=ships,
        bytes=sum(each.bytes for each in files) or None,
        sha256=None if config.weights is None else config.weights.sha256,
        metrics=tuple(config.metrics),
        follows=config.encoder is None,
    )


def rows(pattern: str = "*") -> list[ModelInfo]:
    """The entries whose name matches a shell pattern such as "rv*", in the order of `every_name`."""
    if not isinstance(pattern, str):
        raise ModelNotFoundError(f"models are listed by a shell pattern such as 'rv*', not by {pattern!r:.80}")
    return [info(name) for name in every_name() if fnmatch.fnmatchcase(name, pattern.lower())]
