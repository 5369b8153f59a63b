"""Which architectures there are: a file in models/ is the registration. Imports no model and no torch until one is asked for."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    from vos_zoo.models.base import VOSModel

MODELS = Path(__file__).resolve().parent
# What makes masks of clicks and follows nothing, and so keeps another contract: class name -> module.
POINTING = {"PointingNetwork": "vos_zoo.pointing.network"}
_NOT_ARCHITECTURES = {"__init__", "base", "discovery", "flops"}


def architectures() -> dict[str, Callable[[], type[VOSModel]]]:
    """Every architecture by class name, with a function that imports it: models/crvos.py holds class CRVOS."""
    found: dict[str, Callable[[], type[VOSModel]]] = {}
    for path in sorted(MODELS.glob("*.py")):
        if path.stem in _NOT_ARCHITECTURES:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", ""):
                found[node.name] = functools.partial(_imported, path.stem, node.name)
    return found


def architecture_class(name: str) -> type[VOSModel]:
    """The model class that a config's "architecture" names.

    Raises:
        CheckpointError: there is none of that name; the message lists those known.
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


def _imported(module: str, name: str) -> type[VOSModel]:
    return getattr(importlib.import_module(f"vos_zoo.models.{module}"), name)
