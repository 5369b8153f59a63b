"""The clips that come with the page, this one and the one without a server (browser/)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Example:
    """A clip that comes with the page; its files lie in examples/, with their sources."""

    title: str
    words: str  # what it shows
    clip: str
    picture: str
    first_mask: str | None = None


EXAMPLES = (
    Example("Koi", "Marked already: just start.", "koi.mp4", "koi.jpg", "koi_first_mask.png"),
    Example("Two fish, upright", "Mark each of them.", "pond_upright.mp4", "pond_upright.jpg"),
    Example("Bottle", "A filmed clip: mark the bottle.", "bottle.mp4", "bottle.jpg"),
)
