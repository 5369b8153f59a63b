"""What is told of a run over many clips: how far it is, and what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vos_zoo.system.progress import reporter
from vos_zoo.system.streams import is_terminal, tell

if TYPE_CHECKING:
    from vos_zoo.jobs.destination import Record
    from vos_zoo.jobs.task import Problem

EVERY = 60.0  # seconds between lines where there is no terminal
MOST_LINES = 100  # of failed clips that are printed


@contextmanager
def progress(quiet: bool, total: int) -> Iterator[Callable[[int, int], None]]:
    """Yields report(clips done or failed, clips failed): a bar with the time left on a terminal, else a line a minute; or nothing."""
    if quiet or not total:
        yield lambda done, failed: None
        return
    if is_terminal(sys.stderr):
        with reporter(True, total, "clips", unit="clip") as report:
            yield lambda done, failed: report(done)
        return
    begun = last = time.monotonic()

    def line(done: int, failed: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY and done < total:
            last = now
            left = duration((now - begun) / done * (total - done))
            tell(f"{done} of {count(total, 'clip')}, {failed} failed, {left} left")

    yield line


def summary(
    model: str, problems: Sequence[Problem], before: Mapping[str, Record], records: Sequence[Record], *, clips: int, out: str, log: str
) -> dict[str, Any]:
    """What --json prints. clips: those without problems; before: those that an earlier run did."""
    done = [record for record in records if record["status"] == "done"]
    everything = [*before.values(), *done]
    return {
        "model": model,
        "devices": sorted({record["device"] for record in done}),
        "clips": clips,
        "done": len(everything),
        "done_before": len(before),
        "failed": {record["name"]: record["error"] for record in records if record["status"] == "failed"},
        "left_out": {problem.who: problem.what for problem in problems},
        "frames": sum(record["frames"] for record in done),
        "seconds": round(sum(record["seconds"] for record in done), 3),
        "lost": {record["name"]: record["lost"] for record in everything if record["lost"]},
        "out": out,
        "log": log,
    }


def words(result: Mapping[str, Any]) -> str:
    """The summary as lines to read."""
    where = f" on {', '.join(result['devices'])}" if result["devices"] else ""
    earlier = f" ({result['done_before']} before)" if result["done_before"] else ""
    lines = [f"{result['model']}{where}: {result['done']} of {count(result['clips'], 'clip')} done{earlier}"]
    if result["frames"]:
        speed = result["frames"] / max(result["seconds"], 1e-9)
        lines[0] += f", {count(result['frames'], 'frame')}, {speed:.2f} frames per second in each process"
    if result["lost"]:
        lines.append(f"objects were out of sight or uncertain in {count(len(result['lost']), 'clip')}: see lost in {result['log']}")
    for what, named in (("failed", result["failed"]), ("left out for problems", result["left_out"])):
        if named:
            lines.append(f"{count(len(named), 'clip')} {what}:")
            lines += [f"  {name}: {reason}" for name, reason in list(named.items())[:MOST_LINES]]
            lines += [f"  and {len(named) - MOST_LINES} more"] * (len(named) > MOST_LINES)
    return "\n".join([*lines, f"results: {result['out']}/<clip>/", f"log:     {result['log']}"])


def duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, what: str, several: str | None = None) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {several or what + 's'}"
