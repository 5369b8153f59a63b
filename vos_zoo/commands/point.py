"""vos-zoo point IMAGE: the mask of an object that is pointed at.

vos-zoo point frame.jpg --point 320,240 --out mask.png
vos-zoo point frame.jpg --point 320,240 --point 400,250,0 --box 2:10,20,200,300 --out mask.png --preview seen.jpg
vos-zoo point clip.mp4 --point 320,240 --out mask.png

Of a video it is the first frame. The mask is an indexed PNG, whose numbers are the objects: what `vos-zoo propagate --mask` takes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.commands.options import say
from vos_zoo.commands.prompts import add_prompt_options, prompts_of, save_preview
from vos_zoo.errors import SaveError, VosZooError

if TYPE_CHECKING:
    import numpy as np

    from vos_zoo.commands.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("point", help="the mask of what you point at", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("image", metavar="IMAGE", help="a picture, or a video or a folder of images, whose first frame it is then")
    parser.add_argument("--mask", help="a mask to correct, of the picture's size")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the mask goes: a PNG")
    parser.add_argument("--overwrite", action="store_true", help="replace the file --out")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_prompt_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    prompts = prompts_of(args, args.mask)
    if prompts is None:
        raise VosZooError(f"which object? Point at it: vos-zoo point {args.image} --point X,Y --out {args.out}")
    if args.out.suffix.lower() != ".png":
        raise SaveError(f"a mask is a PNG, and {args.out} is none: choose --out {args.out.with_suffix('.png')}")
    if args.out.exists() and not args.overwrite:
        raise SaveError(f"{args.out} is there already: choose another --out, or add --overwrite")
    frame = _frame(args.image)
    prompts.read(frame.shape[:2], range(1, 1 << 16) if args.mask else ())
    say(f"loading {args.pointer}", getattr(args, "no_progress", False))
    from vos_zoo.pointing.video import mask_of

    found = mask_of(frame, prompts, device=args.device)
    _save(found.labels, args.out)
    if args.preview:
        save_preview(args.preview, frame, found.labels, prompts)
    pixels = {str(k): int((found.labels == k).sum()) for k in found.ids}
    if args.json:
        print(json.dumps({"mask": str(args.out), "preview": str(args.preview) if args.preview else None, "pixels": pixels}, indent=2))
    else:
        print(f"{args.out}: " + ", ".join(f"object {k}, {count:,} pixels" for k, count in pixels.items()))
    return 0


def _frame(source: str) -> Any:
    from vos_zoo.videos.images import IMAGE_SUFFIXES, read_frame
    from vos_zoo.videos.video import open_video

    if Path(source).suffix.lower() in IMAGE_SUFFIXES:
        return read_frame(source, source)
    with open_video(source) as video:
        return video.first()


def _save(labels: np.ndarray, path: Path) -> None:
    """An indexed PNG in DAVIS's colours; 16-bit grey where ids exceed 254."""
    import numpy as np
    from PIL import Image

    from vos_zoo.masks.palette import davis_palette
    from vos_zoo.system.atomic import atomic_write

    picture = Image.fromarray(labels.astype(np.uint8 if labels.max() < 255 else np.uint16))
    if labels.max() < 255:
        picture.putpalette(davis_palette().tobytes())
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")
