"""Packages of others that bring models: found by their entry points in the group `vos_zoo.models`, without importing them.

    [project.entry-points."vos_zoo.models"]
    their_models = "their_package"            # a package: each file in it that holds a class of the file's name is an architecture
    dot = "their_package.dot:Dot"             # or one class

Checkpoints are the folders in `hub_configs/` beside these files. A package that can't be used is left out with one warning.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from vos_zoo.errors import VosZooWarning

GROUP = "vos_zoo.models"
_told: set[str] = set()


@dataclass(frozen=True)
class Plugin:
    """What one entry point leads to."""

    distribution: str  # as pip calls it
    module: str  # with dots; a package, or the module of a class
    folder: Path  # that holds the files
    attribute: str | None = None  # the class, where the entry point names one

    @property
    def configs(self) -> Path:
        return self.folder / "hub_configs"


def plugins() -> tuple[Plugin, ...]:
    """Those that are installed, in the order of their names."""
    return _plugins(tuple(sys.path))


def leave_out(distribution: str, why: str) -> None:
    """Says once that a package of others is not used, or not all of it."""
    if distribution in _told:
        return
    _told.add(distribution)
    warnings.warn(
        f"the package {distribution} brings models for vos_zoo that can't be used: {why:.500}. All other models can.",
        VosZooWarning,
        stacklevel=3,
    )


@functools.lru_cache(maxsize=4)
def _plugins(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    found: dict[tuple[str, str | None], Plugin] = {}
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        distribution = entry.dist.name if entry.dist is not None else entry.name
        try:
            folder = _folder_of(entry.module)
        except Exception as error:  # whatever the parents of a module of somebody else's raise
            leave_out(distribution, f"the entry point {entry.name} = {entry.value!r:.100} leads nowhere ({type(error).__name__}: {error})")
            continue
        found.setdefault((entry.module, entry.attr or None), Plugin(distribution, entry.module, folder, entry.attr or None))
    return tuple(found.values())


def _folder_of(module: str) -> Path:
    """Where a package's files are, or those beside a module. ModuleNotFoundError if there is none of that name."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {module}")
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec.origin is None:
        raise ModuleNotFoundError(f"the module {module} has no file")
    return Path(spec.origin).parent
