"""What came out, in numbers: for programs as a dict, for people as a chart and a few sentences."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

import vos_zoo
from studio.clips import Clip
from studio.looks import USUAL, Looks
from studio.results import Part

MOST_LINKS = 8  # of an object's lost stretches


def summarise(clip: Clip, parts: list[Part], *, finished: bool, seconds: float, predicted: float) -> dict[str, Any]:
    """Frames count from 0; stretches are [first, last]."""
    told: dict[str, Any] = {
        "model": parts[0].title,
        "frames": len(parts[0].masks),
        "first_frame": parts[0].begin,
        "width": clip.width,
        "height": clip.height,
        "fps": round(clip.fps, 3),
        "finished": finished,
        "seconds": round(seconds, 1),
        "predicted_seconds": round(predicted, 1),
        "objects": _objects(parts[0]),
    }
    if len(parts) > 1:
        told["compared_with"] = {
            "model": parts[1].title,
            "objects": _objects(parts[1]),
            "agreement": agreement(parts[0].masks, parts[1].masks),
        }
    return told


def stretches(lost: np.ndarray) -> list[tuple[int, int]]:
    """[first, last] of each run of True in a (T,) array."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in edges.reshape(-1, 2)]


def agreement(one: vos_zoo.MaskSequence, other: vos_zoo.MaskSequence) -> float:
    """Share of the object pixels of either that both give to the same object, 0..1; 1 if neither has any."""
    same = either = 0
    for a, b in zip(one, other, strict=False):
        same += int(((a == b) & (a > 0)).sum())
        either += int(((a > 0) | (b > 0)).sum())
    return round(same / either, 4) if either else 1.0


def _objects(part: Part) -> list[dict[str, Any]]:
    masks, told = part.masks, []
    height, width = masks.size
    for column, k in enumerate(masks.object_ids):
        area, confidence = masks.area[:, column], masks.confidence[:, column]
        known = confidence[~np.isnan(confidence)]
        told.append(
            {
                "id": k,
                "frames_seen": int((area > 0).sum()),
                "mean_share_of_picture": round(float(area.mean()) / (height * width), 5),
                "mean_confidence": round(float(known.mean()), 3) if known.size else None,
                "lost": [[part.begin + a, part.begin + b] for a, b in stretches(masks.lost[:, column])],
            }
        )
    return told


def chart(clip: Clip, part: Part, looks: Looks = USUAL) -> str:
    """Each object's share of the picture and how sure the model is of it, over time; where it is lost the ground is hatched. HTML."""
    masks = part.masks
    if not masks.object_ids:
        return f'<p class="vz-quiet">{escape(part.title)} found no object in this clip.</p>'
    count = len(masks)
    share = 100 * masks.area / (masks.size[0] * masks.size[1])
    confidence = 100 * np.nan_to_num(masks.confidence.astype(float), nan=0.0)
    peak = float(share.max()) or 1.0
    top = next(nice for nice in (1, 2, 5, 10, 20, 30, 40, 50, 60, 80, 100) if nice >= min(peak, 100))
    lost = [(k, stretches(masks.lost[:, n])) for n, k in enumerate(masks.object_ids)]
    lanes = "".join(_lane(k, gone, part.begin, count, clip.fps, looks) for k, gone in lost)
    seconds = [(part.begin + t * (count - 1)) / clip.fps for t in (0, 0.5, 1)]
    axis = "".join(f"<span>{moment:.1f} s</span>" for moment in seconds)
    keys = "".join(f'<li><i style="background:{looks.colour(k)}"></i>{escape(looks.name(k))}</li>' for k in masks.object_ids)
    return f"""<figure class="vz-chart"><figcaption><b>{escape(part.title)}</b><ul class="vz-keys">{keys}</ul></figcaption>
{_plot("Size, share of the picture", f"{top} %", share / top, masks.object_ids, _spoken("size", share, part, looks), looks)}
{_plot("How sure the model is", "100 %", confidence / 100, masks.object_ids, _spoken("certainty", confidence, part, looks), looks)}
<div class="vz-lanes"><p class="vz-plot-name">Lost or out of sight</p>{lanes}</div>
<div class="vz-axis" aria-hidden="true">{axis}</div></figure>"""


def _plot(name: str, top: str, values: np.ndarray, ids: tuple[int, ...], spoken: str, looks: Looks) -> str:
    count = len(values)
    lines = []
    for column, k in enumerate(ids):
        points = " ".join(f"{100 * t / max(count - 1, 1):.2f},{40 - 38 * min(float(v), 1):.2f}" for t, v in enumerate(values[:, column]))
        shape = f'<polyline points="{points}" stroke="{looks.colour(k)}"/>'
        if count == 1:
            shape = f'<polyline points="0,{points.split(",")[1]} 100,{points.split(",")[1]}" stroke="{looks.colour(k)}"/>'
        lines.append(shape)
    grid = "".join(f'<line x1="0" x2="100" y1="{y}" y2="{y}"/>' for y in (2, 21, 40))
    return (
        f'<div class="vz-plot"><p class="vz-plot-name">{name}<span>{top}</span></p><svg viewBox="0 0 100 42" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(spoken)}"><g class="vz-grid">{grid}</g>{"".join(lines)}</svg></div>'
    )


def _lane(k: int, gone: list[tuple[int, int]], begin: int, count: int, fps: float, looks: Looks) -> str:
    bars = "".join(
        f'<i style="left:{100 * a / count:.2f}%;width:{100 * (b - a + 1) / count:.2f}%;color:{looks.colour(k)}" '
        f'title="{escape(looks.name(k))}: frames {begin + a} to {begin + b}"></i>'
        for a, b in gone
    )
    return f'<div class="vz-lane" role="img" aria-label="{escape(in_words(looks.name(k), gone, begin, count, fps))}">{bars}</div>'


def in_words(name: str, gone: list[tuple[int, int]], begin: int, count: int, fps: float) -> str:
    """Object 1: lost 1.2 to 1.6 s, on the last frame. count: frames that there are."""
    if not gone:
        return f"{name}: never lost"
    told = [_stretch(begin, count, fps, *each) for each in gone[:3]]
    more = f" and {len(gone) - 3} more times" if len(gone) > 3 else ""
    return f"{name}: lost {', '.join(told)}{more}"


def _stretch(begin: int, count: int, fps: float, a: int, b: int) -> str:
    if a == b == count - 1:
        return "on the last frame"
    if a == b:
        return f"at {(begin + a) / fps:.1f} s"
    return f"from {(begin + a) / fps:.1f} s to the end" if b == count - 1 else f"{(begin + a) / fps:.1f} to {(begin + b + 1) / fps:.1f} s"


def lost_in_links(clip: Clip, part: Part, looks: Looks = USUAL) -> list[str]:
    """A line of HTML for each object that was lost somewhere; each stretch shows its first frame when it is pressed."""
    lines = []
    for n, k in enumerate(part.masks.object_ids):
        gone = stretches(part.masks.lost[:, n])
        links = [
            f'<button type="button" class="vz-link" data-frame-shown="{part.begin + a}">'
            f"{_stretch(part.begin, len(part.masks), clip.fps, a, b)}</button>"
            for a, b in gone[:MOST_LINKS]
        ]
        if links:
            more = f" and {len(gone) - MOST_LINKS} more times" if len(gone) > MOST_LINKS else ""
            lines.append(f"{escape(looks.name(k))}: lost {', '.join(links)}{more}")
    return lines


def _spoken(what: str, values: np.ndarray, part: Part, looks: Looks) -> str:
    told = [f"{looks.name(k)} from {values[0, n]:.0f} to {values[-1, n]:.0f} percent" for n, k in enumerate(part.masks.object_ids)]
    return f"Chart of {what}: {', '.join(told)}"
