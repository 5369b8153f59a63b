"""The programs in tools/ as modules."""

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
    spec = importlib.util.spec_from_file_location(f"tools_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
