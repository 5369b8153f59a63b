"""Train a model by its recipe, on the CPU or one GPU; run again to go on.

    python tools/train.py hub_configs/crvos/recipe.yaml --data DATA --backbones DATA/backbones --out runs/crvos

DATA holds the recipe's folders of stills (NAME/images, NAME/masks) and clips (NAME/frames, NAME/masks).
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import torch

from vos_zoo.config import checked_args
from vos_zoo.errors import DataError, VosZooError, VosZooWarning
from vos_zoo.io.atomic import atomic_write
from vos_zoo.memory import keep_freed_memory
from vos_zoo.models.base import VOSModel
from vos_zoo.train.batches import Batches
from vos_zoo.train.clips import load_clips, training_clips
from vos_zoo.train.loop import train
from vos_zoo.train.recipe import Recipe, load_recipe
from vos_zoo.train.stills import load_stills
from vos_zoo.train.trainer import Trainer
from vos_zoo.zoo import architecture_class


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the recipe's stills and clips")
    parser.add_argument("--clips-index", type=Path, help="where the recipe's clips_index lies, if not in --data")
    parser.add_argument("--backbones", type=Path, help="folder of ImageNet trunks (safetensors)")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint.pt, log.jsonl and recipe.json go here")
    parser.add_argument("--max-minutes", type=float, default=float("inf"), help="stop cleanly after this long")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw batches ahead (default 1)")
    args = parser.parse_args()

    keep_freed_memory()
    recipe = load_recipe(args.recipe)
    fresh = not (args.out / "checkpoint.pt").exists()
    if recipe.backbone and fresh and args.backbones is None:
        parser.error(f"this recipe starts from {recipe.backbone}: say --backbones FOLDER")
    torch.manual_seed(recipe.seed)
    model = build(recipe, args.backbones if fresh else None)
    trainer = Trainer(model, recipe, args.device)
    stills = load_stills([args.data / name for name in recipe.stills], args.out / "cache") if recipe.stills else None
    clips = []
    if recipe.clips:
        index = args.clips_index or (args.data / recipe.clips_index if recipe.clips_index else None)
        clips = load_clips(training_clips(args.data, index), skip=recipe.clips_skip)
    print(f"{0 if stills is None else len(stills)} stills, {len(clips)} clips, {recipe.steps} steps", flush=True)
    batches = Batches(recipe, stills, clips)
    record(recipe, args.out / "recipe.json", fresh)
    done = train(trainer, batches, args.out, max_minutes=args.max_minutes, workers=args.workers)
    print("done" if done else f"stopped at step {trainer.step}; the same command goes on")
    return 0


def build(recipe: Recipe, backbones: Path | None) -> VOSModel:
    """The recipe's model, its trunk from a file under `backbones` where both are given."""
    architecture = architecture_class(recipe.architecture)
    arguments = checked_args(architecture.Config, recipe.model_args, source="the recipe")
    try:
        model = architecture(architecture.Config(**arguments))
    except ValueError as error:
        raise DataError(f"{recipe.architecture} as the recipe wants it: {error}") from error
    if recipe.backbone and backbones is not None:
        file, trunks = backbones / recipe.backbone, model.trunks()
        if not trunks:
            raise DataError(f"{recipe.architecture} has no trunk to start from {recipe.backbone}; take `backbone` out of the recipe")
        if not file.is_file():
            raise DataError(f"there is no {file}, the trunk that this recipe starts from; say --backbones FOLDER")
        try:
            for trunk in trunks:
                trunk.load_imagenet(file)  # type: ignore[operator]
        except ValueError as error:
            raise DataError(str(error)) from error
    return model


def record(recipe: Recipe, path: Path, fresh: bool) -> None:
    """Write the resolved recipe beside the checkpoint; a run that goes on by another recipe than it began with says so."""
    text = json.dumps(recipe.as_dict(), indent=2)
    if path.exists() and not fresh:
        before, now = json.loads(path.read_text()), json.loads(text)
        changed = [key for key in now if now[key] != before.get(key)]
        if changed:
            warnings.warn(f"the run in {path.parent} began with other values of {', '.join(changed)}", VosZooWarning, stacklevel=2)
    with atomic_write(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (VosZooError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
