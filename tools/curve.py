"""J&F against training samples: score the snapshots of training runs and draw the curve.

    vos-zoo train rvos --data DATA --out runs/rvos --snapshot-every 300
    python tools/curve.py --runs runs/rvos runs/acclvos --clips CLIPS --json curves.json --plot curves.svg

A sample is a frame that the model predicted and learned from. A point that the JSON file holds already is not measured again. --names
gives the runs other names than those of their folders, --size replaces the size that hub_configs/NAME states for evaluation.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from vos_zoo.checkpoints import catalogue
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate
from vos_zoo.evaluation.report.svg import Axis, Series, plot
from vos_zoo.system.atomic import atomic_write, write_json
from vos_zoo.train.provenance import read_recipe
from vos_zoo.train.recipe import Recipe
from vos_zoo.zoo import create


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        points = measure(options)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with atomic_write(options.plot) as temporary:
        temporary.write_text(drawn(points), encoding="utf-8")
    print(f"wrote {options.json} and {options.plot}")
    return 0


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The points of all runs, those in the JSON file before: {"run", "model", "step", "samples", "J&F"}, J&F in percent."""
    points = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else []
    known = {(point["run"], point["step"]) for point in points}
    names = options.names or [run.name for run in options.runs]
    if len(names) != len(options.runs):
        raise EvaluationError(f"{len(options.runs)} runs and {len(names)} names: give each run one")
    for name, run in zip(names, options.runs, strict=True):
        files = [*sorted((run / "snapshots").glob("*.pt")), run / "checkpoint.pt"]
        recipe = read_recipe(run)
        for file in files if files[-1].is_file() else files[:-1]:
            saved = torch.load(file, map_location="cpu", weights_only=True)
            if (name, saved["step"]) in known:
                continue
            known.add((name, saved["step"]))
            jf = 100 * scored(recipe, saved["average"], options)
            point = {
                "run": name,
                "model": _config_name(recipe),
                "step": saved["step"],
                "samples": samples(recipe, saved["step"]),
                "J&F": jf,
            }
            points.append(point)
            print(f"{name}, step {saved['step']}, {point['samples']} samples: J&F {jf:.1f}", flush=True)
            points.sort(key=lambda each: (each["run"], each["step"]))
            write_json(options.json, points)
    if not points:
        raise EvaluationError(f"there is no snapshot or checkpoint in {', '.join(map(str, options.runs))}")
    return list(points)


def samples(recipe: Recipe, step: int) -> int:
    """Frames that were predicted by then."""
    seen = 0
    for stage in recipe.stages:
        steps = min(step, stage.steps)
        seen += steps * stage.batch * (stage.frames - 1)
        step -= steps
    return seen


def scored(recipe: Recipe, weights: dict[str, torch.Tensor], options: argparse.Namespace) -> float:
    config = catalogue.read(_config_name(recipe)).replace(model_args=recipe.shipped_args)
    segmenter = create(config, device=options.device)
    segmenter.model.load_state_dict(weights)
    layout = "folder-unsupervised" if segmenter.finds_objects else "folder"
    clips = load_dataset(f"{layout}:{options.clips}", only=options.only)
    return evaluate(segmenter, clips, progress=lambda *_: None, size=options.size).mean_jf


def drawn(points: list[dict[str, Any]]) -> str:
    runs = dict.fromkeys(point["run"] for point in points)
    series = [
        Series(run, tuple((point["samples"] / 1000, point["J&F"]) for point in points if point["run"] == run), n)
        for n, run in enumerate(runs)
    ]
    x = Axis.over([point["samples"] / 1000 for point in points], "thousand predicted frames trained on", zero=True)
    return plot("J&F against samples", x, Axis.over([point["J&F"] for point in points], "J&F"), series, alone=True)


def _config_name(recipe: Recipe) -> str:
    """The config that a run's model is of: the small one of its architecture."""
    return recipe.architecture.lower() + ("-zeroshot" if recipe.model_args.get("zero_shot") else "")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, metavar="FOLDER", help="what vos-zoo train wrote")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the runs, for the legend")
    parser.add_argument("--clips", type=Path, required=True, metavar="FOLDER", help="the validation clips")
    parser.add_argument("--only", default="davis2016val__*", help="of these (default: davis2016val__*)")
    parser.add_argument("--size", type=int, help="shorter side inside the model (default: what the config says)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    parser.add_argument("--plot", type=Path, required=True, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
