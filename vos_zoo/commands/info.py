"""vos-zoo info MODEL: what a checkpoint is, where it came from, how well it does."""

from __future__ import annotations

import argparse
import json
from typing import Any

from vos_zoo.commands.options import add_model_options, load_model
from vos_zoo.errors import ModelNotFoundError


def add(commands: Any) -> None:
    parser = commands.add_parser("info", help="what a model is", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="name (see vos-zoo list), folder, or owner/repo on the Hugging Face Hub")
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    info = _info(args)
    print(json.dumps(info, indent=2) if args.json else _words(info))
    return 0


def _info(args: argparse.Namespace) -> dict[str, Any]:
    from vos_zoo import catalogue
    from vos_zoo.zoo import create

    try:
        return {**load_model(args).info(), "has_weights": True}
    except ModelNotFoundError:
        if args.model not in catalogue.names():
            raise
    return {**create(args.model, device=args.device, dtype=args.dtype).info(), "has_weights": False}


def _words(info: dict[str, Any]) -> str:
    side = info["short_side"]
    facts = {
        "name": info["name"],
        "architecture": info["architecture"],
        "parameters": f"{info['parameters']:,}",
        "weights": "here" if info["has_weights"] else "none yet: this model has to be trained or converted before it can be loaded",
        "input": "the video's own size" if side is None else f"resized to a shorter side of {side} pixels",
        "device": f"{info['device']}, {info['dtype']}",
        "licence": info["licence"] or "not stated",
        "arguments": ", ".join(f"{name}={value}" for name, value in info["model_args"].items()),
    }
    if info["paper"]:
        facts["paper"] = f"{info['paper'].get('title', '')} {info['paper'].get('url', '')}".strip()
    lines = [f"{name:<13}{value}" for name, value in facts.items()]
    for row in info["metrics"]:
        scores = ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("dataset", "split", "command"))
        lines += [f"{'measured':<13}{row['dataset']} {row['split']}: {scores}", f"{'':<13}by: {row['command']}"]
    return "\n".join(lines)
