"""python -m tests.crowd --visitors 20 --minutes 10: figures. Exit status 1 if there was a fault, or a file was left."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .visitors import Place, Tally, Visitor

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crowd", description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--keep", type=float, default=60.0, help="seconds after which the page deletes files")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "tests.crowd.server", folder, str(args.keep)]
        environment = {**os.environ, "PYTHONPATH": paths}
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None and server.stdin is not None
        try:
            line = next((line for line in server.stdout if line.startswith("{")), "")
            if not line:
                raise SystemExit("the page did not start")
            told = json.loads(line)
            left = _crowd(Place(told["address"], told["functions"], told["model"]), told["pid"], Path(told["files"]), args)
        finally:
            server.stdin.close()
            server.wait(60)
        behind = [str(path) for path in (Path(folder) / "files").rglob("*")]
        print(f"after the server's end {len(behind)} files: {behind[:5]}")
    return int(left or bool(behind))


def _crowd(place: Place, pid: int, files: Path, args: argparse.Namespace) -> bool:
    tally, until = Tally(), time.monotonic() + 60 * args.minutes
    visitors = [Visitor(place, number, tally) for number in range(args.visitors)]
    threads = [threading.Thread(target=each.stay, args=(until,)) for each in visitors]
    for thread in threads:
        thread.start()
    begun, shown = time.monotonic(), 0.0
    while any(thread.is_alive() for thread in threads):
        if time.monotonic() >= shown:
            print(f"{time.monotonic() - begun:5.0f} s: {_memory(pid) >> 20} MB, {_count(files)} files, {sum(tally.done.values())} done, "
                  f"{len(tally.faults)} faults", flush=True)  # fmt: skip
            shown = time.monotonic() + 15
        time.sleep(0.5)
    print(dict(sorted(tally.done.items())))
    keep = max(args.keep, 45.0)  # as the page has it
    most = keep + min(60.0, keep / 4) + 5  # a file's time, and the time between two looks
    time.sleep(most)
    count = _count(files)
    print(f"{most:.0f} s after the last visitor: {_memory(pid) >> 20} MB, {count} files")
    return bool(tally.faults or count)


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _count(files: Path) -> int:
    """Files of visitors; the lock that says that the server lives is none. Folders may go while they are counted."""
    return sum(name != "lock" for _, _, names in os.walk(files) for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
