"""Bad data: everything that is wrong with the files, found at the start, listed by name, then left out or the end of it."""

from __future__ import annotations

import warnings
from pathlib import Path

from vos_zoo.errors import DataError, VosZooWarning

LISTED = 40  # of each kind of problem; the others are counted


class Problems:
    """Collects what is wrong while data are read; `settle` says it all at once."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, str]] = []

    def add(self, path: Path, what: str) -> None:
        self.found.append((path, what))

    def __len__(self) -> int:
        return len(self.found)

    def report(self) -> str:
        """A line a problem."""
        lines = [f"  {path}: {what}" for path, what in self.found[:LISTED]]
        if len(self.found) > LISTED:
            lines.append(f"  ... and {len(self.found) - LISTED} more")
        return "\n".join(lines)

    def settle(self, on_bad_data: str = "stop") -> None:
        """Nothing if nothing was found. "stop": DataError with the list. "skip": the list as a warning; what it names was left out."""
        if on_bad_data not in ("stop", "skip"):
            raise DataError(f"on_bad_data is 'stop' or 'skip', not {on_bad_data!r}")
        if not self.found:
            return
        count = f"{len(self.found)} problem{'s' * (len(self.found) > 1)} in the data"
        if on_bad_data == "stop":
            raise DataError(f"{count}; mend them, or leave these files out with --on-bad-data skip:\n{self.report()}")
        warnings.warn(f"{count}; left out:\n{self.report()}", VosZooWarning, stacklevel=2)
