"""Draw the diagrams of the documentation: docs/drawings/*.svg.

    python tools/make_drawings.py            # writes them
    python tools/make_drawings.py --check    # exit status 1 if one is not what this program draws

A drawing is boxes on a grid and arrows between them. Colours say what a thing is: given (a frame, a mask), computed once a frame, computed
once an object, or remembered.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from vos_zoo.system.atomic import atomic_write

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "drawings"
FILL = {"given": "#fff1e0", "frame": "#e3eefb", "object": "#e6f4e6", "memory": "#f3e6f7", "plain": "#f4f4f4"}
LINE = {"given": "#d9822b", "frame": "#3b76b5", "object": "#4c9a52", "memory": "#8e4ba3", "plain": "#777777"}
MEANING = {"given": "given", "frame": "once a frame", "object": "for each object", "memory": "remembered"}
CELL_WIDTH, CELL_HEIGHT, BOX_WIDTH, BOX_HEIGHT, MARGIN = 158, 84, 132, 54, 16


@dataclass(frozen=True)
class Box:
    """A box in a column and row of the grid; `wide` columns wide."""

    name: str
    text: str  # lines parted by |
    column: float
    row: float
    kind: str = "plain"
    wide: float = 1

    @property
    def left(self) -> float:
        return MARGIN + self.column * CELL_WIDTH

    @property
    def top(self) -> float:
        return MARGIN + self.row * CELL_HEIGHT

    @property
    def width(self) -> float:
        return BOX_WIDTH + (self.wide - 1) * CELL_WIDTH

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + BOX_HEIGHT / 2


@dataclass(frozen=True)
class Arrow:
    """From one box to another; dashed: from the frame before."""

    start: str
    end: str
    text: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Drawing:
    """A diagram, and the sentence that a screen reader reads."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    key: bool = True  # whether the colours are explained below


DRAWINGS = {
    "crvos": Drawing(
        "CRVOS: three refine modules turn a frame's features and the previous coarse mask into the next mask",
        (
            Box("frame", "frame t", 0, 0, "given"),
            Box("trunk", "trunk|strides 16, 8, 4", 1, 0, "frame"),
            Box("clue", "the Clue|coarse mask of t-1|and coordinates", 0, 1.5, "memory"),
            Box("r16", "refine|stride 16", 1, 1.5, "object"),
            Box("r8", "refine|stride 8", 2, 1.5, "object"),
            Box("r4", "refine|stride 4", 3, 1.5, "object"),
            Box("mask", "mask t", 4, 1.5, "object"),
        ),
        (
            Arrow("frame", "trunk"),
            Arrow("trunk", "r16"),
            Arrow("trunk", "r8"),
            Arrow("trunk", "r4"),
            Arrow("clue", "r16"),
            Arrow("r16", "r8"),
            Arrow("r8", "r4"),
            Arrow("r4", "mask"),
        ),
    ),
    "rvos": Drawing(
        "RVOS: four ConvLSTM levels, deepest first, see the frame, the object before and the same object one frame before",
        (
            Box("frame", "frame t", 0, 0, "given"),
            Box("trunk", "trunk and skips|strides 32, 16, 8, 4", 1, 0, "frame"),
            Box("before", "object before|hidden map and cell", 2.4, 0, "object"),
            Box("old", "temporal: mask|and hidden maps|of frame t-1", 0, 1.5, "memory"),
            Box("l32", "ConvLSTM|stride 32", 1, 1.5, "object"),
            Box("l16", "ConvLSTM|stride 16", 2, 1.5, "object"),
            Box("l8", "ConvLSTM|stride 8", 3, 1.5, "object"),
            Box("l4", "ConvLSTM|stride 4", 4, 1.5, "object"),
            Box("mask", "mask t", 5, 1.5, "object"),
        ),
        (
            Arrow("frame", "trunk"),
            Arrow("trunk", "l32"),
            Arrow("before", "l16", "spatial recurrence"),
            Arrow("old", "l32", "", True),
            Arrow("l32", "l16"),
            Arrow("l16", "l8"),
            Arrow("l8", "l4"),
            Arrow("l4", "mask"),
        ),
    ),
    "acclvos": Drawing(
        "ACCLVOS: as RVOS, with a dilated trunk, atrous pooling on the deepest features and two levels at stride 16",
        (
            Box("frame", "frame t", 0, 0, "given"),
            Box("trunk", "dilated trunk|strides 16, 16, 8, 4", 1, 0, "frame"),
            Box("aspp", "ASPP|rates 2, 4, 8", 2, 0, "frame"),
            Box("before", "object before|hidden map and cell", 3.4, 0, "object"),
            Box("old", "temporal: mask|and hidden maps|of frame t-1", 0, 1.5, "memory"),
            Box("deep", "ConvLSTM|stride 16", 1, 1.5, "object"),
            Box("l16", "ConvLSTM|stride 16", 2, 1.5, "object"),
            Box("l8", "ConvLSTM|stride 8", 3, 1.5, "object"),
            Box("l4", "ConvLSTM|stride 4", 4, 1.5, "object"),
            Box("mask", "mask t", 5, 1.5, "object"),
        ),
        (
            Arrow("frame", "trunk"),
            Arrow("trunk", "aspp"),
            Arrow("aspp", "deep"),
            Arrow("before", "l8", "spatial recurrence"),
            Arrow("old", "deep", "", True),
            Arrow("deep", "l16"),
            Arrow("l16", "l8"),
            Arrow("l8", "l4"),
            Arrow("l4", "mask"),
        ),
    ),
    "scm": Drawing(
        "SCM: each position of the frame asks all positions of the remembered frames, and a decoder makes a mask of the answers",
        (
            Box("prior", "prior|from mask t-1", 4, 0, "memory"),
            Box("frame", "frame t", 0, 1.2, "given"),
            Box("query", "query encoder|key and value", 1, 1.2, "frame"),
            Box("read", "memory read", 2, 1.2, "object"),
            Box("mix", "ASPP", 3, 1.2, "object"),
            Box("decode", "decoder|and refine module", 4, 1.2, "object"),
            Box("mask", "mask t", 5, 1.2, "object"),
            Box("memory", "memory: first frame, previous one,|and some between", 1.7, 2.4, "memory", 1.6),
            Box("write", "memory encoder|frame and masks", 5, 2.4, "object"),
        ),
        (
            Arrow("frame", "query"),
            Arrow("query", "read"),
            Arrow("read", "mix"),
            Arrow("mix", "decode"),
            Arrow("decode", "mask"),
            Arrow("memory", "read"),
            Arrow("prior", "decode"),
            Arrow("mask", "write"),
            Arrow("write", "memory", "for the next frames", True),
        ),
    ),
    "redetection": Drawing(
        "Redetection: in every fourth frame the mask is compared with a map of where the object may be by its looks",
        (
            Box("frame", "frame t", 0, 0, "given"),
            Box("map", "map by looks:|like which|annotated cells?", 1, 0, "frame"),
            Box("annotated", "cells of the|annotated frames", 1, 1.5, "memory"),
            Box("mask", "the model's mask", 0, 3, "object"),
            Box("agree", "do they|agree?", 2.2, 1.5, "object"),
            Box("keep", "yes: it stays", 3.6, 0, "plain"),
            Box("again", "no: the model is given|the map and steps again", 3.6, 1.5, "plain", 1.3),
            Box("take", "nothing like it there:|taken away, lost", 3.6, 3, "plain", 1.3),
        ),
        (
            Arrow("frame", "map"),
            Arrow("annotated", "map"),
            Arrow("map", "agree"),
            Arrow("mask", "agree"),
            Arrow("agree", "keep"),
            Arrow("agree", "again"),
            Arrow("agree", "take"),
        ),
    ),
    "rooms": Drawing(
        "The rooms of vos_zoo: a room imports those below it, never those above",
        (
            Box("commands", "cli, commands", 0, 0, "plain", 5),
            Box("zoo", "zoo, ensembles", 0, 0.85, "object", 2),
            Box("convert", "convert", 2, 0.85, "plain"),
            Box("benchmark", "benchmark", 3, 0.85, "plain"),
            Box("jobs", "jobs", 4, 0.85, "plain"),
            Box("segmenter", "segmenter, saving|ready for videos", 0, 1.7, "object", 2),
            Box("publish", "publish", 2, 1.7, "plain"),
            Box("runtimes", "runtimes", 3, 1.7, "memory"),
            Box("evaluation", "evaluation", 4, 1.7, "plain"),
            Box("train", "train", 0, 2.55, "plain"),
            Box("engine", "engine|one video through a model", 1, 2.55, "frame", 4),
            Box("pointing", "pointing", 0, 3.4, "object"),
            Box("checkpoints", "checkpoints", 1, 3.4, "memory"),
            Box("models", "models|a file a model", 2, 3.4, "memory", 2),
            Box("datasets", "datasets", 4, 3.4, "given"),
            Box("masks", "masks", 0, 4.25, "given", 2.5),
            Box("videos", "videos", 2.5, 4.25, "given", 2.5),
            Box("example", "example", 0, 5.1, "plain"),
            Box("system", "system, errors", 1, 5.1, "plain", 4),
        ),
        (
            Arrow("train", "engine"),
            Arrow("pointing", "checkpoints"),
            Arrow("checkpoints", "models"),
            Arrow("masks", "videos"),
            Arrow("example", "system"),
        ),
        key=False,
    ),
    "frame": Drawing(
        "One frame's walk: from the reader through the model and back to a mask of the video's size",
        (
            Box("reader", "videos|a frame, uint8", 0, 0, "given"),
            Box("ahead", "engine/read_ahead|read while others run", 1, 0, "frame"),
            Box("grid", "engine/grid|to the model's size", 2, 0, "frame"),
            Box("encode", "model.encode", 3, 0, "frame"),
            Box("step", "model.step|objects compete", 3, 1.3, "object"),
            Box("state", "state", 4.2, 1.3, "memory"),
            Box("check", "engine/redetection|each fourth frame", 2, 1.3, "object"),
            Box("labels", "engine/grid|to the video's size", 1, 1.3, "object"),
            Box("masks", "masks|ids, compressed", 0, 1.3, "given"),
        ),
        (
            Arrow("reader", "ahead"),
            Arrow("ahead", "grid"),
            Arrow("grid", "encode"),
            Arrow("encode", "step"),
            Arrow("state", "step", "", True),
            Arrow("step", "check"),
            Arrow("check", "labels"),
            Arrow("labels", "masks"),
        ),
    ),
}


def svg(drawing: Drawing) -> str:
    """The drawing as SVG text: a white card, so that it can be read on a dark page too."""
    boxes = {box.name: box for box in drawing.boxes}
    width = max(box.left + box.width for box in drawing.boxes) + MARGIN
    bottom = max(box.top + BOX_HEIGHT for box in drawing.boxes) + MARGIN
    height = bottom + (30 if drawing.key else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        f'aria-label="{escape(drawing.title)}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#ffffff"/>',
        *(_arrow(boxes[arrow.start], boxes[arrow.end], arrow) for arrow in drawing.arrows),
        *(_box(box) for box in drawing.boxes),
    ]
    if drawing.key:
        kinds = [kind for kind in MEANING if any(box.kind == kind for box in drawing.boxes)]
        for number, kind in enumerate(kinds):
            x = MARGIN + 130 * number
            parts.append(f'<rect x="{x}" y="{bottom + 2:g}" width="14" height="14" rx="3" fill="{FILL[kind]}" stroke="{LINE[kind]}"/>')
            parts.append(f'<text x="{x + 20}" y="{bottom + 13:g}" fill="#444">{MEANING[kind]}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, tell whether the files are up to date")
    check = parser.parse_args(arguments).check
    stale = [name for name, drawing in DRAWINGS.items() if _text(FOLDER / f"{name}.svg") != svg(drawing)]
    if check:
        print(f"not up to date: {', '.join(stale)}" if stale else "the drawings are up to date")
        return int(bool(stale))
    for name in stale:
        with atomic_write(FOLDER / f"{name}.svg") as temporary:
            temporary.write_text(svg(DRAWINGS[name]), encoding="utf-8")
        print(FOLDER / f"{name}.svg")
    return 0


def _box(box: Box) -> str:
    x, y = box.middle
    lines = box.text.split("|")
    first = y - 7.5 * (len(lines) - 1) + 4
    text = "".join(
        f'<text x="{x:g}" y="{first + 15 * n:g}" text-anchor="middle" fill="#222">{escape(line)}</text>' for n, line in enumerate(lines)
    )
    shape = f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{BOX_HEIGHT}" rx="6"'
    return f'{shape} fill="{FILL[box.kind]}" stroke="{LINE[box.kind]}" stroke-width="1.4"/>{text}'


def _arrow(start: Box, end: Box, arrow: Arrow) -> str:
    (x0, y0), (x1, y1) = _edge(start, end.middle), _edge(end, start.middle)
    dashed = ' stroke-dasharray="5 4"' if arrow.dashed else ""
    line = (
        f'<line x1="{x0:.0f}" y1="{y0:.0f}" x2="{x1:.0f}" y2="{y1:.0f}" stroke="#555" stroke-width="1.3"{dashed} marker-end="url(#tip)"/>'
    )
    if not arrow.text:
        return line
    return line + f'<text x="{(x0 + x1) / 2 + 6:.0f}" y="{(y0 + y1) / 2 - 5:.0f}" fill="#555" font-size="11">{escape(arrow.text)}</text>'


def _edge(box: Box, towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from a box's middle leaves it."""
    (x, y), (tx, ty) = box.middle, towards
    dx, dy = tx - x, ty - y
    share = min(box.width / 2 / abs(dx) if dx else 9.0, BOX_HEIGHT / 2 / abs(dy) if dy else 9.0)
    return x + dx * share, y + dy * share


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
