"""vos-zoo evaluate --clicks: how many clicks a mask takes, on stills or on the first true masks of clips."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.pointing.prompts import POINTER
from vos_zoo.system.streams import tell

if TYPE_CHECKING:
    from vos_zoo.evaluation.clicks import ObjectClicks, Target

STILLS = "stills"


def run(args: argparse.Namespace) -> int:
    """Prints NoC@85, NoC@90 and the mean IoU after 1, 2, 3, 5 clicks and of a box."""
    from vos_zoo.evaluation.clicks import click
    from vos_zoo.pointing.model import load_pointer

    names = args.model or [POINTER]
    if len(names) > 1 or args.results:
        raise VosZooError("--clicks scores one model that points: leave --results out, and all but one --model")
    targets = list(_targets(args))
    pointing = load_pointer(names[0], device=args.device, dtype=args.dtype)

    count = itertools.count(1)

    def told(done: ObjectClicks) -> None:
        if not args.no_progress:
            tell(f"{next(count)}/{len(targets)} {done.name}: {100 * done.after(1):.1f} after a click")

    scores = click(pointing, targets, progress=told)
    print(scores.table())
    if args.json:
        scores.to_json(args.json)
    return 0


def _targets(args: argparse.Namespace) -> Iterator[Target]:
    from vos_zoo.evaluation.clicks import targets_of_clips, targets_of_stills
    from vos_zoo.evaluation.datasets import load_dataset

    layout, _, root = args.dataset.partition(":")
    if layout != STILLS:
        yield from targets_of_clips(load_dataset(args.dataset, only=args.only, subset=args.subset, seen=args.seen))
        return
    folders = [Path(each).expanduser() for each in root.split(",") if each]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        what = missing[0] if missing else root
        raise EvaluationError(f"there is no folder {what}: give stills:FOLDER,FOLDER, each with images/ and masks/")
    yield from targets_of_stills(folders, args.kept_out or 1)
