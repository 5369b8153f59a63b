"""Measure whether a memory finds what it is asked for: the first frame's mask, read by later frames through the keys alone.

    python tools/probe_memory.py --model scm --clips CLIPS

Each position of a later frame asks the first frame's memory as `predict` does (STM eq. 1); the mean of the first mask under the weights
it gets is that mask carried over, without decoder, prior or any later memory. IoU with the true mask, both at stride 16 and cut at 0.5:
`keys` by the model's keys, `trunk` by the cosine of the query trunk's plain features over 0.03, `still` with the mask where it was.
`asked`: to how many positions of the first frame a query listens, exp(entropy) of its weights, out of all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import vos_zoo
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.models.parts.memory import unit
from vos_zoo.models.scm import SCM
from vos_zoo.system.atomic import write_json
from vos_zoo.videos.video import open_video

FRAMES = 8  # of a clip, evenly


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        segmenter = vos_zoo.load(options.model, device="cpu", dtype="float32")
        if not isinstance(segmenter.model, SCM):
            raise EvaluationError(f"{options.model} has no memory of frames to probe; name a model of SCM or STM")
        report = {}
        for clip in load_dataset(f"folder:{options.clips}", only=options.only):
            report[clip.name] = probe(segmenter, segmenter.model, clip)
            print(f"{clip.name:<28}" + "  ".join(f"{key} {value:.2f}" for key, value in report[clip.name].items()), flush=True)
        if options.json:
            write_json(options.json, report)
            print(f"wrote {options.json}")
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@torch.inference_mode()
def probe(segmenter: vos_zoo.Segmenter, model: SCM, clip: Clip) -> dict[str, float]:
    """Means over up to eight annotated frames and the objects of the first. EvaluationError if only one frame is annotated."""
    later = clip.later(FRAMES)
    frames = {t: frame for t, frame in enumerate(open_video(clip.video)) if t in {clip.first, *later}}
    grid = segmenter.grid_for(frames[clip.first].shape[:2], None)
    ids = list(clip.objects())

    def masks(t: int) -> Tensor:
        return grid.masks(np.stack([clip.truth(t) == k for k in ids]), torch.device("cpu"))

    def seen(t: int) -> tuple[Tensor, Tensor]:
        """Its query's keys (key, h, w), scaled as they are asked with, and unit features of the trunk (C, h * w)."""
        pixels = grid.frame(frames[t], torch.device("cpu"))
        features = model.encode(pixels)
        return features.key[0] * model.sharpness, unit(model.query_trunk(features.frame)[-1])[0].flatten(1)

    start = model.start(model.encode(grid.frame(frames[clip.first], torch.device("cpu"))), masks(clip.first))
    first = F.avg_pool2d(masks(clip.first), model.stride)[0].flatten(1)
    _, plain = seen(clip.first)
    found: dict[str, list[float]] = {"keys": [], "trunk": [], "still": [], "asked": []}
    for t in later:
        truth = F.avg_pool2d(masks(t), model.stride)[0].flatten(1) > 0.5
        query, features = seen(t)
        for k, mask in enumerate(first):
            weights = (query.flatten(1).T @ start.keys[0, k, 0].T * query.shape[0] ** -0.5).softmax(-1)
            alike = (features.T @ plain / 0.03).softmax(-1)
            for name, carried in (("keys", weights @ mask), ("trunk", alike @ mask), ("still", mask)):
                found[name].append(iou(carried > 0.5, truth[k]))
            entropy = -(weights * weights.clamp_min(1e-12).log()).sum(-1).mean()
            found["asked"].append(float(entropy.exp()))
    return {name: float(np.mean(values)) for name, values in found.items()} | {"of": float(first.shape[1])}


def iou(one: Tensor, other: Tensor) -> float:
    """Of two sets of positions; 1 if both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="scm", help="name, folder or owner/repo of an SCM or STM (default: scm)")
    parser.add_argument("--clips", type=Path, required=True, metavar="FOLDER", help="clips, NAME/frames and NAME/masks")
    parser.add_argument("--only", help="of these clips: names or patterns, as for vos-zoo evaluate")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
