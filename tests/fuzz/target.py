"""What a fuzz target is, and which there are."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Target:
    """A door of the library, and what is thrown at it.

    Args:
        name: what --target calls it.
        make: (random numbers, an empty folder) -> a case: whatever `feed` takes. Nothing but the numbers may decide what it is.
        feed: hands the case to the library. It returns, or raises VosZooError: anything else is a fault.

    Example:
        >>> Target("lists", lambda rng, folder: [rng.random()], lambda case: vos_zoo.read_mask(case, size=(4, 4)))
    """

    name: str
    make: Callable[[random.Random, Path], Any]
    feed: Callable[[Any], object]

    def case(self, seed: int, number: int, folder: Path) -> Any:
        """Case `number` of a seed, always the same."""
        return self.make(random.Random(f"{self.name} {seed} {number}"), folder)


def all_targets() -> dict[str, Target]:
    """Every target in targets/, by name."""
    package = importlib.import_module(".targets", __package__)
    found: dict[str, Target] = {}
    for module in sorted(each.name for each in pkgutil.iter_modules(package.__path__)):
        for target in importlib.import_module(f".targets.{module}", __package__).TARGETS:
            if target.name in found:
                raise ValueError(f"two fuzz targets are called {target.name!r}")
            found[target.name] = target
    return found
