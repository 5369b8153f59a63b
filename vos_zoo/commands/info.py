"""vos-zoo info MODEL: what a checkpoint is, what it costs, where it came from, how well it does."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from vos_zoo.checkpoints import sources
from vos_zoo.checkpoints.sources import Access, joined
from vos_zoo.commands.options import ModelChoice, add_model_options, internal_size, load_model
from vos_zoo.errors import ModelNotFoundError

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers
    from vos_zoo.engine.inputs import InputSize
    from vos_zoo.segmenter import Segmenter

VIDEO = (480, 854)  # height and width of the frames that costs are counted for


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("info", help="what a model is", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="name (see vos-zoo list), folder, or owner/repo on the Hugging Face Hub")
    parser.add_argument(
        "--size",
        type=internal_size,
        help=f"for a video of {VIDEO[0]}x{VIDEO[1]}, count the cost at this size inside the model: 480, 480x854 or native (default: the "
        "checkpoint's own)",
    )
    add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    names = joined(args.model)
    infos = [_info(ModelChoice.of(args, str(name)), args.size) for name in names]
    if args.json:
        print(json.dumps(infos[0] if len(names) == 1 else infos, indent=2))
    else:
        print("\n\n".join(map(_words, infos)))
    return 0


def _info(choice: ModelChoice, size: InputSize) -> dict[str, Any]:
    from vos_zoo.checkpoints import catalogue
    from vos_zoo.zoo import create

    config = sources.find(choice.model, Access(choice.revision, local_files_only=choice.local_files_only)).config
    if config.encoder is not None:
        return _pointing_info(choice)
    has_weights = True
    try:
        segmenter = load_model(choice)
    except ModelNotFoundError:
        if choice.model not in catalogue.names():
            raise
        has_weights, segmenter = False, create(choice.model, device=choice.device, dtype=choice.dtype)
    return {**segmenter.info(), "has_weights": has_weights, "cost": _cost(segmenter, size)}


def _pointing_info(choice: ModelChoice) -> dict[str, Any]:
    """Of a model that makes masks of clicks."""
    from vos_zoo.pointing.model import load_pointer

    model = load_pointer(
        choice.model, device=choice.device, dtype=choice.dtype, revision=choice.revision, local_files_only=choice.local_files_only
    )
    config = model.config
    return {
        "name": config.name,
        "architecture": config.architecture,
        "model_args": dict(config.model_args),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "encoder": config.encoder.name if config.encoder else None,
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "licence": config.licence,
        "paper": dict(config.paper),
        "metrics": list(config.metrics),
        "has_weights": True,
    }


def _cost(segmenter: Segmenter, size: InputSize) -> dict[str, Any]:
    from vos_zoo.models.discovery import architecture_class
    from vos_zoo.models.flops import cost

    counted = cost(architecture_class(segmenter.config.architecture), segmenter.model.config, segmenter.grid_for(VIDEO, size).size)
    return {
        "video": VIDEO,
        "grid": counted.size,
        "encode_gflops": round(counted.encode / 1e9, 3),
        "per_object_gflops": round(counted.per_object / 1e9, 3),
        "state_bytes_per_object": counted.state_bytes,
    }


def _words(info: dict[str, Any]) -> str:
    facts = {
        "name": info["name"],
        "architecture": info["architecture"],
        "parameters": f"{info['parameters']:,}",
        "weights": "here" if info["has_weights"] else "none yet: this model has to be trained or converted before it can be loaded",
        **(_pointing_facts if "encoder" in info else _following_facts)(info),
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


def _pointing_facts(info: dict[str, Any]) -> dict[str, str]:
    return {
        "makes": "masks of clicks, boxes and scribbles: vos-zoo point IMAGE --point X,Y",
        "features": f"those of {info['encoder']}, kept as they are",
    }


def _following_facts(info: dict[str, Any]) -> dict[str, str]:
    side, size, cost = info["short_side"], info["size"], info["cost"]
    own = "the video's own size" if side is None else f"resized to a shorter side of {side} pixels"
    return {
        "input": own if size is None else f"resized to {size[0]}x{size[1]} pixels",
        "cost": f"{cost['encode_gflops']:.1f} GFLOP a frame (encode, shared) + {cost['per_object_gflops']:.1f} per object, "
        "of a {}x{} video at {}x{}".format(*cost["video"], *cost["grid"]),
        "state": f"{cost['state_bytes_per_object'] / 1000:,.1f} kB an object at the video's start, in float32",
        "lost objects": f"looked for by the features of {info['redetection']}" if info["redetection"] else "not looked for",
    }
