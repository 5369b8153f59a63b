"""Draws the clips of docs/how-to/fine-tune.md: koi at dusk, three clips to fine-tune on and one to keep out.

python tools/make_training_demo.py --out ponds

Writes ponds/clips/pond-1 ... pond-3 and ponds/kept_out/pond-4, each with frames/00000.png ... and masks/00000.png ..., the exact masks.
Every clip has other koi, stones, leaves and paths. The same seed gives the same clips.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from PIL import Image

from vos_zoo.commands.options import frame_size
from vos_zoo.errors import SaveError, VosZooError
from vos_zoo.example.clip import Example, Pond, render_example
from vos_zoo.masks.sequence import MaskSequence
from vos_zoo.system.atomic import atomic_write

KIND = Pond(followed=2, passing=0, leaves=2, camouflage=0.3, dusk=0.5)  # what `crvos` finds hard: koi at dusk, through a grainy camera
TRAINING = 3  # clips, the next one is kept out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--seed", type=int, default=0, help="another number, other ponds (default 0)")
    parser.add_argument("--frames", type=int, default=32, help="of a clip (default 32)")
    parser.add_argument("--size", type=frame_size, default=(256, 448), help="HEIGHTxWIDTH (default 256x448)")
    options = parser.parse_args(arguments)
    try:
        draw(options.out, options.seed, options.frames, options.size)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def draw(out: Path, seed: int, frames: int, size: tuple[int, int]) -> None:
    """All clips. SaveError if `out` is there already; nothing but whole clips is left if the work is broken off."""
    if out.exists():
        raise SaveError(f"{out} is there already: give --out a new folder, or delete it first")
    for number in range(1, TRAINING + 2):
        clip = render_example(frames=frames, size=size, seed=1000 * seed + number, pond=KIND)
        folder = out / ("clips" if number <= TRAINING else "kept_out") / f"pond-{number}"
        write(clip, folder)
        print(f"{folder}: {frames} frames of {size[0]} x {size[1]}, {KIND.followed} koi to follow", flush=True)


def write(clip: Example, folder: Path) -> None:
    """A clip as `folder:` data sets have them; whole or not at all."""
    try:
        size = clip.masks.shape[1:]
        masks = MaskSequence(size, tuple(range(1, KIND.followed + 1)), fps=clip.fps)
        for index, (frame, labels) in enumerate(zip(clip.frames, clip.masks, strict=True)):
            masks.append(labels)
            with atomic_write(folder / "frames" / f"{index:05d}.png") as beside:
                Image.fromarray(frame).save(beside, format="PNG")
        masks.save(folder / "masks")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
