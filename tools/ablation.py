"""What the recurrences, the second stage and atrous pooling are worth: RVOS and ACCLVOS without them, at the same small budget.

    python tools/ablation.py --data DATA --clips CLIPS --out ablation

Every row is the shipped recipe's first two stages (previous mask true, then the model's own), shortened, on small frames, from one seed; a
row of one stage gets as many frames of the first. What differs is in ROWS, and the recipe of a row lies beside its run. A row that is done
is not trained again: after a stop the same command goes on. Writes OUT/ablation.json and prints the table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from vos_zoo.checkpoints import catalogue
from vos_zoo.commands.train import main as train
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import evaluate
from vos_zoo.system.atomic import write_json
from vos_zoo.train.recipe_file import load_recipe
from vos_zoo.zoo import create

ROWS: dict[str, tuple[str, dict[str, Any], int]] = {  # name -> recipe, what its model is told, stages
    "RVOS, spatio-temporal": ("rvos-resnet18", {}, 2),
    "RVOS, spatial only": ("rvos-resnet18", {"recurrence": "spatial"}, 2),
    "RVOS, temporal only": ("rvos-resnet18", {"recurrence": "temporal"}, 2),
    "RVOS, spatio-temporal, stage one only": ("rvos-resnet18", {}, 1),
    "ACCLVOS": ("acclvos-resnet18", {}, 2),
    "ACCLVOS without ASPP": ("acclvos-resnet18", {"aspp": False}, 2),
}
SIX, DOGS = "davis2016val__*", "davis2017val__dogs-jump"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if unknown := sorted(set(options.rows) - set(ROWS)):
            raise EvaluationError(f"there is no row {unknown[0]!r}; there are: {'; '.join(ROWS)}")
        rows = {name: row(name, options) for name in options.rows or ROWS}
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "ablation.json", rows)
    print("\n" + table(rows))
    return 0


def row(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train and score one row; {"steps", "frames", "J&F": {pattern: percent}}."""
    folder = options.out / "".join(c if c.isalnum() else "-" for c in name.lower())
    folder.mkdir(parents=True, exist_ok=True)
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(yaml.safe_dump(shortened(name, options.frames, tuple(options.size)), sort_keys=False), encoding="utf-8")
    recipe = load_recipe(recipe_file)
    print(f"\n{name}: {recipe.steps} steps", flush=True)
    index = ["--clips-index", str(options.clips_index)] if options.clips_index else []
    if train([str(recipe_file), "--data", str(options.data), *index, "--out", str(folder / "run"), *options.train]):
        raise EvaluationError(f"{name}: the training failed; see what it says above")
    checkpoint = torch.load(folder / "run" / "checkpoint.pt", map_location="cpu", weights_only=True)
    if checkpoint["step"] < recipe.steps:
        raise EvaluationError(f"{name}: the training stopped at step {checkpoint['step']} of {recipe.steps}; the same command goes on")
    segmenter = create(catalogue.read(ROWS[name][0]).replace(model_args=recipe.model_args))
    segmenter.model.load_state_dict(checkpoint["average"])
    scores = {}
    for pattern in (SIX, DOGS):
        clips = load_dataset(f"folder:{options.clips}", only=pattern)
        scores[pattern] = 100 * evaluate(segmenter, clips, progress=lambda *_: None, size=min(options.size) * 3 // 2).mean_jf
        print(f"{name}: J&F {scores[pattern]:.1f} on {pattern}", flush=True)
    return {"steps": recipe.steps, "frames": options.frames, "J&F": scores}


def shortened(name: str, frames: int, size: tuple[int, int]) -> dict[str, Any]:
    """A row's recipe: half of the predicted frames in each stage, or all in the first."""
    of, changes, count = ROWS[name]
    raw = yaml.safe_load((catalogue.folder() / of / "recipe.yaml").read_text(encoding="utf-8"))
    raw["model_args"] |= changes
    if changes.get("aspp") is False:
        raw["scaled"]["skips.0.conv"] = raw["scaled"]["skips.1.conv"]  # a skip convolution in its place starts as the others do
    raw["stages"] = raw["stages"][:count]
    for stage in raw["stages"]:
        stage |= {"size": list(size), "steps": max(1, frames // count // (stage["batch"] * (stage["frames"] - 1)))}
    raw["stages"][-1]["lr_end"] = 1e-5
    return dict(raw)


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| | J&F, six sequences | J&F, dogs-jump |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {each['J&F'][SIX]:.1f} | {each['J&F'][DOGS]:.1f} |" for name, each in rows.items()])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="as for vos-zoo train")
    parser.add_argument("--clips-index", type=Path, metavar="FILE", help="as for vos-zoo train")
    parser.add_argument("--clips", type=Path, required=True, metavar="FOLDER", help="the validation clips")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--frames", type=int, default=4800, help="predicted frames that every row is trained on (default: 4800)")
    parser.add_argument("--size", type=int, nargs=2, default=(144, 256), metavar=("HEIGHT", "WIDTH"), help="of these (default: 144 256)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="what stands behind it goes to vos-zoo train")
    return parser


if __name__ == "__main__":
    sys.exit(main())
