"""Measure what a mean over a benchmark hides.

    python tools/stress.py --model crvos --stills DATA/feral_cats --backgrounds DATA/backgrounds --clips CLIPS --json stress.json

Drift: clips of --clips (NAME/frames, NAME/masks) played to and fro, J&F of the first pass, of the first that runs backwards, and of the
passes at frames 500 and 2,000; "back" says that one runs backwards.
Crossings, in place of drift: the object of a clip crosses with its own twin, mirrored and played backwards.
Absence: cutouts of --stills leave the frame for 20 frames and return. Look-alikes: the cutouts of one still move about. Small: cutouts
24, 48 and 96 pixels long in a 480p frame. Lost: precision and recall of `lost` over all these frames (an object out of sight, or met with
J under 0.2). Of a model that finds the objects itself: which of several objects of one kind it finds, J&F of the best proposal each.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vos_zoo
from vos_zoo.checkpoints.quality import QUALITIES
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation import stress, stress_scenes
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.scoring import score as score_clip
from vos_zoo.masks.read import read_mask
from vos_zoo.system.atomic import write_json
from vos_zoo.videos.video import open_video

SIZES = (24, 48, 96)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        how = {"device": options.device, "dtype": options.dtype, "quality": options.quality}
        segmenter = vos_zoo.load(options.model, redetection=not options.no_redetection, **how)
        report = measure(segmenter, options)
        if options.json:
            write_json(options.json, report)
            print(f"wrote {options.json}")
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> dict[str, Any]:
    """All scenes; prints each as it is done."""
    report: dict[str, Any] = {"model": segmenter.config.name, "vos_zoo": vos_zoo.__version__}
    if segmenter.finds_objects:
        return report | {"found": found_itself(segmenter, options)}
    lost = stress.LostFlag(0, 0, 0)
    if options.clips:
        kind = crossings if options.crossings else drift
        report[kind.__name__], flag = kind(segmenter, options)
        lost += flag
    if options.stills:
        for name in options.scenes:
            report[name], flag = KINDS[name](segmenter, options)
            lost += flag
    report["lost"] = lost.as_dict()
    print(f"lost: precision {lost.precision:.2f}, recall {lost.recall:.2f} ({lost.true + lost.missed} object frames were lost)")
    return report


def drift(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> tuple[dict[str, Any], stress.LostFlag]:
    found, flags = {}, stress.LostFlag(0, 0, 0)
    for name, frames, truth in _clips(options):
        scene = stress_scenes.to_and_fro(name, frames, truth, max(options.at) + len(frames))
        followed = stress.follow(segmenter, scene, windows=stress.windows_of(len(frames), options.at), size=options.size)
        of_clip = [stress.passes(one, len(frames), options.at) for one in followed.values()]
        found[name] = {key: float(np.nanmean([each[key] for each in of_clip])) for key in of_clip[0]}
        flags = sum((stress.lost_flag(one) for one in followed.values()), flags)
        print(f"{name:<28}" + "  ".join(f"{key} {100 * value:.1f}" for key, value in found[name].items()), flush=True)
    return found, flags


def crossings(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> tuple[dict[str, Any], stress.LostFlag]:
    found, flags = {}, stress.LostFlag(0, 0, 0)
    for name, frames, truth in _clips(options):
        if (scene := stress_scenes.crossing(name, frames, truth)) is None:
            print(f"{name:<28}no room for two", flush=True)
            continue
        scores, flag = _scored(segmenter, name, [scene], lambda one: {"J&F": one.jf(0, len(one.j))}, options.size)
        found[name], flags = scores["J&F"], flags + flag
    if not found:
        raise EvaluationError(f"no clip in {options.clips} has room for two in its first frame, and one object in all frames")
    print(f"{'crossings, mean':<28}J&F {100 * float(np.mean(list(found.values()))):.1f}  ({len(found)} clips)", flush=True)
    return found, flags


def _clips(options: argparse.Namespace) -> Iterator[tuple[str, list[np.ndarray], list[np.ndarray]]]:
    """Name, frames and ids of each clip; at most --frames of them."""
    for clip in load_dataset(f"folder:{options.clips}", only=options.only):
        frames = list(itertools.islice(open_video(clip.video), options.frames))
        size = frames[0].shape[:2]
        truth = [read_mask(clip.masks[t], size=size, allow_empty=True).labels for t in range(len(frames)) if t in clip.masks]
        if len(truth) < len(frames):
            raise EvaluationError(f"{clip.name} has no mask on {len(frames) - len(truth)} of its frames; these scenes need clips with all")
        yield clip.name, frames, truth


def absences(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> tuple[dict[str, float], stress.LostFlag]:
    scenes = [
        stress_scenes.leaves_and_returns(f"absence {n}", group[0], scenery)
        for n, (group, scenery) in enumerate(zip(_groups(options, 1), _backgrounds(options), strict=False))
    ]
    return _scored(segmenter, "absence", scenes, stress.absence, options.size)


def look_alikes(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> tuple[dict[str, float], stress.LostFlag]:
    scenes = [
        stress_scenes.look_alikes(f"look-alikes {n}", group[:4], scenery)
        for n, (group, scenery) in enumerate(zip(_groups(options, 3), _backgrounds(options), strict=False))
    ]
    return _scored(segmenter, "look-alikes", scenes, lambda one: {"J&F": one.jf(0, len(one.j))}, options.size)


def found_itself(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> dict[str, float]:
    """Of the look-alikes' scenes, without a mask: J&F of each object's proposal, and the share of objects with a J of at least 0.5."""
    if not options.stills:
        raise EvaluationError("this model finds the objects itself: give --stills and --backgrounds to make scenes of several")
    jf, j = [], []
    for n, (group, scenery) in enumerate(zip(_groups(options, 3), _backgrounds(options), strict=False)):
        frames, truth = zip(*stress_scenes.look_alikes(f"several {n}", group[:4], scenery).play(), strict=True)
        clip = Clip(f"several {n}", list(frames), dict(enumerate(truth)), unsupervised=True)
        scored = score_clip(clip, segmenter.propagate(list(frames), progress=False))
        jf += list((scored.j.mean(1) + scored.f.mean(1)) / 2)
        j += list(scored.j.mean(1))
    found = {"J&F": float(np.mean(jf)), "found": float(np.mean(np.array(j) >= 0.5))}
    print(f"several objects             J&F {100 * found['J&F']:.1f}  found {100 * found['found']:.0f} % of {len(j)}", flush=True)
    return found


def small(segmenter: vos_zoo.Segmenter, options: argparse.Namespace) -> tuple[dict[str, float], stress.LostFlag]:
    found, flags = {}, stress.LostFlag(0, 0, 0)
    for height in SIZES:
        scenes = [
            stress_scenes.small(f"small {n}", group[0], scenery, height)
            for n, (group, scenery) in enumerate(zip(_groups(options, 1), _backgrounds(options), strict=False))
        ]
        scores, flag = _scored(segmenter, f"{height} pixels", scenes, lambda one: {"J&F": one.jf(0, len(one.j))}, options.size)
        found[str(height)], flags = scores["J&F"], flags + flag
    return found, flags


KINDS = {"absence": absences, "look-alikes": look_alikes, "small": small}


def _scored(
    segmenter: Any, name: str, scenes: list[stress_scenes.Scene], score: Any, size: int | None
) -> tuple[dict[str, float], stress.LostFlag]:
    """The mean score of all objects of all scenes, and how `lost` fared."""
    flags, scores = stress.LostFlag(0, 0, 0), []
    for scene in scenes:
        for one in stress.follow(segmenter, scene, size=size).values():
            scores.append(score(one))
            flags += stress.lost_flag(one)
    mean = {key: float(np.nanmean([each[key] for each in scores])) for key in scores[0]}
    print(f"{name:<28}" + "  ".join(f"{key} {100 * value:.1f}" for key, value in mean.items()) + f"  ({len(scores)} objects)", flush=True)
    return mean, flags


def _groups(options: argparse.Namespace, least: int) -> list[list[stress_scenes.Cutout]]:
    """The objects of --count stills that have so many, spread over the folder."""
    enough = [group for group in stress_scenes.cutouts(options.stills) if len(group) >= least]
    if not enough:
        raise EvaluationError(f"no still in {options.stills} has {least} objects that are large enough")
    return enough[:: max(1, len(enough) // options.count)][: options.count]


def _backgrounds(options: argparse.Namespace) -> list[np.ndarray]:
    folder = options.backgrounds / "images" if (options.backgrounds / "images").is_dir() else options.backgrounds
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not paths:
        raise EvaluationError(f"there are no images in {folder}: give --backgrounds a folder of them")
    chosen = paths[:: max(1, len(paths) // options.count)][: options.count]
    return [np.asarray(Image.open(path).convert("RGB")) for path in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="crvos", help="name, folder or owner/repo (default: crvos)")
    parser.add_argument("--clips", type=Path, metavar="FOLDER", help="clips with a mask on every frame")
    parser.add_argument("--only", help="of these clips: names or patterns, as for vos-zoo evaluate")
    parser.add_argument("--crossings", action="store_true", help="of these clips: the object crosses with its twin, instead of drift")
    parser.add_argument("--frames", type=int, help="of these clips: so many at most")
    parser.add_argument("--at", type=int, nargs="+", default=[500, 2000], help="frames whose pass is scored (default: 500 2000)")
    parser.add_argument("--stills", type=Path, metavar="FOLDER", help="images/ and masks/ with several objects of one kind")
    parser.add_argument("--backgrounds", type=Path, metavar="FOLDER", help="images that the cutouts move over")
    parser.add_argument("--count", type=int, default=6, help="stills for each kind of scene (default: 6)")
    parser.add_argument("--scenes", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of scenes of --stills (default: all)")
    parser.add_argument("--size", type=int, help="shorter side inside the model (default: the checkpoint's)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--quality", choices=list(QUALITIES), default="normal", help="what the model is loaded with (default: normal)")
    parser.add_argument("--no-redetection", action="store_true", help="lost objects are not looked for, whatever the checkpoint asks")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
