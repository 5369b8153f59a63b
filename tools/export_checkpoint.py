"""Turn a training run into a checkpoint folder: the averaged weights in half precision, and a config that says how they came about.

    python tools/export_checkpoint.py runs/crvos hub_configs/crvos --licence "..." --data "..."

The folder's config.json gives name, description, preprocessing and paper; weights and training are written anew, metrics are emptied, since
they belong to the weights that were there before. Entries of `training` that are not this program's own, notes made by hand, are dropped
too, unless --keep-notes says that they still hold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

import vos_zoo
from vos_zoo.checkpoints.build import untrained
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.save import save
from vos_zoo.errors import DataError, VosZooError
from vos_zoo.train.provenance import provenance, read_recipe
from vos_zoo.train.snapshots import mean_of, snapshot

OWN = {"data", "recipe", "recipe_sha256", "files", "started_from", "processes", "steps", "weights", "last_log", "versions", "before"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that tools/train.py wrote")
    parser.add_argument("folder", type=Path, help="folder with the config.json to fill in")
    parser.add_argument("--licence", help="terms of the weights; default: as the config says")
    parser.add_argument("--data", help="one sentence on the training data and its terms; default: as the config says")
    parser.add_argument("--best", action="store_true", help="the weights that validated best, not the last ones")
    parser.add_argument("--keep-notes", action="store_true", help="keep what else the config's `training` says")
    parser.add_argument("--note", action="append", default=[], metavar="KEY=TEXT", help="one more entry of `training`")
    parser.add_argument("--out", type=Path, help="write here instead of into the folder itself")
    args = parser.parse_args()

    config = ModelConfig.read(args.folder / "config.json")
    recipe = read_recipe(args.run)
    file = args.run / ("best.pt" if args.best else "checkpoint.pt")
    if not file.is_file():
        raise DataError(f"there is no {file}" + ("; the run was never validated: leave --best out" if args.best else ""))
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    how = "exponential moving average of the last step; no checkpoint was picked by validation"
    average = checkpoint["average"]
    earlier = [] if args.best else [step for step in recipe.mean_with if step < checkpoint["step"]]
    if earlier:
        average = mean_of([average, *(snapshot(args.run, step) for step in earlier)])
        how = f"mean of the exponential moving averages of steps {', '.join(f'{step:,}' for step in earlier)} and {checkpoint['step']:,}"
    if args.best:
        how = f"exponential moving average of the step that validated best, J&F {checkpoint['score']:.1f}"
    training: dict[str, Any] = {
        "data": args.data or config.training.get("data", ""),
        **provenance(args.run, recipe, vos_zoo.__version__),
        "steps": checkpoint["step"],
        "weights": how,
    }
    if args.keep_notes:
        training |= {key: value for key, value in config.training.items() if key not in OWN}
    for note in args.note:
        key, equals, text = note.partition("=")
        if not equals or not key or key in OWN:
            raise DataError(f"--note {note!r} is not KEY=TEXT with a key of its own; {', '.join(sorted(OWN))} are written by this program")
        training[key] = text
    config = config.replace(model_args=recipe.shipped_args, training=training, licence=args.licence or config.licence, metrics=[])
    model, config = untrained(config)
    model.load_state_dict(average)
    out = save(model, config, args.out or args.folder, dtype="float16", overwrite=True)
    print(f"{out}: step {checkpoint['step']}, {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
