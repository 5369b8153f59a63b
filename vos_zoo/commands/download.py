"""vos-zoo download: fetch checkpoints, so that they load without the network afterwards.

vos-zoo download someone/their-crvos
vos-zoo download scm-resnet50 rvos-resnet101
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vos_zoo.commands.options import Subparsers


def add(commands: Subparsers) -> None:
    parser = commands.add_parser("download", help="fetch checkpoints for use without the network", description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("models", nargs="+", metavar="NAME", help="name (see vos-zoo list), or owner/repo on the Hugging Face Hub")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub repository")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from vos_zoo.zoo import download

    fetched = {}
    for name in args.models:
        paths = fetched[name] = [str(path) for path in download(name, revision=args.revision)]
        if not args.json:
            print(f"{name}: here and verified", *paths, sep="\n  ", flush=True)
    if args.json:
        print(json.dumps(fetched, indent=2))
    return 0
