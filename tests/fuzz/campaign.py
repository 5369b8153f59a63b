"""Cases run in a process of their own, so that a crash, a hang or a flood of memory is a finding and not the end."""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import json
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import proving
from .target import all_targets

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 10.0  # seconds a case may take
MOST_MEMORY = 2 << 30  # bytes of a process while it runs one


@dataclass
class Report:
    """What became of the cases of one target."""

    target: str
    seed: int
    counts: collections.Counter[str] = field(default_factory=collections.Counter)  # result, sentence, fault
    faults: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        counted = ", ".join(f"{self.counts[kind]} {kind}s" for kind in ("result", "sentence", "fault"))
        return f"{self.target}, seed {self.seed}: {self.cases} cases, {counted}"


def campaign(target: str, seed: int, *, cases: int | None = None, seconds: float | None = None) -> Report:
    """Cases 0, 1, 2 ... of a target until there have been so many, or so much time is over."""
    report, begun, number = Report(target, seed), time.monotonic(), 0
    while (cases is None or number < cases) and (seconds is None or time.monotonic() - begun < seconds):
        most = 2000 if cases is None else cases - number
        left = None if seconds is None else seconds - (time.monotonic() - begun)
        number = _one_process(report, number, most, left)
    return report


def child(target: str, seed: int, first: int, count: int) -> None:
    """Runs cases in this process and writes a line of JSON before and after each."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    from vos_zoo.errors import VosZooError
    from vos_zoo.system.machine import peak_memory

    chosen = (all_targets() | proving.TARGETS)[target]
    with contextlib.suppress(ValueError, OSError):
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2 * MOST_MEMORY, used + 2 * MOST_MEMORY))
    print(json.dumps({"ready": True}), flush=True)
    before = peak_memory()
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            case = chosen.case(seed, number, Path(folder))
            print(json.dumps({"begin": number}), flush=True)
            said = ""
            try:
                chosen.feed(case)
                kind = "result"
            except VosZooError as error:
                kind = "sentence"
                said = "" if str(error) else "an error without a sentence"
            except BaseException as error:
                kind, said = "fault", f"{type(error).__name__}: {str(error)[:200]}"
        taken = peak_memory() - before
        flooded = taken > MOST_MEMORY
        said = f"took {taken >> 20} MB" if flooded else said
        print(json.dumps({"end": number, "kind": "fault" if said else kind, "said": said, "last": flooded}), flush=True)
        if flooded:
            return  # a peak hides all later ones in a process


def _one_process(report: Report, first: int, count: int, seconds: float | None) -> int:
    """Runs cases from `first` on until one kills or blocks the process; returns the number to go on with."""
    command = [sys.executable, "-m", "tests.fuzz", "--child", report.target, str(report.seed), str(first), str(count)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready, number, running, ends = False, first, False, None if seconds is None else time.monotonic() + seconds
    try:
        for line in _lines(process):
            if line is None:
                what = f"no answer within {LONGEST:g} s" if running else "the target made no case in time"
                _fault(report, number, what)
                return number + 1
            ready = True
            if "begin" in line:
                number, running = line["begin"], True
            elif "end" in line:
                running = False
                report.counts[line["kind"]] += 1
                if line["said"]:
                    report.faults.append(_named(report, line["end"], line["said"]))
                number = line["end"] + 1
                if line["last"] or (ends is not None and time.monotonic() > ends):
                    return number
    finally:
        process.kill()
        _, said = process.communicate()
    if not ready:
        raise RuntimeError(f"{' '.join(command)} did not begin: {said[-2000:]}")
    if number < first + count:
        _fault(report, number, f"the process ended ({process.returncode}): {said[:600]}")
        return number + 1
    return number


def _lines(process: subprocess.Popen[str]) -> Iterator[dict | None]:
    """What the child says, line by line; None if it says nothing for too long."""
    said: queue.Queue[str] = queue.Queue()
    out = process.stdout
    assert out is not None

    def read() -> None:
        for line in out:
            said.put(line)
        said.put("")

    threading.Thread(target=read, daemon=True).start()
    patience = 120.0  # to import the library and make the seeds on a busy machine
    while True:
        try:
            line = said.get(timeout=patience)
        except queue.Empty:
            yield None
            return
        if not line:
            return
        if line.startswith("{"):
            told = json.loads(line)
            patience = patience if "ready" in told else LONGEST
            yield told


def _fault(report: Report, number: int, what: str) -> None:
    report.counts["fault"] += 1
    report.faults.append(_named(report, number, what))


def _named(report: Report, number: int, what: str) -> str:
    return f"--target {report.target} --seed {report.seed} --case {number}: {what}"
