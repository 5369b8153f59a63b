"""python -m tests.kills --kills 200: every scenario in turn. Exit status 1 if there was a fault."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .killing import kill_at_random
from .scenarios import SCENARIOS


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of all chosen scenarios together")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="may be given more than once (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    names, faults = args.scenario or list(SCENARIOS), 0
    for name in names:
        with tempfile.TemporaryDirectory() as home:
            report = kill_at_random(SCENARIOS[name], Path(home), -(-args.kills // len(names)), args.seed)
        print(report, *report.faults[:5], sep="\n  ", flush=True)
        faults += len(report.faults)
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
