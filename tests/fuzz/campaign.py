"""Cases run in processes of their own, forks of this one, so that a crash, a hang or a flood of memory is a finding and not the end."""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import json
import os
import queue
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forked import set_apart

from . import proving
from .target import all_targets

LONGEST = 10.0  # seconds of a processor that a case may take
ASLEEP = 6  # times as long it may wait for a busy machine
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
    faulthandler.enable(file=2)
    warnings.simplefilter("ignore")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    from vos_zoo.errors import VosZooError
    from vos_zoo.system.machine import peak_memory

    chosen = (all_targets() | proving.TARGETS)[target]
    with contextlib.suppress(ValueError, OSError):
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2 * MOST_MEMORY, used + 2 * MOST_MEMORY))
    print(json.dumps({"ready": True}), flush=True)
    for number in range(first, first + count):
        with contextlib.suppress(OSError):  # where the kernel can't forget it, a peak of the process this is a fork of may hide one here
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = peak_memory()
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


class _Child:
    """A fork of this process that runs cases: the library takes seconds to import, and seeds to make."""

    def __init__(self, target: str, seed: int, first: int, count: int) -> None:
        mine, theirs = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._number = os.fork()
        if self._number == 0:
            try:
                os.dup2(theirs, 1)
                os.dup2(self._said.fileno(), 2)
                sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
                set_apart()
                child(target, seed, first, count)
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(theirs)
        self.out = os.fdopen(mine, encoding="utf-8")

    def used(self) -> float:
        """Seconds of a processor so far; infinitely many where the system does not tell, so that the clock on the wall decides."""
        try:
            fields = Path(f"/proc/{self._number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return float("inf")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> tuple[int, str]:
        """Kills it; its exit status, and what it said on standard error."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._number, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self._number, 0)[1])
        self._said.seek(0)
        with self._said as said:
            return status, said.read().decode(errors="replace")


def _one_process(report: Report, first: int, count: int, seconds: float | None) -> int:
    """Runs cases from `first` on until one kills or blocks the process; returns the number to go on with."""
    process = _Child(report.target, report.seed, first, count)
    ready, number, running, ends = False, first, False, None if seconds is None else time.monotonic() + seconds
    try:
        for line in _lines(process):
            if line is None:
                what = f"no answer within {LONGEST:g} s of a processor" if running else "the target made no case in time"
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
        status, said = process.end()
    if not ready:
        raise RuntimeError(f"{report.target} did not begin: {said[-2000:]}")
    if number < first + count:
        _fault(report, number, f"the process ended ({status}): {said[:600]}")
        return number + 1
    return number


def _lines(process: _Child) -> Iterator[dict | None]:
    """What the child says, line by line; None if it says nothing for too long."""
    said: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with contextlib.suppress(ValueError, OSError), process.out:
            for line in process.out:
                said.put(line)
        said.put("")

    threading.Thread(target=read, daemon=True).start()
    patience, asleep, begun = 120.0, 1, 0.0  # the first line comes when the seeds are made
    while True:
        try:
            line = said.get(timeout=patience)
        except queue.Empty:
            if asleep < ASLEEP and process.used() - begun < 0.9 * LONGEST:
                asleep += 1
                continue
            yield None
            return
        asleep, begun = 1, process.used()
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
