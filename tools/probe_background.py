"""Measure what the rule that cuts leaks takes for background: cells of true masks, and cells of true background.

    python tools/probe_background.py --model crvos --clips CLIPS --only 'davis2016train__*'

No mask is followed. Up to sixteen annotated frames of each clip are compared with its first (`engine/appearance.py`), cell by cell. For
some pairs of BACKGROUND_SIMILARITY and BACKGROUND_MARGIN, the pair in use among them, it says how many percent of the cells that an object
fills by 0.7 and more would be cut out of a perfect mask, overall and in the clip where most would, and how many percent of the cells
without a pixel of it would be cut out of one that leaked onto them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import vos_zoo
from vos_zoo.engine import appearance as looks
from vos_zoo.engine.appearance import Appearance, AppearanceMemory
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.system.atomic import write_json
from vos_zoo.videos.video import open_video

FRAMES = 16  # of a clip, evenly
FILLED, EMPTY = 0.7, 0.01  # shares of a cell that is an object's, and of one that is not
SIMILARITIES, MARGINS = (0.3, 0.4, 0.5), (0.15, 0.2, 0.25, 0.3)
LINE = "similarity {similarity}, margin {margin}: {cut:.2f} % of the object ({worst:.1f} in {in_clip}), {leak:.1f} % of the rest"


class Cells(NamedTuple):
    """Of one clip: (N,) cosines with background and with the object, and the object's true share."""

    background: Tensor
    own: Tensor
    share: Tensor


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        segmenter = vos_zoo.load(options.model, device="cpu")
        if not segmenter.model.describes:
            raise EvaluationError(f"{options.model} tells nothing apart by its looks; name a model that does, such as crvos")
        cells = {}
        for clip in load_dataset(f"folder:{options.clips}", only=options.only):
            cells[clip.name] = seen(segmenter, clip)
            print(f"{clip.name}: {len(cells[clip.name].share)} cells", flush=True)
        rows = list(table(cells))
        for row in rows:
            print(LINE.format_map(row))
        if options.json:
            write_json(options.json, rows)
            print(f"wrote {options.json}")
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@torch.inference_mode()
def seen(segmenter: vos_zoo.Segmenter, clip: Clip) -> Cells:
    """All cells of up to sixteen annotated frames, for each object of the first. EvaluationError if only one frame is annotated."""
    later = clip.later(FRAMES)
    frames = {t: frame for t, frame in enumerate(open_video(clip.video)) if t in {clip.first, *later}}
    (branch,) = segmenter.branches_for(frames[clip.first].shape[:2], segmenter.input_spec())
    appearance, ids = Appearance(branch), list(clip.objects())

    def layers(t: int) -> np.ndarray:
        return np.stack([clip.truth(t) == k for k in ids])

    memory = appearance.remember(AppearanceMemory(), frames[clip.first], [], layers(clip.first), [True] * len(ids))
    (first,), mean = memory.frames, memory.mean
    assert mean is not None
    rows = []
    for t in later:
        similar = looks.directions(appearance.described(frames[t], []), mean) @ first.cells.T
        shares = appearance.cells_of(branch.grid.masks(layers(t), branch.device)[0]).flatten(1)
        of_background, of_objects = looks.similarities(similar, first.owners)
        rows += [(of_background, own, share) for own, share in zip(of_objects, shares, strict=True)]
    return Cells(*(torch.cat(column) for column in zip(*rows, strict=True)))


def table(cells: dict[str, Cells]) -> Iterator[dict[str, float | str]]:
    """A row for each pair of thresholds."""
    for similarity in sorted({*SIMILARITIES, looks.BACKGROUND_SIMILARITY}):
        for margin in sorted({*MARGINS, looks.BACKGROUND_MARGIN}):
            cut, leak = {}, []
            for name, (background, own, share) in cells.items():
                flagged = looks.is_background(background, own, similarity, margin)
                cut[name] = flagged[share >= FILLED]
                leak.append(flagged[share < EMPTY])
            each = {name: percent(flags) for name, flags in cut.items()}
            worst = max(each, key=lambda name: each[name])
            yield {
                "similarity": similarity,
                "margin": margin,
                "cut": percent(torch.cat(list(cut.values()))),
                "worst": each[worst],
                "in_clip": worst,
                "leak": percent(torch.cat(leak)),
            }


def percent(flags: Tensor) -> float:
    return 100 * float(flags.float().mean()) if len(flags) else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="crvos", help="name, folder or owner/repo of a model that describes (default: crvos)")
    parser.add_argument("--clips", type=Path, required=True, metavar="FOLDER", help="clips, NAME/frames and NAME/masks")
    parser.add_argument("--only", help="of these clips: names or patterns, as for vos-zoo evaluate")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
