"""Which stills are kept out of training, for testing: a rule, not a list, so that everybody has the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def kept_out(names: Iterable[str], one_in: int) -> set[str]:
    """The names, "folder/stem", whose SHA-256 is a multiple of `one_in`: the same on every machine, whatever else is there."""
    return {name for name in names if int(hashlib.sha256(name.encode()).hexdigest(), 16) % one_in == 0}
