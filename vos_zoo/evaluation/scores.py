"""Scores of one model, or of one folder of masks, over a data set: means over objects, tables, JSON, and the official CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from vos_zoo.evaluation.metrics import Statistics, statistics
from vos_zoo.evaluation.scoring import ClipScore
from vos_zoo.system.atomic import atomic_write, write_json

GLOBAL_COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")  # of davis2017-evaluation
SEQUENCE_COLUMNS = ("Sequence", "J-Mean", "F-Mean")


@dataclass(frozen=True)
class Row:
    """One object of one clip."""

    clip: str
    object_id: int
    frames: int  # scored
    j: Statistics
    f: Statistics
    seen: bool | None = None

    @property
    def jf(self) -> float:
        return (self.j.mean + self.f.mean) / 2


@dataclass(frozen=True)
class Grouped:
    """YouTube-VOS's figures; None where there is no object of that kind."""

    j_seen: float | None
    f_seen: float | None
    j_unseen: float | None
    f_unseen: float | None

    @property
    def g(self) -> float | None:
        """Mean of the four; None unless there are all."""
        four = [self.j_seen, self.f_seen, self.j_unseen, self.f_unseen]
        present = [each for each in four if each is not None]
        return sum(present) / 4 if len(present) == 4 else None


@dataclass
class Scores:
    """Scores in [0, 1] of the clips done; `interrupted` if there were to be more. Means are over objects; NaN where no clip is done."""

    clips: list[ClipScore] = field(default_factory=list)
    interrupted: bool = False
    legacy_decay: bool = False

    @property
    def rows(self) -> list[Row]:
        """A row an object, in the order of the clips."""
        return [self._row(clip, k) for clip in self.clips for k in range(len(clip.object_ids))]

    @property
    def j(self) -> Statistics:
        return _over([row.j for row in self.rows])

    @property
    def f(self) -> Statistics:
        return _over([row.f for row in self.rows])

    @property
    def mean_j(self) -> float:
        return self.j.mean

    @property
    def mean_f(self) -> float:
        return self.f.mean

    @property
    def mean_jf(self) -> float:
        """J&F, the mean of mean_j and mean_f."""
        return (self.mean_j + self.mean_f) / 2

    @property
    def grouped(self) -> Grouped | None:
        """None where the data set does not tell seen from unseen objects."""
        rows = self.rows
        if not rows or any(row.seen is None for row in rows):
            return None
        means = []
        for seen in (True, False):
            group = [row for row in rows if row.seen is seen]
            means += [_mean([row.j.mean for row in group]), _mean([row.f.mean for row in group])]
        return Grouped(*map(_number, means))

    @property
    def fps(self) -> float | None:
        """Frames per second over all clips, decoding included; None for masks made elsewhere."""
        costs = [clip.cost for clip in self.clips if clip.cost is not None]
        seconds = sum(cost.seconds for cost in costs)
        return sum(cost.frames for cost in costs) / seconds if seconds else None

    @property
    def memory(self) -> int | None:
        """Peak of a process, bytes."""
        return _largest([clip.cost.memory for clip in self.clips if clip.cost])

    @property
    def device_memory(self) -> int | None:
        """Peak of tensors on the GPU, bytes."""
        return _largest([clip.cost.device_memory for clip in self.clips if clip.cost])

    @property
    def conditions(self) -> list[str]:
        """Under what the speed was measured; several, if a run was resumed under others."""
        return list(dict.fromkeys(clip.cost.conditions for clip in self.clips if clip.cost))

    @property
    def busy(self) -> float | None:
        """The mean load average, where that was more than this machine's cores can serve: the speed is then too low."""
        loads = [clip.cost.load for clip in self.clips if clip.cost and clip.cost.load is not None]
        cores = os.cpu_count() or 1
        mean = sum(loads) / len(loads) if loads else 0
        return round(mean, 1) if mean > 1.25 * cores else None

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
        if grouped := self.grouped:
            values = (grouped.g, grouped.j_seen, grouped.f_seen, grouped.j_unseen, grouped.f_unseen)
            shown = ["-" if value is None else f"{100 * value:.1f}" for value in values]
            lines.append("G {}: J seen {}, F seen {}, J unseen {}, F unseen {}".format(*shown))
        if self.fps:
            lines.append(f"{self.fps:.2f} frames per second")
        if self.interrupted:
            lines.append(f"interrupted: {len(self.clips)} done, the means are over those")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain numbers, per-frame values included; NaN (which JSON lacks) as None."""
        grouped = self.grouped
        return {
            "interrupted": self.interrupted,
            "mean_j": _number(self.mean_j),
            "mean_f": _number(self.mean_f),
            "mean_jf": _number(self.mean_jf),
            "j": _numbers(self.j),
            "f": _numbers(self.f),
            "grouped": None if grouped is None else {"g": grouped.g, **vars(grouped)},
            "fps": self.fps,
            "memory": self.memory,
            "device_memory": self.device_memory,
            "conditions": self.conditions,
            "busy": self.busy,
            "objects": [
                {
                    "clip": row.clip,
                    "object": row.object_id,
                    "frames": row.frames,
                    "seen": row.seen,
                    "j": _numbers(row.j),
                    "f": _numbers(row.f),
                }
                for row in self.rows
            ],
            "clips": [
                {
                    "clip": clip.name,
                    "seconds": clip.cost.seconds if clip.cost else None,
                    "length": clip.cost.frames if clip.cost else None,
                    "frames": list(clip.frames),
                    "objects": list(clip.object_ids),
                    "j": [[_number(round(float(value), 6)) for value in row] for row in clip.j],
                    "f": [[_number(round(float(value), 6)) for value in row] for row in clip.f],
                }
                for clip in self.clips
            ],
        }

    def to_json(self, path: str | Path, **about: object) -> None:
        """Writes `about` and `as_dict()`. Raises: SaveError; nothing half-written is left."""
        write_json(path, {**about, **self.as_dict()})

    def to_csv(self, path: str | Path) -> None:
        """Writes a line an object, values in [0, 1]. Raises: SaveError; nothing half-written is left."""
        names = ("mean", "recall", "decay")
        head = ["clip", "object", "frames", *(f"j_{n}" for n in names), *(f"f_{n}" for n in names)]
        rows = [[row.clip, row.object_id, row.frames, *(f"{value:.6f}" for value in (*row.j, *row.f))] for row in self.rows]
        _write_csv(path, head, rows)

    def to_official_csv(self, folder: str | Path, subset: str = "val") -> list[Path]:
        """Writes global_results-SUBSET.csv and per-sequence_results-SUBSET.csv as the official tool does."""
        total, sequences = (Path(folder) / f"{name}-{subset}.csv" for name in ("global_results", "per-sequence_results"))
        _write_csv(total, GLOBAL_COLUMNS, [[_decimals(value) for value in (self.mean_jf, *self.j, *self.f)]])
        rows = [[f"{row.clip}_{row.object_id}", _decimals(row.j.mean), _decimals(row.f.mean)] for row in self.rows]
        _write_csv(sequences, SEQUENCE_COLUMNS, rows)
        return [total, sequences]

    def _row(self, clip: ClipScore, k: int) -> Row:
        there = ~np.isnan(clip.j[k])
        j, f = (statistics(values[k][there], legacy_decay=self.legacy_decay) for values in (clip.j, clip.f))
        return Row(clip.name, clip.object_ids[k], int(there.sum()), j, f, None if clip.seen is None else clip.seen[k])


def _over(each: Sequence[Statistics]) -> Statistics:
    return Statistics(*(_mean([getattr(one, name) for one in each]) for name in Statistics._fields))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else nan


def _largest(values: list[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _numbers(values: Statistics) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values._asdict().items()}


def _decimals(value: float) -> str:
    return "" if isnan(value) else f"{value:.3f}"


def _write_csv(path: str | Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
