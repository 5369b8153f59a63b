"""vos-zoo evaluate: J and F of a model, or of saved masks, on annotated clips, by the rules of DAVIS.

vos-zoo evaluate --model crvos --dataset folder:CLIPS
vos-zoo evaluate --results MASKS --dataset davis2017:DAVIS --only 'dogs-*'
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vos_zoo.commands.options import add_model_options, add_progress_option, internal_size, load_model
from vos_zoo.errors import SaveError, VosZooError

if TYPE_CHECKING:
    from vos_zoo.evaluation.evaluate import ClipScore


def add(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="J and F on annotated clips", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", help="name (see vos-zoo list), folder, or owner/repo on the Hugging Face Hub")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="score these masks instead: FOLDER/CLIP/*.png")
    parser.add_argument("--dataset", required=True, metavar="LAYOUT:ROOT",
                        help="folder:ROOT (ROOT/CLIP/frames and ROOT/CLIP/masks), davis2016:ROOT or davis2017:ROOT")  # fmt: skip
    parser.add_argument("--only", action="append", metavar="PATTERN", help="clip names, shell patterns; may be repeated")
    parser.add_argument("--size", type=internal_size, help="size inside the model: shorter side, HEIGHTxWIDTH or native")
    parser.add_argument("--save-masks", type=Path, metavar="FOLDER", help="write the masks to FOLDER/CLIP/")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line an object to this file")
    add_progress_option(parser)
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from vos_zoo.evaluation.datasets import load_dataset
    from vos_zoo.evaluation.evaluate import evaluate, evaluate_results

    if (args.model is None) == (args.results is None):
        raise VosZooError("what is to be scored? Give either --model NAME or --results FOLDER, not both")
    if args.results is not None and (args.save_masks or args.size):
        raise VosZooError("--size and --save-masks are for --model: leave them out, saved masks are scored as they are")
    if args.save_masks and args.save_masks.exists() and not (args.save_masks.is_dir() and not any(args.save_masks.iterdir())):
        raise SaveError(f"{args.save_masks} is there already: give --save-masks an empty or new folder, or delete it first")
    clips = load_dataset(args.dataset, only=args.only)
    if args.results is not None:
        report = evaluate_results(args.results, clips)
    else:
        segmenter: Any = load_model(args)
        progress = None if sys.stderr.isatty() and not args.no_progress else _silent if args.no_progress else _line
        report = evaluate(segmenter, clips, progress=progress, save=args.save_masks, size=args.size)
    print(report.table())
    if args.json:
        report.to_json(args.json)
    if args.csv:
        report.to_csv(args.csv)
    return 130 if report.interrupted else 0


def _line(clip: ClipScore, done: int, total: int) -> None:
    print(f"{done}/{total} {clip.name}: J {100 * clip.j.mean():.1f}, F {100 * clip.f.mean():.1f}", file=sys.stderr, flush=True)


def _silent(clip: ClipScore, done: int, total: int) -> None:
    pass
