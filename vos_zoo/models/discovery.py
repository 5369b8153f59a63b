"""Which architectures there are: a file in models/ is the registration, or in a package that others have installed (`system/plugins.py`).

Imports no model and no torch until one is asked for.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import CheckpointError, did_you_mean
from vos_zoo.system.plugins import Plugin, leave_out, plugins

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel

MODELS = Path(__file__).resolve().parent
# What makes masks of clicks and follows nothing, and so keeps another contract: class name -> module.
POINTING = {"PointingNetwork": "vos_zoo.pointing.network"}
_NOT_ARCHITECTURES = {"__init__", "base", "discovery", "flops"}
Importer = Callable[[], "type[VOSModel]"]


def architectures() -> dict[str, Importer]:
    """Every architecture by class name, with a function that imports it: models/crvos.py holds class CRVOS.

    Raises:
        CheckpointError: a package of others brings an architecture of a name that is taken.
    """
    found: dict[str, Importer] = {name: functools.partial(_own, module, name) for module, name in classes_in(MODELS)}
    origin = dict.fromkeys(found, "vos_zoo")
    for plugin in plugins():
        for module, name in _brought(plugin):
            if name in found:
                raise CheckpointError(taken(plugin, "an architecture", name, origin[name]))
            found[name], origin[name] = functools.partial(_others, plugin, module, name), plugin.distribution
    return found


def architecture_class(name: str) -> type[VOSModel]:
    """The model class that a config's "architecture" names.

    Raises:
        CheckpointError: there is none of that name, and the message lists those known; or it can't be imported.

    Example:
        >>> architecture_class("CRVOS").__name__
        'CRVOS'
    """
    if name in POINTING:
        return getattr(importlib.import_module(POINTING[name]), name)
    known = architectures()
    if name not in known:
        raise CheckpointError(
            f"unknown architecture {name!r:.80}. Known: {', '.join(sorted(known)) or 'none'}."
            f"{did_you_mean(name, known)} A newer vos_zoo may know more: "
            "pip install --upgrade vos_zoo"
        )
    return known[name]()


def classes_in(folder: Path) -> Iterator[tuple[str, str]]:
    """(module, class) of every file in a folder that holds a class of the file's name, read without importing it."""
    for path in sorted(folder.glob("*.py")):
        if path.stem in _NOT_ARCHITECTURES:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", ""):
                yield path.stem, node.name


def taken(plugin: Plugin, what: str, name: str, owner: str) -> str:
    """The sentence on a name that two packages give to something."""
    return (
        f"the package {plugin.distribution} brings {what} {name!r}, and {owner} has one of that name. Uninstall it (pip uninstall "
        f"{plugin.distribution}), or have it renamed there."
    )


def _brought(plugin: Plugin) -> list[tuple[str, str]]:
    """(module with dots, class) of what a package of others registers."""
    if plugin.attribute is not None:
        return [(plugin.module, plugin.attribute)]
    try:
        return [(f"{plugin.module}.{module}", name) for module, name in classes_in(plugin.folder)]
    except (OSError, SyntaxError, ValueError) as error:
        leave_out(plugin.distribution, f"a file in {plugin.folder} can't be read ({type(error).__name__}: {error})")
        return []


def _own(module: str, name: str) -> type[VOSModel]:
    return getattr(importlib.import_module(f"vos_zoo.models.{module}"), name)


def _others(plugin: Plugin, module: str, name: str) -> type[VOSModel]:
    from vos_zoo.models.base import VOSModel

    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # somebody else's code
        raise CheckpointError(
            f"the architecture {name} of the package {plugin.distribution} can't be imported ({type(error).__name__}: {str(error):.300}). "
            "Update that package, or tell its authors."
        ) from error
    if not (isinstance(found, type) and issubclass(found, VOSModel)):
        raise CheckpointError(f"{name} of the package {plugin.distribution} is no VOSModel (vos_zoo/models/base.py): tell its authors.")
    return found
