"""python -m tests.fuzz --minutes 10: every target in turn, in processes of their own. Exit status 1 if there was a fault."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from .campaign import campaign
from .target import all_targets


def main(arguments: list[str]) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="time for all chosen targets together")
    parser.add_argument("--target", action="append", help="a name, or the beginning of several; may be given more than once (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one in this process, and let its exception through")
    parser.add_argument("--list", action="store_true", help="the names of the targets")
    args = parser.parse_args(arguments)
    known = all_targets()
    names = [name for name in known if not args.target or any(name.startswith(each) for each in args.target)]
    if args.list or not names:
        print("\n".join(known))
        return not names
    if args.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            case = known[names[0]].case(args.seed, args.case, Path(folder))
            print(f"{case!r:.2000}", flush=True)
            print(f"{known[names[0]].feed(case)!r:.2000}")
        return 0
    faults = 0
    for name in names:
        report = campaign(name, args.seed, seconds=60 * args.minutes / len(names))
        print(report, *report.faults[:20], sep="\n  ", flush=True)
        faults += report.counts["fault"]
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
