"""Renders the example clip: python tools/make_example.py --out example

Writes example/clip.mp4, example/first_mask.png and the exact masks example/masks/00000.png ...
With --frames-too also example/frames/00000.png ...: `--out data/koi` makes data a data set, "folder:data".
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vos_zoo.commands.options import frame_size
from vos_zoo.errors import VosZooError
from vos_zoo.example.clip import Example, render_example


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Render the example clip and its exact masks.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--frames", type=int, default=60, help="number of frames (default 60)")
    parser.add_argument("--size", type=frame_size, default=(240, 432), help="HEIGHTxWIDTH (default 240x432)")
    parser.add_argument("--seed", type=int, default=0, help="another number, another pond (default 0)")
    parser.add_argument("--frames-too", action="store_true", help="also write every frame as a PNG")
    options = parser.parse_args(arguments)
    try:
        example = render_example(frames=options.frames, size=options.size, seed=options.seed)
        write(example, options.out, frames_too=options.frames_too)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {len(example.frames)} frames to {options.out}")
    return 0


def write(example: Example, folder: Path, *, frames_too: bool = False) -> None:
    """Writes the clip as a video, its masks and its first mask as indexed PNGs."""
    from PIL import Image

    from vos_zoo.masks.sequence import MaskSequence
    from vos_zoo.system.atomic import atomic_write
    from vos_zoo.videos.writer import VideoWriter

    size = example.masks.shape[1:]
    with VideoWriter(folder / "clip.mp4", fps=example.fps, size=size) as writer:
        for frame in example.frames:
            writer.write(frame)
    masks = MaskSequence(size, (1,), fps=example.fps)
    for labels in example.masks:
        masks.append(labels)
    masks.save(folder / "masks", overwrite=True)
    first = (folder / "masks" / "00000.png").read_bytes()
    with atomic_write(folder / "first_mask.png") as temporary:
        Path(temporary).write_bytes(first)
    if frames_too:
        for index, frame in enumerate(example.frames):
            with atomic_write(folder / "frames" / f"{index:05d}.png") as temporary:
                Image.fromarray(frame).save(temporary)


if __name__ == "__main__":
    sys.exit(main())
