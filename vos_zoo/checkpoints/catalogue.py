"""The checkpoints that are installed: a folder in hub_configs/ is an entry, ours or one of a package of others. Imports no torch."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.config import CONFIG_FILE, ModelConfig, WeightsFile
from vos_zoo.checkpoints.weights import count_parameters, read_header
from vos_zoo.errors import CheckpointError, ModelNotFoundError
from vos_zoo.models.discovery import taken
from vos_zoo.system.plugins import leave_out, plugins

PACKAGE = Path(__file__).resolve().parent.parent
TRUNKS = "trunks"  # folder in hub_configs/


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
        return f"{self.name:<22} {self.architecture:<15} {parameters} {size:>10}  {self.description}{where}".rstrip()


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


def trunk_file(name: str) -> Path:
    """Where a trunk lies that several of our entries share."""
    return folder() / TRUNKS / f"{name}.safetensors"


def stored(home: Path, entry: WeightsFile) -> list[Path]:
    """The files that hold a checkpoint's weights here: those that the config describes, or what is left beside a trunk, and the trunk."""
    if entry.shared is None or (home / entry.file).is_file():
        return [home / each.file for each in entry.files]
    return [home / entry.shared.own.file, trunk_file(entry.shared.name)]


def homes() -> dict[str, Path]:
    """Every entry by name, with or without weights, with its folder: ours, and those of installed packages.

    Those that follow masks come first, then those that make masks of clicks; each in alphabetical order.

    Raises:
        CheckpointError: a package of others brings an entry of a name that is taken.
    """
    found = {path.parent.name: path.parent for path in folder().glob(f"*/{CONFIG_FILE}")}
    origin = dict.fromkeys(found, "vos_zoo")
    for plugin in plugins():
        for path in plugin.configs.glob(f"*/{CONFIG_FILE}"):
            name = path.parent.name
            if name in found and found[name] != path.parent:
                raise CheckpointError(taken(plugin, "a model", name, origin[name]))
            found[name], origin[name] = path.parent, plugin.distribution
    return dict(sorted(found.items(), key=lambda entry: (_is_head(entry[1]), entry[0])))


def names() -> list[str]:
    """The names of all entries that follow masks, with or without weights, in alphabetical order."""
    return [name for name, home in homes().items() if not _is_head(home)]


def every_name() -> list[str]:
    """Those of `names`, then the entries that make masks of clicks (`vos_zoo.load_pointer`)."""
    return list(homes())


def _is_head(home: Path) -> bool:
    """Whether an entry reads another's features, as its config says. A broken config is `read`'s business."""
    try:
        return '"encoder": {' in (home / CONFIG_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def folder_of(name: str) -> Path:
    """The folder of an entry; `name` must be one of `every_name()`."""
    return homes()[name]


def read(name: str) -> ModelConfig:
    """The config of an entry; `name` must be one of `every_name()`."""
    path = folder_of(name) / CONFIG_FILE
    config = ModelConfig.read(path)
    if config.name != name:
        raise CheckpointError(f"{path}: its name is {config.name!r}, its folder's {name!r}. Make them the same.")
    return config


def facts(name: str) -> dict[str, Any]:
    """What an entry's config says of its paper and its kind of model, for a checkpoint made from it or from the authors' weights."""
    config = read(name)
    return {"paper": config.paper, "published": config.published, "limits": config.limits}


def info(name: str) -> ModelInfo:
    """One entry as a row. Reads its config and, where that names no count, the header of its weights."""
    config, home = read(name), folder_of(name)
    files = () if config.weights is None else config.weights.files
    paths = [] if config.weights is None else stored(home, config.weights)
    ships = bool(paths) and all(path.is_file() for path in paths)
    parameters = config.parameters
    if parameters is None and isinstance(config.training.get("parameters"), int):
        parameters = config.training["parameters"]
    if parameters is None and ships:
        parameters = sum(count_parameters(read_header(path)) for path in paths if path.suffix == ".safetensors")
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
    found = []
    for name, home in homes().items():
        if not fnmatch.fnmatchcase(name, pattern.lower()):
            continue
        try:
            found.append(info(name))
        except CheckpointError as error:
            owner = next((plugin for plugin in plugins() if plugin.configs == home.parent), None)
            if owner is None:
                raise
            leave_out(owner.distribution, str(error))
    return found
