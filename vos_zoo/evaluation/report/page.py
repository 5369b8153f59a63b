"""The report: one HTML page that needs nothing but itself, over one or several entrants on one data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from vos_zoo.errors import MaskError, VideoError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.report.parts import Entrant, bars, cards, details, facts, sparks, table
from vos_zoo.evaluation.report.strips import chosen_frames, strip
from vos_zoo.evaluation.report.svg import DARK, LIGHT, RULES, Axis, Series, plot, variables
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore
from vos_zoo.system.atomic import atomic_write

TITLES = {
    "davis2016": "DAVIS-2016",
    "davis2017": "DAVIS-2017",
    "davis2017-unsupervised": "DAVIS-2017, unsupervised",
    "youtubevos": "YouTube-VOS, a hold-out",
}
RULE = {
    "davis": "Figures are means over objects, as davis2017-evaluation computes them. An object's first annotated frame, in which it is "
    "given, and the last annotated one are not scored. An empty prediction of an absent object counts as right.",
    "unsupervised": "Nothing is given. All annotated frames are scored; void pixels are left out. At most 20 proposals are matched to the "
    "objects by their J&F over the whole sequence. Figures are means over objects, as davis2017-evaluation computes them.",
    "youtubevos": "A hold-out, not the validation set, whose masks are not public: these figures are not those of the server. An object is "
    "given in its first annotated frame and scored in the later ones but the last. G is the mean of J and F over seen and unseen objects.",
}
STEPS = 25  # points of the mean course


def write_report(path: str | Path, entrants: Sequence[Entrant], clips: Sequence[Clip], dataset: str) -> Path:
    """Writes the page. dataset: the spec, LAYOUT:ROOT. Raises SaveError."""
    with atomic_write(path) as temporary:
        temporary.write_text(page(entrants, clips, dataset), encoding="utf-8")
    return Path(path)


def page(entrants: Sequence[Entrant], clips: Sequence[Clip], dataset: str) -> str:
    """The page as text."""
    layout, _, root = dataset.partition(":")
    title = TITLES.get(layout) or Path(root).name
    done = sorted((each for each in entrants if each.scores.clips), key=lambda each: -each.scores.mean_jf)
    first = done[0].scores if done else Scores()
    rows = first.rows
    counts = [_count(len(first.clips), "sequence"), _count(len(rows), "object"), _count(sum(row.frames for row in rows), "scored mask")]
    sections = [cards(done), _partial(entrants, clips), table(done)]
    if done:
        order = sorted(first.clips, key=lambda clip: -clip.jf)
        names = [clip.name for clip in order]
        sections += [
            _section("J&F per sequence", bars(done, names), "Mean over the objects of a sequence, best first."),
            _section(
                "J over time",
                _courses(done) + sparks(done, names),
                "Small: J of each sequence, mean over its objects, from the first scored frame to the last; lines at 0, 50 and 100.",
            ),
            _section(
                "Frames", _frames(done, clips, order), "Colours are the objects; J of each frame, mean over its objects, stands below."
            ),
            _section("Speed and memory", _speed(done), "Decoding, resizing, the model, and compressed masks out."),
            _section("Every object", details(done), ""),
            _section("How this was measured", facts(done, dataset), _rule(layout, clips)),
        ]
    style = (
        f":root{{{variables(LIGHT)}}}@media(prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
        + Path(__file__).with_name("report.css").read_text(encoding="utf-8")
        + RULES
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}: {escape(", ".join(e.label for e in entrants))}</title>'
        f"<style>{style}</style></head><body><main>"
        f'<header><p class="mark">vos_zoo · evaluation</p><h1>{escape(title)}</h1><p class="soft">{" · ".join(counts)}</p></header>'
        + "\n".join(sections)
        + "</main></body></html>\n"
    )


def _section(title: str, body: str, about: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{f'<p class=soft>{escape(about)}</p>' if about else ''}{body}</section>"


def _rule(layout: str, clips: Sequence[Clip]) -> str:
    if layout != "youtubevos":
        return RULE["unsupervised" if layout.endswith("unsupervised") else "davis"]
    between = any(len(clip.frame_names or ()) > len(clip.masks) for clip in clips)
    which = "All frames were predicted, those between the annotated ones too." if between else "Only the annotated frames were predicted."
    return f"{RULE['youtubevos']} {which}"


def _partial(entrants: Sequence[Entrant], clips: Sequence[Clip]) -> str:
    """A word on entrants that have not all sequences: their means are not comparable."""
    short = [f"{escape(e.label)}: {len(e.scores.clips)} of {len(clips)} sequences" for e in entrants if len(e.scores.clips) < len(clips)]
    return f'<p class="warning">Not all are done, so these figures can\'t be compared: {"; ".join(short)}.</p>' if short else ""


def _courses(entrants: Sequence[Entrant]) -> str:
    """The mean over all objects, by the share of their sequence that has passed."""
    grid = np.linspace(0, 1, STEPS)
    x = Axis("share of the sequence, %", (0, 25, 50, 75, 100))
    found = []
    for name, pick in (("J", lambda clip: clip.j), ("F", lambda clip: clip.f)):
        series = []
        for n, entrant in enumerate(entrants):
            mean = 100 * np.mean([_course(values, grid) for clip in entrant.scores.clips for values in pick(clip)], 0)
            series.append(Series(entrant.label, tuple(zip((100 * grid).tolist(), mean.tolist(), strict=True)), n))
        found.append(
            f'<div class="panel">{plot(f"{name}, all objects", x, Axis("%", (0, 25, 50, 75, 100)), series, legend=len(series) > 1)}</div>'
        )
    return f'<div class="plots">{"".join(found)}</div>'


def _course(values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    there = values[~np.isnan(values)]
    return np.interp(grid, np.linspace(0, 1, len(there)), there) if len(there) > 1 else np.full(len(grid), there[0])


def _frames(entrants: Sequence[Entrant], clips: Sequence[Clip], order: Sequence[ClipScore]) -> str:
    by_name = {clip.name: clip for clip in clips}
    chosen = [("best", order[0])] + ([("worst", order[-1])] if len(order) > 1 else [])
    return "".join(_strip(kind, by_name[score.name], entrants) for kind, score in chosen)


def _strip(kind: str, clip: Clip, entrants: Sequence[Entrant]) -> str:
    frames = chosen_frames(clip)
    shown = [(n, e, next((c for c in e.scores.clips if c.name == clip.name), None)) for n, e in enumerate(entrants)]
    layers: list[Any] = [partial(_truth, clip)] + [partial(_mask, entrant, clip, score) for _, entrant, score in shown]
    try:
        rows = strip(clip, frames, layers)
    except (VideoError, MaskError, OSError) as error:
        return f'<p class="warning">{escape(clip.name)} can\'t be shown: {escape(str(error))}</p>'
    head = f'<h3><span class="tag">{kind}</span> {escape(clip.name)}</h3>'
    body = _row("true masks", "", rows[0], [f"frame {escape(clip.frame_name(index))}" for index in frames])
    for (n, entrant, score), pictures in zip(shown, rows[1:], strict=True):
        if score is not None:
            body += _row(entrant.label, f"s{n % 6}", pictures, [_told(score, index) for index in frames])
    return f'<div class="strip">{head}{body}</div>'


def _row(label: str, colour: str, pictures: Sequence[str], captions: Sequence[str]) -> str:
    cells = "".join(
        f'<figure><img src="{source}" alt="{escape(label)}, {caption}"><figcaption>{caption}</figcaption></figure>'
        for source, caption in zip(pictures, captions, strict=True)
    )
    return f'<p class="who {colour}">{escape(label)}</p><div class="pictures">{cells}</div>'


def _told(score: ClipScore, index: int) -> str:
    values = score.j[:, score.frames.index(index)]
    mean = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
    return "not scored" if isnan(mean) else f"J {100 * mean:.0f}"


def _truth(clip: Clip, index: int) -> np.ndarray:
    return clip.truth(index)


def _mask(entrant: Entrant, clip: Clip, score: ClipScore | None, index: int) -> np.ndarray | None:
    if entrant.masks is None or score is None:
        return None
    path = entrant.masks / clip.name / f"{clip.frame_name(index)}.png"
    labels = clip.read(path, name=str(path)) if path.is_file() else None
    if labels is None or score.proposals is None:
        return labels
    matched = np.zeros_like(labels)
    for object_id, proposal in zip(score.object_ids, score.proposals, strict=True):
        matched[labels == proposal] = object_id
    return matched


def _speed(entrants: Sequence[Entrant]) -> str:
    lines = []
    for n, entrant in enumerate(entrants):
        scores = entrant.scores
        fps, memory, device = scores.fps, scores.memory, scores.device_memory
        if fps is None:
            text = "masks made elsewhere: no speed was measured"
        else:
            figures = [f"<b>{fps:.2f}</b> frames per second, {1000 / fps:.0f} ms a frame"]
            figures += [f"peak memory of the process {memory / 1e6:,.0f} MB"] if memory else []
            figures += [f"of tensors on the GPU {device / 1e6:,.0f} MB"] if device else []
            text = "; ".join(figures) + f'<br><span class="soft">on {escape(" / ".join(scores.conditions))}</span>' + _busy(entrant)
        lines.append(f'<li><span class="who s{n % 6}">{escape(entrant.label)}</span> {text}</li>')
    return f'<ul class="speed">{"".join(lines)}</ul>'


def _busy(entrant: Entrant) -> str:
    busy = entrant.scores.busy
    return f'<br><span class="soft">Other programs were at work (load average {busy}): alone it is faster.</span>' if busy else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
