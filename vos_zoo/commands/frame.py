"""vos-zoo frame VIDEO --at 0 --out frame.png: one frame of a video as an image, for instance to draw its mask on.

--at counts frames from 0; --at 2.5s takes the frame that is shown after 2.5 seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import SaveError, VideoError
from vos_zoo.system.atomic import atomic_write
from vos_zoo.videos.opening import BACKENDS

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("frame", help="one frame of a video as an image", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("video", metavar="VIDEO", help="a video file or a folder of images")
    parser.add_argument("--at", type=moment, default=0, metavar="N", help="number of the frame from 0 (default), or seconds, as in 2.5s")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"{', '.join(FORMATS)} (default: VIDEO_00000.png, with its number)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file --out")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="video reader")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from PIL import Image

    from vos_zoo.videos.video import open_video

    with open_video(args.video, backend=args.backend) as video:
        index = args.at if isinstance(args.at, int) else _index(args.at, video.fps, args.video)
        out = args.out or Path(f"{Path(args.video).resolve().stem}_{index:05d}.png")
        _check_out(out, args.overwrite)
        if video.exact_length and video.length is not None and index >= video.length:
            raise VideoError(
                f"{args.video} has {video.length} frames, 0 to {video.length - 1}; there is no frame {index}: choose another --at"
            )
        frame = next(iter(video.read(index, index + 1)), None)
        if frame is None:
            raise VideoError(f"{args.video} ends before frame {index}: choose an earlier --at")
    with atomic_write(out) as temporary:
        Image.fromarray(frame).save(temporary, FORMATS[out.suffix.lower()])
    print(out)
    return 0


def moment(text: str) -> int | float:
    """12: the number of a frame, an int. 2.5s: seconds, a float."""
    number = text.removesuffix("s")
    if text == number and number.isascii() and number.isdigit() and len(number) < 10:
        return int(number)
    try:
        seconds = float(number)
    except ValueError:
        seconds = -1.0
    if text == number or not 0 <= seconds < 1e7:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is neither the number of a frame, from 0, nor a time such as 2.5s")
    return seconds


def _index(seconds: float, fps: float | None, video: str) -> int:
    if not fps:
        raise VideoError(f"{video} does not say how many frames a second it has: give --at the number of a frame")
    return int(seconds * fps + 1e-6)


def _check_out(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() not in FORMATS:
        raise SaveError(f"{out} has no suffix of an image: choose one of {', '.join(FORMATS)}")
    if out.is_dir() or (out.exists() and not overwrite):
        raise SaveError(f"{out} is there already: choose another --out{'' if out.is_dir() else ', or add --overwrite'}")
