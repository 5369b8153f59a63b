"""Draw the README's picture: frames of the rendered example with the masks that a model finds in them.

python tools/make_pictures.py --model crvos --out docs/example.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import vos_zoo
from vos_zoo.errors import VosZooError
from vos_zoo.example import render_example
from vos_zoo.io.atomic import atomic_write
from vos_zoo.io.overlay import draw_overlay


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="crvos")
    parser.add_argument("--out", type=Path, default=Path("docs/example.png"))
    parser.add_argument("--columns", type=int, default=4, help="frames in a row, two rows in all")
    args = parser.parse_args()
    example = render_example(size=(480, 864))
    masks = vos_zoo.load(args.model).propagate(example.frames, example.masks[0])
    chosen = np.linspace(0, len(masks) - 1, 2 * args.columns).round().astype(int)
    cells = [draw_overlay(example.frames[t], masks[int(t)]) for t in chosen]
    small = [np.asarray(Image.fromarray(cell).resize((432, 240), Image.Resampling.LANCZOS)) for cell in cells]
    rows = [np.concatenate(small[n : n + args.columns], 1) for n in (0, args.columns)]
    with atomic_write(args.out) as beside:
        Image.fromarray(np.concatenate(rows)).quantize(256).save(beside, format="PNG", optimize=True)
    print(f"{args.out}: frames {', '.join(map(str, chosen))}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
