"""Draw the pictures of the documents.

python tools/make_pictures.py --model crvos-resnet18 --out docs/example.png
    frames of the rendered example with the masks that a model finds in them
python tools/make_pictures.py --clip CLIPS/pond-4 --results before=scores/crvos/masks after=scores/model/masks --out docs/finetuning.png
    a clip's true masks above those that `vos-zoo evaluate --out scores` kept, with their scores
python tools/make_pictures.py --clips CLIPS --only 'davis2016val__*' --masks scores/scm/masks --out docs/best-and-worst.webp
    of every clip the frames that a model met best, middling and worst, with the true outline
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import vos_zoo
from vos_zoo.errors import VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.scoring import score
from vos_zoo.example.clip import OVERLAY, render_example
from vos_zoo.masks.overlay import draw_overlay
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.atomic import atomic_write
from vos_zoo.videos.video import open_video

CELL = 336  # pixels that a frame of a comparison is wide
MARGIN, HEADING = 132, 26  # to its left and above it


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="crvos")
    parser.add_argument("--clip", type=Path, metavar="FOLDER", help="with frames/ and masks/; draws a comparison on it")
    parser.add_argument("--results", nargs="+", type=_result, metavar="TITLE=MASKS", help="its rows: FOLDER/<clip>/*.png")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="of clips; draws the best and the worst frames of each")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="the results to draw them of: FOLDER/<clip>/*.png")
    parser.add_argument("--only", default="*", help="of these clips: a name or a pattern")
    parser.add_argument("--out", type=Path, default=Path("docs/example.png"))
    parser.add_argument("--columns", type=int, default=4, help="frames in a row (default 4); the example has two rows")
    args = parser.parse_args(arguments)
    if bool(args.clip) != bool(args.results) or args.columns < 1:
        parser.error("a comparison takes both --clip and --results, and a picture has 1 column or more")
    if bool(args.clips) != bool(args.masks) or (args.clips and args.clip):
        parser.error("best and worst frames take both --clips and --masks, and no --clip")
    try:
        if args.clips:
            picture, chosen = best_and_worst(args.clips, args.only, args.masks)
        else:
            picture, chosen = compare(args.clip, args.results, args.columns) if args.clip else example(args.model, args.columns)
        save(picture, args.out)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: frames {', '.join(map(str, chosen))}")
    return 0


def example(model: str, columns: int) -> tuple[Image.Image, list[int]]:
    """Two rows of frames in which the model has followed the koi, and their numbers."""
    clip = render_example(size=(480, 864))
    masks = vos_zoo.load(model).propagate(clip.frames, clip.masks[0])
    chosen = _spread(len(masks), 2 * columns)
    cells = [draw_overlay(clip.frames[t], masks[t], colours=OVERLAY) for t in chosen]
    small = [np.asarray(Image.fromarray(cell).resize((432, 240), Image.Resampling.LANCZOS)) for cell in cells]
    return Image.fromarray(np.concatenate([np.concatenate(small[n : n + columns], 1) for n in (0, columns)])), chosen


def compare(folder: Path, results: list[tuple[str, Path]], columns: int) -> tuple[Image.Image, list[int]]:
    """A row of true masks, and one of each result with its J&F and, frame by frame, J over all objects; and the frames' numbers."""
    (clip,) = load_dataset(f"folder:{folder.parent}", only=[folder.name])
    found = [(title, MaskSequence.load(masks / folder.name)) for title, masks in results]
    scores = [score(clip, masks) for _, masks in found]
    with open_video(clip.video) as video:
        frames = list(video)
    chosen = _spread(len(frames) - 1, columns)  # the last frame is not scored
    height = round(CELL * frames[0].shape[0] / frames[0].shape[1])
    sheet = Image.new("RGB", (MARGIN + columns * (CELL + 4), HEADING + (1 + len(found)) * (height + 4)), "white")
    draw, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(19), ImageFont.load_default(15)
    for row, title in enumerate(("true masks", *(title for title, _ in found))):
        top = HEADING + row * (height + 4)
        draw.text((6, top + height // 2 - 24), title, "black", large)
        under = f"{len(scores[0].object_ids)} objects" if row == 0 else f"J&F {100 * scores[row - 1].jf:.1f}"
        draw.text((6, top + height // 2 + 2), under, "dimgray", large if row else small)
        for column, t in enumerate(chosen):
            left = MARGIN + column * (CELL + 4)
            labels = clip.truth(t) if row == 0 else found[row - 1][1][t]
            cell = Image.fromarray(draw_overlay(frames[t], labels)).resize((CELL, height), Image.Resampling.LANCZOS)
            sheet.paste(cell, (left, top))
            if row == 0:
                draw.text((left + 4, 3), f"frame {t}" + ", its masks are given" * (t == clip.first), "black", small)
            elif t in scores[row - 1].frames:
                each = scores[row - 1].j[:, scores[row - 1].frames.index(t)]
                draw.text(
                    (left + 6, top + height - 22), f"J {100 * np.nanmean(each):.0f}", "white", small, stroke_width=2, stroke_fill="black"
                )
    return sheet, chosen


def best_and_worst(folder: Path, only: str, masks: Path) -> tuple[Image.Image, list[int]]:
    """A row a clip: the frames with the highest, the middle and the lowest J over all objects, and their numbers row by row."""
    clips = load_dataset(f"folder:{folder}", only=only)
    rows, chosen = [], []
    for clip in clips:
        found = MaskSequence.load(masks / clip.name)
        scored = score(clip, found)
        j = np.nanmean(scored.j, 0)
        order = [int(n) for n in np.argsort(-j, kind="stable")]
        picked = [order[0], order[len(order) // 2], order[-1]]
        with open_video(clip.video) as video:
            frames = list(video)
        cells = []
        for n in picked:
            t = scored.frames[n]
            shown = draw_overlay(frames[t], found[t])
            shown[_outline(clip.truth(t))] = 255
            height = round(CELL * shown.shape[0] / shown.shape[1])
            cell = Image.fromarray(shown).resize((CELL, height), Image.Resampling.LANCZOS)
            text = f"frame {t}, J {100 * j[n]:.0f}"
            ImageDraw.Draw(cell).text((6, height - 22), text, "white", ImageFont.load_default(15), stroke_width=2, stroke_fill="black")
            cells.append(cell)
            chosen.append(t)
        rows.append((f"{clip.name.rpartition('__')[2]}\nJ&F {100 * scored.jf:.1f}", cells))
    sheet = Image.new("RGB", (MARGIN + 3 * (CELL + 4), HEADING + sum(cells[0].height + 4 for _, cells in rows)), "white")
    draw, top = ImageDraw.Draw(sheet), HEADING
    for column, title in enumerate(("best frame", "middle", "worst frame")):
        draw.text((MARGIN + column * (CELL + 4) + 4, 3), title, "black", ImageFont.load_default(15))
    for title, cells in rows:
        draw.text((6, top + cells[0].height // 2 - 20), title, "black", ImageFont.load_default(17))
        for column, cell in enumerate(cells):
            sheet.paste(cell, (MARGIN + column * (CELL + 4), top))
        top += cells[0].height + 4
    return sheet, chosen


def _outline(labels: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of an object beside something else."""
    padded = np.pad(labels, 1, mode="edge")
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (labels > 0) & np.any([side != labels for side in sides], axis=0)


def save(picture: Image.Image, path: Path) -> None:
    """In the format of the path's ending; a PNG in 256 colours."""
    with atomic_write(path) as beside:
        if path.suffix == ".png":
            picture.quantize(256).save(beside, format="PNG", optimize=True)
        else:
            picture.save(beside, format="WEBP", quality=82, method=6)


def _spread(frames: int, count: int) -> list[int]:
    return [int(t) for t in np.linspace(0, frames - 1, count).round()]


def _result(text: str) -> tuple[str, Path]:
    title, equals, folder = text.partition("=")
    if not (title and equals and folder):
        raise argparse.ArgumentTypeError(f"{text!r} is not TITLE=MASKS, as in before=scores/crvos/masks")
    return title, Path(folder)


if __name__ == "__main__":
    sys.exit(main())
