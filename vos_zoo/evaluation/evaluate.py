"""Scores of a model, or of anybody's saved masks, on a data set, by the rules of semi-supervised DAVIS.

The objects are those of the first true mask; its frame and the last annotated one are not scored; figures of
a data set are means over objects, not over clips.

    report = evaluate(vos_zoo.load("crvos"), load_dataset("davis2016:/data/DAVIS"))
    print(report.table())
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import isnan, nan
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.datasets import Clip
from vos_zoo.evaluation.metrics import Statistics, boundary_f, jaccard, statistics
from vos_zoo.io.atomic import atomic_write


class Propagates(Protocol):
    """What `evaluate` needs of a model: a Segmenter has it."""

    @property
    def propagate(self) -> Callable[..., Any]: ...


class Masks(Protocol):
    """Predicted labels by frame: a MaskSequence, a (T, H, W) array, a dict."""

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True)
class ClipScore:
    """J and F of every object of one clip on every scored frame."""

    name: str
    frames: tuple[int, ...]  # (N,) scored frames
    object_ids: tuple[int, ...]  # (K,)
    j: NDArray[np.float64]  # (K, N)
    f: NDArray[np.float64]  # (K, N)
    seconds: float | None = None  # that propagate took, decoding included; None for masks made elsewhere
    length: int | None = None  # frames that were propagated in that time


@dataclass(frozen=True)
class Row:
    """One object of one clip."""

    clip: str
    object_id: int
    frames: int  # scored
    j: Statistics
    f: Statistics

    @property
    def jf(self) -> float:
        return (self.j.mean + self.f.mean) / 2


@dataclass
class Report:
    """Scores in [0, 1] of the clips done; `interrupted` if there were to be more."""

    clips: list[ClipScore] = field(default_factory=list)
    interrupted: bool = False
    legacy_decay: bool = False

    @property
    def rows(self) -> list[Row]:
        return [
            Row(clip.name, object_id, len(clip.frames), self._statistics(j), self._statistics(f))
            for clip in self.clips
            for object_id, j, f in zip(clip.object_ids, clip.j, clip.f, strict=True)
        ]

    def _statistics(self, values: NDArray[np.float64]) -> Statistics:
        return statistics(values, legacy_decay=self.legacy_decay)

    @property
    def mean_j(self) -> float:
        """Mean over objects; NaN where no clip is done."""
        return _mean([row.j.mean for row in self.rows])

    @property
    def mean_f(self) -> float:
        """Mean over objects; NaN where no clip is done."""
        return _mean([row.f.mean for row in self.rows])

    @property
    def mean_jf(self) -> float:
        """J&F, the mean of mean_j and mean_f."""
        return (self.mean_j + self.mean_f) / 2

    @property
    def fps(self) -> float | None:
        """Frames per second over all clips, decoding included; None for masks made elsewhere."""
        timed = [(clip.length, clip.seconds) for clip in self.clips if clip.length and clip.seconds]
        return sum(length for length, _ in timed) / sum(seconds for _, seconds in timed) if timed else None

    def table(self) -> str:
        """Text: a line an object, then the means, all in percent."""
        rows = self.rows
        width = max([len(row.clip) for row in rows] + [len("mean over objects")])
        lines = [f"{'clip':<{width}}  object  frames    J&F      J      F"]
        for row in rows:
            figures = "".join(f"{100 * value:7.1f}" for value in (row.jf, row.j.mean, row.f.mean))
            lines.append(f"{row.clip:<{width}}  {row.object_id:>6}  {row.frames:>6}{figures}")
        figures = "".join(f"{100 * value:7.1f}" for value in (self.mean_jf, self.mean_j, self.mean_f))
        lines.append(f"{'mean over objects':<{width}}  {len(rows):>6}  {sum(r.frames for r in rows):>6}{figures}")
        if self.fps:
            lines.append(f"{self.fps:.2f} frames per second")
        if self.interrupted:
            lines.append(f"interrupted: {len(self.clips)} done, the means are over those")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain numbers, per-frame values included; NaN (which JSON lacks) as None."""
        return {
            "interrupted": self.interrupted,
            "mean_j": _number(self.mean_j),
            "mean_f": _number(self.mean_f),
            "mean_jf": _number(self.mean_jf),
            "fps": self.fps,
            "objects": [
                {
                    "clip": row.clip,
                    "object": row.object_id,
                    "frames": row.frames,
                    "j": {name: _number(value) for name, value in row.j._asdict().items()},
                    "f": {name: _number(value) for name, value in row.f._asdict().items()},
                }
                for row in self.rows
            ],
            "clips": [
                {
                    "clip": clip.name,
                    "seconds": clip.seconds,
                    "length": clip.length,
                    "frames": list(clip.frames),
                    "objects": list(clip.object_ids),
                    "j": np.round(clip.j, 6).tolist(),
                    "f": np.round(clip.f, 6).tolist(),
                }
                for clip in self.clips
            ],
        }

    def to_json(self, path: str | Path) -> None:
        """Writes `as_dict()`. Raises: SaveError; nothing half-written is left."""
        with atomic_write(path) as temporary:
            Path(temporary).write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Writes a line an object, values in [0, 1]. Raises: SaveError; nothing half-written is left."""
        names = ("mean", "recall", "decay")
        with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["clip", "object", "frames", *(f"j_{n}" for n in names), *(f"f_{n}" for n in names)])
            for row in self.rows:
                values = [f"{value:.6f}" for value in (*row.j, *row.f)]
                writer.writerow([row.clip, row.object_id, row.frames, *values])


def score(clip: Clip, masks: Masks) -> ClipScore:
    """J and F of the predicted labels `masks[i]`, (H, W) each, for every scored frame i of the clip.

    Raises: EvaluationError if the clip has fewer than three annotated frames or no object in the first, if
        the masks are of another size than the truth, lack a scored frame, or hold an object that the first
        true mask has not.
    """

    def predicted(index: int) -> Any:
        computed = getattr(masks, "computed", None)
        try:
            if computed is None or computed[index]:
                return np.asarray(masks[index])
        except (IndexError, KeyError):
            pass
        raise EvaluationError(f"clip {clip.name!r}: frame {index} is scored but has no predicted mask")

    return _score(clip, predicted, lambda index: f"clip {clip.name!r}: the predicted mask of frame {index}")


def evaluate(
    segmenter: Propagates,
    clips: Iterable[Clip],
    *,
    progress: Callable[[ClipScore, int, int], object] | None = None,
    save: str | Path | None = None,
    legacy_decay: bool = False,
    **propagate_options: Any,
) -> Report:
    """Propagates the first true mask of every clip and scores the result.

    Ctrl-C ends it early: the report then holds the clips done and says `interrupted`.

    Args: progress: called after every clip with its score, the number of clips done and that of all, in place
            of the bar that propagate draws for every clip;
        save: folder that gets <clip>/<frame>.png, and scores.json and scores.csv anew after every clip;
        legacy_decay: see `statistics`;
        propagate_options: handed to `segmenter.propagate`.
    Raises: EvaluationError if a clip can't be scored (all are checked first); whatever propagate raises.
    """
    todo = _checked(clips)
    if save is not None:
        taken = [str(Path(save) / clip.name) for clip in todo if (Path(save) / clip.name).exists()]
        if taken:
            raise EvaluationError(f"{taken[0]} is there already ({len(taken)} of {len(todo)} clips): choose another folder, or delete it")
    report = Report(legacy_decay=legacy_decay)
    if progress is not None:
        propagate_options["progress"] = False
    try:
        for clip in todo:
            given = clip.truth(clip.first)
            begin = time.perf_counter()
            if clip.first == 0:
                masks = segmenter.propagate(clip.video, given, **propagate_options)
            else:
                masks = segmenter.propagate(clip.video, masks={clip.first: given}, **propagate_options)
            seconds = time.perf_counter() - begin
            if save is not None:
                masks.save(Path(save) / clip.name)
            report.clips.append(replace(score(clip, masks), seconds=seconds, length=len(masks)))
            if save is not None:
                _write(report, Path(save))
            if progress is not None:
                progress(report.clips[-1], len(report.clips), len(todo))
    except KeyboardInterrupt:
        report.interrupted = True
        if save is not None:
            _write(report, Path(save))
    return report


def evaluate_results(folder: str | Path, clips: Iterable[Clip], *, legacy_decay: bool = False) -> Report:
    """Scores anybody's masks: `folder`/<clip>/<frame>.png, with the names of the frames and the true ids.

    Raises: EvaluationError naming the file if one is missing, of another size than the truth, or holds an
        object that the first true mask has not; MaskError if one can't be read as a mask.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise EvaluationError(f"results: there is no folder {root}")
    todo = _checked(clips)
    for clip in todo:
        if not (root / clip.name).is_dir():
            raise EvaluationError(f"results: {root} has no folder {clip.name!r}; choose clips with only=, or add it")
    report = Report(legacy_decay=legacy_decay)
    for clip in todo:
        report.clips.append(_score_saved(clip, root / clip.name))
    return report


def _score_saved(clip: Clip, folder: Path) -> ClipScore:
    def path(index: int) -> Path:
        return folder / f"{clip.frame_name(index)}.png"

    def predicted(index: int) -> Any:
        if not path(index).is_file():
            raise EvaluationError(f"results: {path(index)} is missing; every frame [1:-1] of the annotated is scored")
        return path(index)

    return _score(clip, predicted, lambda index: f"results: {path(index)}")


def _write(report: Report, folder: Path) -> None:
    report.to_json(folder / "scores.json")
    report.to_csv(folder / "scores.csv")


def _checked(clips: Iterable[Clip]) -> list[Clip]:
    todo = list(clips)
    if not todo:
        raise EvaluationError("there are no clips to score")
    names = [clip.name for clip in todo]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"two clips are called {name!r}; their results would be mixed: rename one")
    for clip in todo:
        _objects(clip)
    return todo


def _objects(clip: Clip) -> tuple[int, ...]:
    if len(clip.masks) < 3:
        raise EvaluationError(
            f"clip {clip.name!r} has {len(clip.masks)} annotated frames; three are the least, since the first and the last are not scored"
        )
    ids = np.unique(clip.truth(clip.first))
    if not ids.any():
        raise EvaluationError(f"clip {clip.name!r} has no object in its first true mask, frame {clip.first}")
    return tuple(int(object_id) for object_id in ids if object_id)


def _score(clip: Clip, predicted: Callable[[int], Any], describe: Callable[[int], str]) -> ClipScore:
    object_ids = _objects(clip)
    frames = clip.annotated[1:-1]
    j = np.empty((len(object_ids), len(frames)))
    f = np.empty_like(j)
    for n, index in enumerate(frames):
        truth = clip.truth(index)
        guess = clip.read(predicted(index), name=describe(index))
        if guess.shape != truth.shape:
            raise EvaluationError(
                f"{describe(index)} has (height, width) {guess.shape}, the truth {truth.shape}; save results at the truth's size"
            )
        parts = [guess == object_id for object_id in object_ids]
        if sum(map(np.count_nonzero, parts)) != np.count_nonzero(guess):
            extra = sorted(set(np.unique(guess).tolist()) - {0, *object_ids})
            raise EvaluationError(
                f"{describe(index)} has the objects {extra}, which are not in the first true mask "
                f"(it has {list(object_ids)}); leave them out or give them the ids of the truth"
            )
        for k, object_id in enumerate(object_ids):
            pair = (truth == object_id)[None], parts[k][None]
            j[k, n], f[k, n] = jaccard(*pair)[0], boundary_f(*pair)[0]
    return ClipScore(clip.name, tuple(frames), object_ids, j, f)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else nan


def _number(value: float) -> float | None:
    return None if isnan(value) else value
