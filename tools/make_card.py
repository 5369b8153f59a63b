"""Write a checkpoint's model card from its config.json.

    python tools/make_card.py hub_configs/crvos

With --scores it first records in the config what `vos-zoo evaluate --json scores.json` measured; say of what, and by which command.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vos_zoo.card import model_card
from vos_zoo.config import ModelConfig
from vos_zoo.errors import VosZooError
from vos_zoo.io.atomic import atomic_write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint folder")
    parser.add_argument("--scores", type=Path, help="JSON that vos-zoo evaluate wrote")
    parser.add_argument("--dataset", help="what the scores are of")
    parser.add_argument("--split", help="its split")
    parser.add_argument("--command", help="the command that printed them")
    args = parser.parse_args()
    path = args.folder / "config.json"
    config = ModelConfig.read(path)
    if args.scores:
        if not (args.dataset and args.split and args.command):
            parser.error("--scores needs --dataset, --split and --command")
        scores = json.loads(args.scores.read_text())
        row = {"dataset": args.dataset, "split": args.split, "command": args.command}
        row |= {name: round(100 * scores[key], 1) for name, key in (("J&F", "mean_jf"), ("J", "mean_j"), ("F", "mean_f"))}
        kept = [each for each in config.metrics if (each["dataset"], each["split"]) != (args.dataset, args.split)]
        config = config.replace(metrics=[*kept, row])
        with atomic_write(path) as beside:
            beside.write_text(config.to_json(), encoding="utf-8")
    with atomic_write(args.folder / "README.md") as beside:
        beside.write_text(model_card(config), encoding="utf-8")
    print(args.folder / "README.md")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
