"""Plots as SVG, written by hand: lines or points over two axes, linear or logarithmic, on light and dark grounds.

A plot is drawn for a width of about 400 pixels, so that it can be read on a phone; wider pages put several side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

SERIES = 6  # colours; further series start over
LIGHT = {"ground": "#ffffff", "ink": "#1c1d21", "soft": "#5d6069", "line": "#e4e4df",
         "s0": "#2f5fd0", "s1": "#c2620a", "s2": "#0c8a6a", "s3": "#b0308a", "s4": "#6d4bd1", "s5": "#5b6470"}  # fmt: skip
DARK = {"ground": "#1b1d21", "ink": "#ecedf0", "soft": "#a6a9b3", "line": "#2f323a",
        "s0": "#7ea6ff", "s1": "#f0a35e", "s2": "#4fcaa5", "s3": "#e88bcb", "s4": "#b39dff", "s5": "#a9b1bd"}  # fmt: skip
WIDTH, HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 30, 40
_CHARACTER = 7.0  # width of one at 12.5 px, about


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one colour. A label stands beside the last point, and in the tooltip of all."""

    label: str
    points: tuple[tuple[float, float], ...]
    colour: int = 0
    line: bool = True
    hollow: bool = False  # points are rings: figures of somebody else


@dataclass(frozen=True)
class Axis:
    """What an axis shows, from the lowest tick to the highest."""

    label: str
    ticks: tuple[float, ...]
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], label: str, *, log: bool = False, zero: bool = False) -> Axis:
        """An axis with round ticks that holds all values; zero: from 0 on. Log: decades and their 2 and 5."""
        finite = [value for value in values if isfinite(value) and (value > 0 or not log)]
        low, high = (min(finite), max(finite)) if finite else (1.0, 2.0)
        if log:
            steps = [factor * 10.0**power for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 2) for factor in (1, 2, 5)]
            inside = [step for step in steps if low <= step <= high]
            below, above = max(s for s in steps if s <= low * 1.0001), min(s for s in steps if s >= high * 0.9999 and s > low)
            ticks = sorted({below, *inside, above})
            return cls(label, tuple(ticks if len(ticks) <= 8 else [t for t in ticks if t in (below, above) or _first_digit(t) == 1]), True)
        low = min(0.0, low) if zero else low
        step = _round_step((high - low or abs(high) or 1.0) / 4)
        first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
        return cls(label, tuple(round(n * step, 10) for n in range(first, max(last, first + 1) + 1)))

    def place(self, value: float) -> float:
        """0 at the lowest tick, 1 at the highest."""
        low, high, value = (log10(v) if self.log else v for v in (self.ticks[0], self.ticks[-1], value))
        return (value - low) / (high - low)


def plot(title: str, x: Axis, y: Axis, series: Sequence[Series], *, alone: bool = False, legend: bool = True) -> str:
    """One SVG. alone: with colours of its own, for a file; else the page around it defines them as --s0, --ink, ..."""
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return _LEFT + x.place(point[0]) * (right - _LEFT), bottom - y.place(point[1]) * (bottom - _TOP)

    parts = [f'<text class="name" x="{_LEFT - 36}" y="14">{escape(title)}</text>']
    for tick in y.ticks:
        level = at((x.ticks[0], tick))[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{level + 4:.1f}">{number(tick)}</text>')
    for tick in x.ticks:
        across = at((tick, y.ticks[0]))[0]
        parts.append(f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text class="tick middle" x="{across:.1f}" y="{bottom + 17}">{number(tick)}</text>')
    parts.append(f'<text class="tick middle" x="{(_LEFT + right) / 2:.0f}" y="{HEIGHT - 6}">{escape(x.label)}</text>')
    parts.append(f'<text class="tick end" x="{right}" y="14">{escape(y.label)}</text>')
    taken: list[tuple[float, float, float]] = []
    points = [at(point) for one in series if not one.line for point in one.points]
    labels, dots = [], []
    for one in series:
        colour = f"s{one.colour % SERIES}"
        places = [at(point) for point in one.points]
        if one.line and len(places) > 1:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
            parts.append(f'<polyline class="{colour} stroke" points="{path}"/>')
        if not one.line or len(places) <= 12:
            for (a, b), point in zip(places, one.points, strict=True):
                told = f"{one.label}: {number(point[0])}, {number(point[1])}"
                ring = " ring" if one.hollow else ""
                dots.append(f'<circle class="{colour} fill{ring}" cx="{a:.1f}" cy="{b:.1f}" r="4"><title>{escape(told)}</title></circle>')
        if places and legend:
            labels.append(_label(one.label, colour, places, taken, [point for point in points if point not in places], right))
    body = "\n".join(parts + labels + dots)
    style = f"<style>{_style()}</style>" if alone else ""
    ground = f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>' if alone else ""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            f"{style}{ground}\n{body}\n</svg>")  # fmt: skip


def variables(colours: dict[str, str]) -> str:
    """CSS custom properties."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def number(value: float) -> str:
    """Short: 0.25, 12, 1,500, 2e-05."""
    if value and abs(value) < 0.001:
        return f"{value:g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


RULES = """
.plot text{font:12.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}
.plot .name{font-weight:600;font-size:14px;fill:var(--ink)}
.plot .end{text-anchor:end}.plot .middle{text-anchor:middle}
.plot .grid{stroke:var(--line)}
.plot .ground{fill:var(--ground)}
.plot .stroke{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.plot .label{font-weight:600;paint-order:stroke;stroke:var(--ground);stroke-width:4px;stroke-linejoin:round}
""" + "".join(
    f".plot .s{n}.stroke{{stroke:var(--s{n})}}.plot .s{n}.fill{{fill:var(--s{n})}}.plot .s{n}.label{{fill:var(--s{n})}}"
    f".plot .s{n}.ring{{fill:var(--ground);stroke:var(--s{n});stroke-width:1.6}}\n"
    for n in range(SERIES)
)


def _style() -> str:
    return f".plot{{{variables(LIGHT)}}}@media(prefers-color-scheme:dark){{.plot{{{variables(DARK)}}}}}{RULES}"


def _label(
    text: str,
    colour: str,
    places: Sequence[tuple[float, float]],
    taken: list[tuple[float, float, float]],
    points: Sequence[tuple[float, float]],
    right: float,
) -> str:
    """Beside the last point, on the side where there is room, above its own line, moved until it covers no other label and no point."""
    width, (across, down) = len(text) * _CHARACTER, places[-1]
    sides = [left for left in (across + 8, across - 8 - width) if left >= _LEFT + 2 and left + width <= right] or [_LEFT + 2]
    wanted = []
    for left in sides:
        level = min([down, *(b for a, b in places if left - 6 <= a <= left + width + 6)]) - 7
        wanted.append((left, level if level > _TOP + 4 else down + 16))
    tried = [
        (left, min(max(level + shift, _TOP + 8), HEIGHT - _BOTTOM - 4))
        for shift in (0, -13, 13, -26, 26, -39, 39, 52, 65)
        for left, level in wanted
    ]
    for left, level in tried:
        over_label = any(abs(level - other) < 12 and left <= end and left + width >= begin for begin, end, other in taken)
        over_point = any(left - 4 <= a <= left + width + 4 and level - 14 <= b <= level + 6 for a, b in points)
        if not over_label and not over_point:
            break
    else:
        left, level = tried[0]
    taken.append((left, left + width, level))
    return f'<text class="label {colour}" x="{left:.1f}" y="{level:.1f}">{escape(text)}</text>'


def _round_step(step: float) -> float:
    power = 10.0 ** floor(log10(step))
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _first_digit(value: float) -> int:
    return int(f"{value:e}"[0])
