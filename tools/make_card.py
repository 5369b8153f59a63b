"""Write a checkpoint's model card from its config.json.

    python tools/make_card.py hub_configs/crvos

With --scores it first records in the config what `vos-zoo evaluate` measured (its --json FILE, or OUT/NAME/scores.json); say of what. The
command is taken from that file where it stands there. `example.png` in the folder is shown; tools/make_pictures.py draws one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vos_zoo.checkpoints.card import folder_card
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.checkpoints.quality import QUALITIES
from vos_zoo.errors import VosZooError
from vos_zoo.system.atomic import atomic_write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint folder")
    parser.add_argument("--scores", type=Path, help="JSON that vos-zoo evaluate wrote")
    parser.add_argument("--dataset", help="what the scores are of")
    parser.add_argument("--split", help="its split")
    parser.add_argument("--quality", choices=list(QUALITIES), default="normal", help="what the model was loaded with (default: normal)")
    parser.add_argument("--command", help="the command that printed them; default: as the scores say")
    args = parser.parse_args()
    path = args.folder / "config.json"
    config = ModelConfig.read(path)
    if args.scores:
        scores = _read(args.scores)
        command = args.command or scores.get("about", {}).get("command")
        if not (args.dataset and args.split and command):
            parser.error("--scores needs --dataset and --split, and --command where the file does not say it")
        row = {"dataset": args.dataset, "split": args.split, "command": command}
        row |= {} if args.quality == "normal" else {"quality": args.quality}
        row |= {name: round(100 * scores[key], 1) for name, key in (("J&F", "mean_jf"), ("J", "mean_j"), ("F", "mean_f"))}
        if grouped := scores.get("grouped"):
            keys = ("g", "j_seen", "f_seen", "j_unseen", "f_unseen")
            row |= {key.replace("_", " ").capitalize(): round(100 * grouped[key], 1) for key in keys if grouped.get(key) is not None}
        of = ("dataset", "split", "quality")
        kept = [each for each in config.metrics if [each.get(key) for key in of] != [row.get(key) for key in of]]
        config = config.replace(metrics=[*kept, row])
        with atomic_write(path) as beside:
            beside.write_text(config.to_json(), encoding="utf-8")
    with atomic_write(args.folder / "README.md") as beside:
        beside.write_text(folder_card(args.folder), encoding="utf-8")
    print(args.folder / "README.md")
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VosZooError(f"{path} can't be read ({error}). Give the file that vos-zoo evaluate --json wrote.") from error
    if not isinstance(scores, dict) or not all(isinstance(scores.get(key), (int, float)) for key in ("mean_jf", "mean_j", "mean_f")):
        raise VosZooError(f"{path} holds no scores. Give the file that vos-zoo evaluate --json wrote.")
    if scores.get("interrupted"):
        raise VosZooError(f"the evaluation in {path} was interrupted, so its means are over some clips only. Run it to its end first.")
    return scores


if __name__ == "__main__":
    try:
        sys.exit(main())
    except VosZooError as error:
        sys.exit(f"error: {error}")
