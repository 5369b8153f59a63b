"""Makes int8 graphs of a checkpoint beside its float32 ones, calibrated by frames of training clips, and measures which layers suffer.

    vos-zoo export crvos --out crvos-onnx
    python tools/quantize.py crvos-onnx --clips folder:DATA --only bear bus --sensitivity
    python tools/quantize.py crvos-onnx --clips folder:DATA --only bear bus --frames 12 --keep predictor
    vos-zoo evaluate --model crvos-onnx --runtime onnxruntime --dtype int8 --dataset davis2016:DAVIS

Only convolutions become int8, by output channel. --sensitivity makes each of them int8 by itself, and prints how far the graph's outputs
move, as a share of their spread, the worst first. Names of weights given to --keep stay in float32. export.json lists the clips.

Calibrate by clips that a model may learn from, never by those that it is scored on.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np

from vos_zoo.errors import VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.runtimes.int8 import Clip, quantize, sensitivity
from vos_zoo.videos.video import open_video


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where vos-zoo export wrote config.json and onnx/")
    parser.add_argument("--clips", required=True, metavar="LAYOUT:ROOT", help="clips to calibrate by, as for vos-zoo evaluate --dataset")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names or patterns of clips")
    parser.add_argument("--frames", type=int, default=6, help="of each clip, from its first annotated one on (default: 6)")
    parser.add_argument("--keep", nargs="+", default=[], metavar="NAME", help="convolutions that stay in float32, by a part of their name")
    parser.add_argument("--sensitivity", action="store_true", help="measure each convolution by itself, and change nothing")
    options = parser.parse_args(arguments)
    try:
        names, clips = _clips(options)
        graphs = options.folder / "onnx"
        if options.sensitivity:
            for error, graph, weight in sensitivity(graphs, clips):
                print(f"{error:8.4f}  {graph}  {weight}")
            return 0
        quantize(graphs, clips, said=", ".join(names), keep=options.keep)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in sorted(graphs.glob("*_qint8.onnx")):
        print(f"{path.stat().st_size:>12,}  {path}")
    return 0


def _clips(options: argparse.Namespace) -> tuple[list[str], list[Clip]]:
    found = load_dataset(options.clips, only=options.only)
    clips = []
    for clip in found:
        with open_video(clip.video) as video:
            frames = list(islice(video, clip.first, clip.first + options.frames))
        truth = clip.truth(clip.first)
        ids = [k for k in np.unique(truth) if k not in (0, 255)]
        clips.append(Clip(np.stack(frames), np.stack([truth == k for k in ids])))
    return [clip.name for clip in found], clips


if __name__ == "__main__":
    sys.exit(main())
