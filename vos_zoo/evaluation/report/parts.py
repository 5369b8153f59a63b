"""Parts of the report's page: cards, tables, bars and small courses. Each takes the entrants and gives HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from vos_zoo.evaluation.metrics import Statistics
from vos_zoo.evaluation.scores import Scores
from vos_zoo.evaluation.scoring import ClipScore

MOST_SPARKS = 60


@dataclass(frozen=True)
class Entrant:
    """What the report shows of one model or folder of masks."""

    label: str
    scores: Scores
    masks: Path | None = None  # folder with <clip>/<frame>.png
    about: dict[str, Any] = field(default_factory=dict)  # lines of the section on how it was measured


def cards(entrants: Sequence[Entrant]) -> str:
    """A large figure for each."""
    found = []
    for n, entrant in enumerate(entrants):
        scores = entrant.scores
        facts = [f"J {percent(scores.mean_j)}", f"F {percent(scores.mean_f)}"]
        if scores.fps:
            facts.append(f"{scores.fps:.1f} frames/s")
        if scores.memory:
            facts.append(f"{scores.memory / 1e6:,.0f} MB")
        found.append(
            f'<div class="card s{n % 6}"><p class="who s{n % 6}">{escape(entrant.label)}</p>'
            f'<p class="figure">{percent(scores.mean_jf)}<span>J&amp;F</span></p>'
            f'<p class="soft">{"".join(f"<span>{fact}</span>" for fact in facts)}</p></div>'
        )
    return f'<div class="cards">{"".join(found)}</div>'


def table(entrants: Sequence[Entrant]) -> str:
    """The figures of the data set, as the official tool names them."""
    grouped = [entrant.scores.grouped for entrant in entrants]
    split = any(each is not None for each in grouped)
    head = ["", "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay"]
    head += ["G", "J seen", "F seen", "J unseen", "F unseen"] if split else []
    rows = []
    for n, (entrant, groups) in enumerate(zip(entrants, grouped, strict=True)):
        scores = entrant.scores
        values: list[float | None] = [scores.mean_jf, *scores.j, *scores.f]
        if split:
            values += [None] * 5 if groups is None else [groups.g, groups.j_seen, groups.f_seen, groups.j_unseen, groups.f_unseen]
        best = ['<td class="best">' if k == 0 else "<td>" for k in range(len(values))]
        cells = "".join(f"{cell}{percent(value)}</td>" for cell, value in zip(best, values, strict=True))
        rows.append(f'<tr><th scope="row"><span class="who s{n % 6}">{escape(entrant.label)}</span></th>{cells}</tr>')
    about = "In percent. Recall: frames above 50. Decay: the first quarter of the frames minus the last, so less is better."
    return f'<section><h2>Scores</h2><p class="soft">{about}</p>{_table(head, rows)}</section>'


def bars(entrants: Sequence[Entrant], names: Sequence[str]) -> str:
    """A row a sequence, a bar an entrant."""
    by_name = [{clip.name: clip for clip in entrant.scores.clips} for entrant in entrants]
    rows = []
    for name in names:
        lines = []
        for n, clips in enumerate(by_name):
            if name not in clips:
                continue
            value, label = 100 * clips[name].jf, escape(entrants[n].label)
            fill = f'<rect class="fill" width="{max(value, 0.5):.2f}%" height="100%" rx="3"/>'
            track = f'<svg class="track" aria-hidden="true"><rect class="rail" width="100%" height="100%" rx="3"/>{fill}</svg>'
            lines.append(f'<div class="bar s{n % 6}" title="{label}: {value:.1f}">{track}<b>{value:.1f}</b></div>')
        rows.append(f'<li><span class="name">{escape(name)}</span><div>{"".join(lines)}</div></li>')
    return f'<ol class="bars">{"".join(rows)}</ol>'


def sparks(entrants: Sequence[Entrant], names: Sequence[str]) -> str:
    """J over the scored frames, a small plot a sequence; the first and last of a very long list."""
    shown = list(names) if len(names) <= MOST_SPARKS else [*names[: MOST_SPARKS // 2], *names[-MOST_SPARKS // 2 :]]
    by_name = [{clip.name: clip for clip in entrant.scores.clips} for entrant in entrants]
    found = []
    for name in shown:
        curves = [_curve(clips[name], n) for n, clips in enumerate(by_name) if name in clips]
        grid = "".join(f'<line class="rail" x1="0" x2="100" y1="{y}" y2="{y}"/>' for y in (1, 25, 49))
        label = f'role="img" aria-label="J over time, {escape(name)}"'
        svg = f'<svg viewBox="0 0 100 50" preserveAspectRatio="none" {label}>{grid}{"".join(curves)}</svg>'
        found.append(f'<figure class="spark"><figcaption>{escape(name)}</figcaption>{svg}</figure>')
    left_out = f'<p class="soft">{len(names) - len(shown)} in the middle are left out.</p>' if len(shown) < len(names) else ""
    return f'<div class="sparks">{"".join(found)}</div>{left_out}'


def _curve(clip: ClipScore, n: int) -> str:
    there = ~np.isnan(clip.j).all(axis=0)
    mean = np.nanmean(clip.j[:, there], axis=0)
    places = np.flatnonzero(there) / max(len(clip.frames) - 1, 1)
    points = " ".join(f"{100 * x:.2f},{49 - 48 * y:.2f}" for x, y in zip(places, mean, strict=True))
    return f'<polyline class="s{n % 6} stroke" points="{points}"/>'


def details(entrants: Sequence[Entrant]) -> str:
    """All figures of all objects, folded."""
    found = []
    for n, entrant in enumerate(entrants):
        head = ["sequence", "object", "frames", "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay"]
        rows = [
            f'<tr><th scope="row">{escape(row.clip)}</th><td>{row.object_id}</td><td>{row.frames}</td>'
            + "".join(f"<td>{percent(value)}</td>" for value in (row.jf, *row.j, *row.f))
            + "</tr>"
            for row in entrant.scores.rows
        ]
        summary = f'<span class="who s{n % 6}">{escape(entrant.label)}</span> {len(rows)} objects'
        found.append(f"<details><summary>{summary}</summary>{_table(head, rows)}</details>")
    return "".join(found)


def facts(entrants: Sequence[Entrant], dataset: str) -> str:
    """What was measured, with what, on what."""
    found = [f'<dl class="facts"><dt>data set</dt><dd>{escape(dataset)}</dd></dl>']
    for n, entrant in enumerate(entrants):
        lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(_plain(value))}</dd>" for name, value in entrant.about.items())
        found.append(f'<h3 class="who s{n % 6}">{escape(entrant.label)}</h3><dl class="facts">{lines}</dl>')
    return "".join(found)


def percent(value: float | None) -> str:
    """0.6521 -> 65.2."""
    return "–" if value is None or isnan(value) else f"{100 * value:.1f}"


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) and not isinstance(value, Statistics) else str(value)
