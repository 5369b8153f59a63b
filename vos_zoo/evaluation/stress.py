"""What a mean over a benchmark hides: drift over long videos, absence and return, look-alikes, small objects, and whether `lost` is true.

Every score is in [0, 1]; nan where there is nothing to score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vos_zoo.evaluation.metrics import boundary_f, jaccard
from vos_zoo.evaluation.stress_scenes import BACK, OUT, Scene

if TYPE_CHECKING:
    from vos_zoo.segmenter import Segmenter

MISSED = 0.2  # J under which an object in sight was not found


@dataclass
class Followed:
    """One object through a scene, frame by frame."""

    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)
    there: list[bool] = field(default_factory=list)  # in the truth
    area: list[int] = field(default_factory=list)  # of the mask, pixels
    true_area: list[int] = field(default_factory=list)
    flagged: list[bool] = field(default_factory=list)  # lost, says the model

    def jf(self, begin: int, end: int) -> float:
        """Mean J&F over the frames begin ... end - 1 in which the object is in sight."""
        seen = [(self.j[t] + self.f[t]) / 2 for t in range(begin, min(end, len(self.j))) if self.there[t]]
        return float(np.mean(seen)) if seen else float("nan")


def follow(
    segmenter: Segmenter, scene: Scene, *, every: int = 1, windows: list[range] | None = None, size: int | None = None
) -> dict[int, Followed]:
    """Each object of the first frame through a scene. windows: frames that are scored (default: all); the others get nan.

    size: the shorter side inside the model (default: the checkpoint's).
    """
    truths: list[np.ndarray] = []

    def frames() -> Iterator[np.ndarray]:
        for frame, truth in scene.play():
            truths.append(truth)
            yield frame

    playing = frames()
    session = segmenter.start(next(playing), truths[0], size=size)
    found = {int(k): Followed() for k in np.unique(truths[0]) if k}
    for t, frame in enumerate(playing, 1):
        mask, truth = session.step(frame), truths.pop()
        scored = windows is None or any(t in window for window in windows)
        for k, one in found.items():
            there = truth == k
            score = scored and t % every == 0
            guess = mask == k
            one.j.append(float(jaccard(there[None], guess[None])[0]) if score else float("nan"))
            one.f.append(float(boundary_f(there[None], guess[None])[0]) if score else float("nan"))
            one.there.append(bool(there.any()) and score)
            one.area.append(int(guess.sum()))
            one.true_area.append(int(there.sum()))
            one.flagged.append(k in session.lost)
    return found


@dataclass(frozen=True)
class LostFlag:
    """How `lost` fares: an object is lost that is out of sight, or in sight and hardly met (J under 0.2)."""

    true: int  # lost, and flagged
    false: int  # flagged, and not lost
    missed: int  # lost, and not flagged

    @property
    def precision(self) -> float:
        return self.true / (self.true + self.false) if self.true + self.false else float("nan")

    @property
    def recall(self) -> float:
        return self.true / (self.true + self.missed) if self.true + self.missed else float("nan")

    def __add__(self, other: LostFlag) -> LostFlag:
        return LostFlag(self.true + other.true, self.false + other.false, self.missed + other.missed)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "precision": self.precision, "recall": self.recall}


def lost_flag(followed: Followed) -> LostFlag:
    counts = {"true": 0, "false": 0, "missed": 0}
    for j, area, flagged in zip(followed.j, followed.true_area, followed.flagged, strict=True):
        if np.isnan(j):
            continue
        lost = area == 0 or j < MISSED
        if lost or flagged:
            counts["true" if lost and flagged else "false" if flagged else "missed"] += 1
    return LostFlag(**counts)


def passes(followed: Followed, clip: int, at: list[int]) -> dict[str, float]:
    """Of a clip of so many frames played to and fro: J&F of the first pass, of the first that runs backwards (as far as there is one),
    and of the pass that holds each of the frames `at`. Who meets a clip from its other end may have more to do: passes that run the same
    way tell what wears off. A pass that runs backwards has "back" in its name.
    """
    way = clip - 1  # frames from one turn to the next
    scores = {"first": followed.jf(0, way)}
    if len(followed.j) >= 2 * way:
        scores["first back"] = followed.jf(way, 2 * way)
    for frame in at:
        n = _pass_of(frame, way)
        scores[f"{frame} back" if n % 2 else str(frame)] = followed.jf(n * way, (n + 1) * way)
    return scores


def windows_of(clip: int, at: list[int]) -> list[range]:
    """The frames that `passes` looks at."""
    way = clip - 1
    return [range(n * way + 1, (n + 1) * way + 1) for n in (0, 1, *(_pass_of(frame, way) for frame in at))]


def _pass_of(frame: int, way: int) -> int:
    """Which pass holds a frame, from 0 on."""
    return (frame - 1) // way


def absence(followed: Followed) -> dict[str, float]:
    """Of `leaves_and_returns`: J&F before, false mask while the object is away (in areas of the object), J&F after its return."""
    whole = max(followed.true_area[: OUT // 2])
    away = [area / whole for area, true in zip(followed.area[OUT:BACK], followed.true_area[OUT:BACK], strict=True) if true == 0]
    return {"before": followed.jf(0, OUT - 4), "false mask": float(np.mean(away)), "after": followed.jf(BACK + 8, len(followed.j))}
