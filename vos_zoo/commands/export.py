"""vos-zoo export NAME --out FOLDER: a model as graphs that run without torch.

vos-zoo export crvos --out crvos-onnx
vos-zoo propagate bear.mp4 --mask first.png --model crvos-onnx --runtime onnxruntime

FOLDER gets config.json and onnx/: encode.onnx, predict.onnx, advance.onnx, annotate.onnx, and export.json, which says what goes in and
out of each, and how a frame is prepared. A folder that holds the checkpoint itself gets the graphs beside its weights.

`vos-zoo export pointer` writes what a click needs: look.onnx, point.onnx, fit.onnx, and pointing.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import VosZooError

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("export", help="write a model as graphs that run without torch", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("model", metavar="NAME", help="name (see vos-zoo list), folder, or owner/repo on the Hugging Face Hub")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where they go")
    parser.add_argument("--format", choices=("onnx", "pt2"), default="onnx", help="ONNX (default), or programs of torch.export")
    parser.add_argument("--overwrite", action="store_true", help="replace graphs in FOLDER")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub repository")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from vos_zoo.commands.options import say
    from vos_zoo.zoo import list_models, load

    if args.model in {row.name for row in list_models() if not row.follows}:
        return _pointer(args)
    segmenter = load(args.model, device="cpu", dtype="float32", revision=args.revision, redetection=False)
    folder = segmenter.export(args.out, format=args.format, overwrite=args.overwrite, report=say)
    _tell(args, segmenter.config.name, folder)
    return 0


def _pointer(args: argparse.Namespace) -> int:
    """What points has graphs of its own."""
    import vos_zoo
    from vos_zoo.commands.options import say

    if args.format != "onnx":
        raise VosZooError(f"{args.model} is written as ONNX: leave --format out")
    _tell(args, args.model, vos_zoo.export_pointer(args.out, args.model, overwrite=args.overwrite, report=say))
    return 0


def _tell(args: argparse.Namespace, name: str, folder: Path) -> None:
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    if args.json:
        print(json.dumps({"model": name, "folder": str(folder), "files": files}, indent=2))
    else:
        print(f"{name}: graphs in {folder}", *(f"{size:>12,}  {file}" for file, size in files.items()), sep="\n")
