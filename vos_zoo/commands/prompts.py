"""Options by which objects are pointed at: --point, --box, --scribble; and a picture of what was understood."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import PromptError, SaveError
from vos_zoo.pointing.prompts import POINTER, Prompts

if TYPE_CHECKING:
    import numpy as np


def add_prompt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--point", action="append", default=[], type=_numbers("point", 2, 3), metavar="[ID:]X,Y[,0]",
                        help="a pixel of the object, from the top left corner; a third number 0 says it is not the object; may be "
                        "repeated, 2:X,Y is of object 2")  # fmt: skip
    parser.add_argument("--box", action="append", default=[], type=_numbers("box", 4, 4), metavar="[ID:]X0,Y0,X1,Y1",
                        help="a box around the object: left, upper, right, lower")  # fmt: skip
    parser.add_argument("--scribble", action="append", default=[], type=_numbers("scribble", 4, None), metavar="[ID:]X,Y,X,Y,...",
                        help="a stroke over the object, by points along it")  # fmt: skip
    parser.add_argument("--pointer", default=POINTER, metavar="MODEL", help=f"the model that makes masks of them (default: {POINTER})")
    parser.add_argument("--snap", action="store_true", help="the mask is loose, such as a circle around each object: fit it to the "
                        "objects first")  # fmt: skip
    parser.add_argument("--preview", type=Path, metavar="FILE", help="a picture of what was understood of the points, boxes and scribbles")


def prompts_of(args: argparse.Namespace, mask: object = None) -> Prompts | None:
    """What was pointed at; None: nothing. mask: what it corrects.

    Raises:
        PromptError: an object has two boxes, or there is no mask to snap.
    """
    points: dict[int, list[tuple[float, ...]]] = {}
    boxes: dict[int, tuple[float, ...]] = {}
    scribbles: dict[int, list[list[tuple[float, ...]]]] = {}
    for k, numbers in args.point:
        points.setdefault(k, []).append(numbers)
    for k, numbers in args.box:
        if k in boxes:
            raise PromptError(f"object {k} has two boxes: write the second as that of another object, --box {k + 1}:X0,Y0,X1,Y1")
        boxes[k] = numbers
    for k, numbers in args.scribble:
        scribbles.setdefault(k, []).append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    if args.snap and mask is None:
        raise PromptError("--snap fits a loose mask to its objects: give the mask, --mask FILE")
    if not (points or boxes or scribbles or args.snap):
        return None
    return Prompts(points or None, boxes or None, scribbles or None, mask, args.pointer, args.snap)


def save_preview(path: Path, frame: np.ndarray, labels: np.ndarray, prompts: Prompts) -> None:
    """The frame with its masks, and the marks that they were made of, as a picture file.

    Raises:
        SaveError: it can't be written.
    """
    from PIL import Image, ImageDraw

    from vos_zoo.masks.overlay import draw_overlay

    picture = Image.fromarray(draw_overlay(frame, labels))
    draw, radius = ImageDraw.Draw(picture), max(3, round(min(frame.shape[:2]) / 90))
    for said in prompts.read((frame.shape[0], frame.shape[1]), known=range(1, 1 << 16)).values():
        if said.box is not None:
            draw.rectangle((said.box.x0, said.box.y0, said.box.x1 - 1, said.box.y1 - 1), outline="white", width=max(1, radius // 3))
        for stroke in said.strokes:
            draw.line(list(stroke.places), fill="white" if stroke.positive else "red", width=max(1, radius // 2))
        for point in said.points:
            corner = (point.x - radius, point.y - radius, point.x + radius, point.y + radius)
            draw.ellipse(corner, fill="white" if point.positive else "red", outline="black", width=max(1, radius // 3))
    try:
        picture.save(path)
    except (OSError, ValueError) as error:
        raise SaveError(f"the preview can't be written to {path} ({error}): choose another file, such as preview.png") from error


def _numbers(what: str, least: int, most: int | None) -> Callable[[str], tuple[int, tuple[float, ...]]]:
    """A parser of "2:320,240": object and numbers."""

    def parsed(text: str) -> tuple[int, tuple[float, ...]]:
        found = re.fullmatch(r"(?:(\d+):)?(-?\d+(?:\.\d+)?(?:,-?\d+(?:\.\d+)?)*)", text.replace(" ", ""))
        numbers = () if found is None else tuple(float(n) if "." in n else int(n) for n in found[2].split(","))
        if found is None or len(numbers) < least or (most is not None and len(numbers) > most) or (most is None and len(numbers) % 2):
            example = {"point": "320,240 or 2:320,240,0", "box": "10,20,200,300 or 2:10,20,200,300", "scribble": "10,20,30,40,50,45"}[what]
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: write pixels as in {example}")
        return int(found[1] or 1), numbers

    return parsed
