"""Plots over the JSON files that `tools/benchmark.py` and `vos-zoo evaluate` write: accuracy, speed, objects, length, memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vos_zoo.evaluation.report.svg import Axis, Series, plot

Record = Mapping[str, Any]


def plots(scores: Sequence[Record], speed: Sequence[Record], memory: Sequence[Record]) -> dict[str, str]:
    """File name -> SVG, of those for which there are figures.

    Args:
        scores: what evaluate wrote, a model each.
        speed: what the benchmark wrote, a run each.
        memory: the same.
    """
    timings = [row for run in speed for row in run["results"]]
    peaks = [row for run in memory for row in run["results"]]
    drawn = {
        "accuracy-speed.svg": accuracy_against_speed(scores, timings),
        "speed-objects.svg": speed_against_objects(timings),
        "speed-length.svg": speed_against_length(timings),
        "memory-length.svg": memory_against_length(peaks),
    }
    return {name: svg for name, svg in drawn.items() if svg}


def accuracy_against_speed(scores: Sequence[Record], timings: Sequence[Record]) -> str:
    """J&F of every model over its frames per second, end to end with one object as the benchmark measured them."""
    series: list[Series] = []
    for score in scores:
        rows = [row for row in _trained(timings, "end to end") if row["model"] == score["label"] and row["objects"] == 1]
        if rows and score["mean_jf"] is not None:
            series.append(Series(score["label"], ((rows[0]["fps"], 100 * score["mean_jf"]),), len(series), line=False))
    if not series:
        return ""
    x = Axis.over([point[0] for one in series for point in one.points], "frames per second, end to end, one object", log=True)
    return plot("J&F against speed", x, Axis("J&F", (0, 20, 40, 60, 80, 100)), series, alone=True)


def speed_against_objects(timings: Sequence[Record]) -> str:
    """Frames per second of the model alone over the number of objects, for the size that most were measured at."""
    return _lines("Speed and objects", _usual_size(_rows(timings, "model only")), "objects", "fps", "frames per second, model only")


def speed_against_length(timings: Sequence[Record]) -> str:
    """Frames per second end to end over the length of the video."""
    rows = [row for row in _usual_size(_rows(timings, "end to end")) if row["objects"] == 1]
    return _lines("Speed and length", rows, "frames", "fps", "frames per second, end to end")


def memory_against_length(peaks: Sequence[Record]) -> str:
    """Peak memory of a fresh process, in MB, over the length of the streamed video, for the size that most were measured at."""
    rows = _usual_size([{**row, "mb": row["peak"] / 1e6} for row in peaks if row["through"] == "stream"])
    return _lines("Memory and length", rows, "frames", "mb", "peak MB of the process, streaming", zero=True, log=True)


def _lines(title: str, rows: Sequence[Record], across: str, up: str, label: str, *, zero: bool = True, log: bool = False) -> str:
    """A line a model, where there are at least two points; several measurements of one point count by the first."""
    series: list[Series] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        points = {row[across]: row[up] for row in reversed(rows) if row["model"] == model}
        if len(points) > 1:
            series.append(Series(model, tuple(sorted(points.items())), len(series)))
    if not series:
        return ""
    every = [point for one in series for point in one.points]
    x = Axis.over([point[0] for point in every], across, log=log, zero=not log)
    return plot(title, x, Axis.over([point[1] for point in every], label, zero=zero), series, alone=True)


def _rows(timings: Iterable[Record], what: str) -> list[Record]:
    return [row for row in timings if row["what"] == what]


def _trained(timings: Iterable[Record], what: str) -> list[Record]:
    return [row for row in _rows(timings, what) if row["trained"]]


def _usual_size(rows: Sequence[Record]) -> list[Record]:
    sizes = [tuple(row["size"]) for row in rows]
    usual = max(dict.fromkeys(sizes), key=sizes.count, default=None)
    return [row for row in rows if tuple(row["size"]) == usual]
