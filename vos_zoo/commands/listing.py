"""vos-zoo list: the models that come with the library."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from vos_zoo.errors import did_you_mean
from vos_zoo.system.streams import tell

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers

HEADER = f"{'NAME':<22} {'MODEL':<15} {'PARAMS':>6} {'WEIGHTS':>10}  DESCRIPTION"


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("list", help="models that come with the library", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern, for instance 'cr*'")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from vos_zoo.checkpoints.catalogue import names, rows

    found = rows(args.pattern)
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in found], indent=2))
    elif found:
        print(HEADER, *found, sep="\n")
    if not found:
        tell(f"vos-zoo: no model matches {args.pattern!r}.{did_you_mean(args.pattern, names())} There are: {', '.join(names())}")
    return 0
