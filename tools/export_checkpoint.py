"""Turn a training run into a checkpoint folder: the averaged weights in half precision, and a config that says how they came about.

    python tools/export_checkpoint.py runs/crvos hub_configs/crvos --licence "..." --data "..."

The folder's config.json gives name, description, preprocessing and paper; weights and training are written anew, metrics are emptied, since
they belong to the weights that were there before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy
import timm
import torch

import vos_zoo
from vos_zoo.config import ModelConfig
from vos_zoo.errors import VosZooError
from vos_zoo.zoo import create, save


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that tools/train.py wrote")
    parser.add_argument("folder", type=Path, help="folder with the config.json to fill in")
    parser.add_argument("--licence", help="terms of the weights; default: as the config says")
    parser.add_argument("--data", help="one sentence on the training data and its terms")
    parser.add_argument("--out", type=Path, help="write here instead of into the folder itself")
    args = parser.parse_args()

    config = ModelConfig.read(args.folder / "config.json")
    recipe = json.loads((args.run / "recipe.json").read_text())
    checkpoint = torch.load(args.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    log = [json.loads(line) for line in (args.run / "log.jsonl").read_text().splitlines()]
    training = {
        "data": args.data or config.training.get("data", ""),
        "recipe": recipe,
        "recipe_sha256": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        "steps": checkpoint["step"],
        "weights": "exponential moving average of the last step; no checkpoint was picked by validation",
        "last_log": log[-1] if log else None,
        "versions": {
            "vos_zoo": vos_zoo.__version__,
            "torch": torch.__version__,
            "timm": timm.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
    }
    config = config.replace(model_args=recipe["model_args"], training=training, licence=args.licence or config.licence, metrics=[])
    segmenter = create(config, device="cpu", dtype="float32")
    segmenter.model.load_state_dict(checkpoint["average"])
    out = save(segmenter, args.out or args.folder, dtype="float16", overwrite=True)
    print(f"{out}: step {checkpoint['step']}, {(out / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
