"""What a segmenter costs: peak memory over a video's length, seconds a frame, both on synthetic frames.

Every measurement is a flat record, made for JSON and for tables and plots over it. Knows of a segmenter what `vos_zoo.Segmenter`
documents, and of its model the contract.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vos_zoo.benchmark.baseline import Baseline, prepared, timed, waiter
from vos_zoo.benchmark.stages import USUAL, Measurable, first_mask
from vos_zoo.benchmark.synthetic import Size, SyntheticClip
from vos_zoo.engine.inputs import InputSize
from vos_zoo.errors import EvaluationError
from vos_zoo.system.machine import device_peak, peak_memory
from vos_zoo.videos.writer import VideoWriter

TRACE_POINTS = 20
STRETCH = 25  # frames whose median time is the pace at a place of the video


@dataclass(frozen=True)
class Case:
    """What was measured: which model, on what, for which input."""

    model: str
    architecture: str
    parameters: int
    device: str
    dtype: str
    size: Size  # of the video
    grid: Size  # inside the model, padding included
    objects: int
    trained: bool = True  # False: random weights
    runtime: str = "torch"

    @classmethod
    def of(cls, segmenter: Measurable, clip: SyntheticClip, inside: InputSize = None) -> Case:
        return cls(
            model=segmenter.config.name,
            architecture=segmenter.config.architecture,
            parameters=segmenter.info()["parameters"],
            device=str(segmenter.device),
            dtype=segmenter.precision,
            size=clip.size,
            grid=segmenter.grid_for(clip.size, inside).size,
            objects=clip.objects,
            trained=segmenter.config.weights is not None,
            runtime=segmenter.runtime,
        )

    def __str__(self) -> str:
        return (f"{self.model} ({self.architecture}, {self.parameters / 1e6:.1f} M parameters), {self.device}, {self.dtype}, "
                f"{self.size[0]}x{self.size[1]} on a {self.grid[0]}x{self.grid[1]} grid, {self.objects} object(s)")  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """Memory that a process needed for one video. Bytes."""

    case: Case
    through: str  # "stream" or "propagate"
    frames: int
    before: int  # peak when the model was ready and no frame had been seen
    peak: int  # of the process, its libraries and the model included
    device_peak: int | None  # of tensors on the GPU; None without one
    masks: int | None  # the MaskSequence that propagate returned; None for stream
    trace: tuple[tuple[int, int], ...]  # (frames done, peak until then), TRACE_POINTS of them over the video
    pace: float | None = None  # median time of the last STRETCH frames over that of those from STRETCH to 2 * STRETCH; None: too short

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Memory:
        """The inverse of `as_record`, also after a trip through JSON."""
        case = {f.name: record[f.name] for f in fields(Case)}
        own = {f.name: record[f.name] for f in fields(cls) if f.name in record}
        own["trace"] = tuple((int(frames), int(peak)) for frames, peak in own["trace"])
        return cls(Case(**{**case, "size": tuple(case["size"]), "grid": tuple(case["grid"])}), **own)


@dataclass(frozen=True)
class Timing:
    """Seconds that one case took."""

    case: Case
    what: str  # a key of STAGES
    frames: int  # of every run
    runs: tuple[float, ...]  # seconds a frame, one value a run
    units: tuple[float, ...] = ()  # seconds a frame of the baseline, one more than runs: before, between and after them
    baseline: str | None = None  # its name; None without one

    @property
    def seconds(self) -> float:
        """A frame, median of the runs."""
        return statistics.median(self.runs)

    @property
    def unit(self) -> float | None:
        """A frame of the baseline, median."""
        return statistics.median(self.units) if self.units else None

    @property
    def ratio(self) -> float | None:
        """Time in units of the baseline's: the median over the runs, each against the baseline right before and after it."""
        if not self.units:
            return None
        return statistics.median(2 * run / (a + b) for run, a, b in zip(self.runs, self.units, self.units[1:], strict=False))

    @property
    def fps(self) -> float:
        return 1 / self.seconds


def as_record(measured: Memory | Timing) -> dict[str, Any]:
    """Flat, for JSON: the case's fields beside the measurement's, derived figures included."""
    values = asdict(measured)
    record = {**values.pop("case"), **values}
    if isinstance(measured, Timing):
        record |= {"seconds": measured.seconds, "fps": measured.fps, "unit": measured.unit, "ratio": measured.ratio}
    return record


def measure_memory(segmenter: Measurable, clip: SyntheticClip, *, through: str = "stream", inside: InputSize = None,
                   report: Callable[[int], None] = lambda done: None) -> Memory:  # fmt: skip
    """Send a clip through `stream` or `propagate` and read the peak: once a process, since a peak never falls.

    Args:
        inside: the `size` argument of both.
        report: called with the number of frames done.
    """
    before, trace, pace = peak_memory(), [], _Pace()
    points = {round(n * len(clip) / TRACE_POINTS) for n in range(1, TRACE_POINTS + 1)}

    def count(done: int, _: int | None = None) -> None:
        pace.tick()
        if done in points:
            trace.append((done, peak_memory()))
        report(done)

    masks = None
    if through == "stream":
        done = 0
        for done, _ in enumerate(segmenter.stream(iter(clip), first_mask(segmenter, clip), size=inside), 1):
            count(done)
    elif through == "propagate":
        sequence = segmenter.propagate(iter(clip), first_mask(segmenter, clip), size=inside, progress=count)
        done, masks = len(sequence), sequence.nbytes
    else:
        raise EvaluationError(f"frames go through 'stream' or 'propagate', not {through!r}")
    if done != len(clip):
        raise EvaluationError(f"{done} of {len(clip)} frames came back: the figures would be wrong")
    on_gpu = device_peak(segmenter.device)
    return Memory(Case.of(segmenter, clip, inside), through, done, before, peak_memory(), on_gpu, masks, tuple(trace), pace.ratio())


class _Pace:
    """Whether frames take as long at the end of a video as at its beginning."""

    def __init__(self) -> None:
        self.early: list[float] = []
        self.late: deque[float] = deque(maxlen=STRETCH)
        self.last = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        (self.early if len(self.early) < 2 * STRETCH else self.late).append(now - self.last)
        self.last = now

    def ratio(self) -> float | None:
        return statistics.median(self.late) / statistics.median(self.early[STRETCH:]) if len(self.late) == STRETCH else None


def growth(measured: Sequence[Memory]) -> float:
    """Peak of the longest video over that of the shortest, of the process or of the GPU, whichever grew more. 1 is none."""
    short, long = _ends(measured)
    ratios = [long.peak / short.peak]
    if short.device_peak and long.device_peak:
        ratios.append(long.device_peak / short.device_peak)
    return max(ratios)


def bytes_a_frame(measured: Sequence[Memory]) -> float:
    """What every further frame added to the process's peak, from the shortest video to the longest."""
    short, long = _ends(measured)
    return (long.peak - short.peak) / (long.frames - short.frames)


def _ends(measured: Sequence[Memory]) -> tuple[Memory, Memory]:
    short, long = (choose(measured, key=lambda one: one.frames) for choose in (min, max))
    if short.frames == long.frames:
        raise EvaluationError("growth needs two lengths of video, as in --frames 300 3000")
    return short, long


def measure_speed(
    segmenter: Measurable,
    clip: SyntheticClip,
    folder: Path,
    *,
    baseline: Baseline | None = None,
    repeats: int = 3,
    inside: InputSize = None,
    stages: Sequence[str] = USUAL,
) -> list[Timing]:
    """Every stage: one run to warm up, then `repeats` runs over the clip, the device synchronised around each.

    Args:
        folder: where the clip's mp4 is written.
        baseline: measured before and after every run.
    """
    video = folder / f"{clip.size[0]}x{clip.size[1]}_{clip.objects}.mp4"
    with VideoWriter(video, fps=25, size=clip.size) as writer:
        for frame in clip:
            writer.write(frame)
    case, found, wait = Case.of(segmenter, clip, inside), [], waiter(segmenter.device)
    for name in stages:
        run = prepared(segmenter, name, clip, video, inside)
        run()
        of_baseline = baseline.begin(name, clip, video) if baseline else None
        runs, units = [], [of_baseline()] if of_baseline else []
        for _ in range(repeats):
            runs.append(timed(run, wait) / len(clip))
            units += [of_baseline()] if of_baseline else []
        found.append(Timing(case, name, len(clip), tuple(runs), tuple(units), baseline.name if baseline else None))
    return found
