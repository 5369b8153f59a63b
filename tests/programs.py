"""Files outside of the package as modules: the programs in tools/, the pages in demo/."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def program(name: str) -> ModuleType:
    """tools/NAME.py, loaded anew; skips in copies of the library that lack it."""
    path = Path(__file__).parents[1] / "tools" / f"{name}.py"
    if not path.is_file():
        pytest.skip("tools/ is not part of this copy")
    return module(f"tools_{name}", path)


def module(name: str, path: Path) -> ModuleType:
    """A file, loaded anew by that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # dataclasses look their module up
    spec.loader.exec_module(made)
    return made
