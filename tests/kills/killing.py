"""A run in a process of its own, killed at a random instant, and looked at."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from forked import set_apart

from .scenarios import Scenario, leftovers


@dataclass
class Report:
    """What came of the kills of one scenario."""

    scenario: str
    seconds: float  # that a run takes which nobody kills
    kills: int = 0  # runs that were alive when the signal came
    left: int = 0  # of these, with hidden things left behind, which the next run removed
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.kills} kills within {self.seconds:.2f} s, {self.left} left something hidden, {len(self.faults)} faults"
        )


def kill_at_random(scenario: Scenario, home: Path, kills: int, seed: int) -> Report:
    """So many runs of a scenario, each killed at an instant between its begin and its end, then run once more to its end."""
    rng = random.Random(f"{scenario.name} {seed}")
    prepared = home / "prepared"
    prepared.mkdir(parents=True)
    scenario.prepare(prepared)
    report = Report(scenario.name, 0.0)
    for _ in range(1 if kills < 10 else 2):  # the first one takes longer than those behind it
        with _copy(prepared, home) as root:
            begun = time.monotonic()
            _to_its_end(lambda: scenario.work(root))  # noqa: B023
            report.seconds = time.monotonic() - begun
            _check(report, "undisturbed", lambda: scenario.done(root, scenario.whole(root)))  # noqa: B023
    for number in range(10 * kills):
        if report.kills == kills:
            break
        instant = rng.uniform(0, report.seconds)
        with _copy(prepared, home) as root:
            process = _forked(lambda root=root: scenario.work(root))  # type: ignore[misc]
            time.sleep(instant)
            os.kill(process, signal.SIGKILL)
            if not os.WIFSIGNALED(os.waitpid(process, 0)[1]):
                continue  # it was done before
            report.kills += 1
            where = f"--scenario {scenario.name} --seed {seed}, kill {number} after {instant:.3f} s"
            _check(report, where, lambda root=root: _after(scenario, root, report))  # type: ignore[misc]
    return report


def _after(scenario: Scenario, root: Path, report: Report) -> None:
    before = scenario.whole(root)
    report.left += bool(leftovers(root / "out"))
    _to_its_end(lambda: scenario.work(root))
    scenario.done(root, before)
    assert (left := leftovers(root)) == [], f"left behind: {left}"


def _check(report: Report, where: str, what: Callable[[], None]) -> None:
    try:
        what()
    except Exception:
        report.faults.append(f"{where}: {traceback.format_exc(limit=-3)}")


@contextmanager
def _copy(prepared: Path, home: Path) -> Iterator[Path]:
    root = home / "root"  # always the same, so that what is cached by it holds
    shutil.copytree(prepared, root)
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _to_its_end(work: Callable[[], None]) -> None:
    _, status = os.waitpid(_forked(work), 0)
    assert status == 0, f"the run ended with {status}"


def _forked(work: Callable[[], None]) -> int:
    """The number of a process that does the work: a fork, since the library takes seconds to import."""
    if (process := os.fork()) == 0:
        try:
            set_apart()
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return process
