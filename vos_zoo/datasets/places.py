"""Where the frames and the true masks of one video of a data set lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where the frames and the true masks of a video lie."""

    name: str
    frames: Path
    masks: Path
    rules: Mapping[str, Any] = field(default_factory=dict)  # fields of Clip
    starts: Mapping[int, str] | None = None  # object id -> name of the frame in which it is given
