"""What a segmenter costs: peak memory over a video's length, seconds a frame, both on synthetic frames.

Seconds mean little from one CPU to the next, so on a CPU they are also given in yardsticks: multiples of the time that one plain
forward of a ResNet-50 takes on the same machine, measured right before and after. Every measurement is a flat record, made for
JSON and for tables and plots over it. Knows of a segmenter what `vos_zoo.Segmenter` documents, and of its model the contract.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.synthetic import Size, SyntheticClip
from vos_zoo.io.writer import VideoWriter

YARDSTICK = "one fp32 NCHW eager forward of timm resnet50(features_only, output_stride=16) on one {}x{} frame"
YARDSTICK_SIZE = (480, 864)
TRACE_POINTS = 20


class Measurable(Protocol):
    """What is used of a Segmenter."""

    config: Any
    model: Any
    device: Any
    dtype: Any

    def grid_for(self, size: Size, internal: Any) -> Any: ...
    @property
    def stream(self) -> Callable[..., Iterator[Any]]: ...
    @property
    def propagate(self) -> Callable[..., Any]: ...


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

    @classmethod
    def of(cls, segmenter: Measurable, clip: SyntheticClip, inside: Any = None) -> Case:
        return cls(
            model=segmenter.config.name,
            architecture=segmenter.config.architecture,
            parameters=sum(p.numel() for p in segmenter.model.parameters()),
            device=str(segmenter.device),
            dtype=str(segmenter.dtype).removeprefix("torch."),
            size=clip.size,
            grid=segmenter.grid_for(clip.size, inside).size,
            objects=clip.objects,
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

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Memory:
        """The inverse of `as_record`, also after a trip through JSON."""
        case = {f.name: record[f.name] for f in fields(Case)}
        own = {f.name: record[f.name] for f in fields(cls) if f.name != "case"}
        own["trace"] = tuple((int(frames), int(peak)) for frames, peak in own["trace"])
        return cls(Case(**{**case, "size": tuple(case["size"]), "grid": tuple(case["grid"])}), **own)


@dataclass(frozen=True)
class Timing:
    """Seconds that one case took."""

    case: Case
    what: str  # a key of STAGES
    frames: int  # of every run
    runs: tuple[float, ...]  # seconds a frame, one value a run
    yardstick: float | None  # seconds; None where the model is not on the CPU

    @property
    def seconds(self) -> float:
        """A frame, median of the runs."""
        return statistics.median(self.runs)

    @property
    def yardsticks(self) -> float | None:
        return None if self.yardstick is None else self.seconds / self.yardstick


def as_record(measured: Memory | Timing) -> dict[str, Any]:
    """Flat, for JSON: the case's fields beside the measurement's, derived figures included."""
    values = asdict(measured)
    record = {**values.pop("case"), **values}
    if isinstance(measured, Timing):
        record |= {"seconds": measured.seconds, "yardsticks": measured.yardsticks}
    return record


def peak_memory() -> int:
    """Largest resident size of this process so far, bytes.

    On Linux from the kernel's VmHWM: getrusage there also counts what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError as error:
        raise EvaluationError("peak memory can't be read on this system: measure it on Linux or macOS") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_memory(segmenter: Measurable, clip: SyntheticClip, *, through: str = "stream", inside: Any = None,
                   report: Callable[[int], None] = lambda done: None) -> Memory:  # fmt: skip
    """Send a clip through `stream` or `propagate` and read the peak: once a process, since a peak never falls.

    inside: the `size` argument of both; report: called with the number of frames done.
    """
    before, trace = peak_memory(), []
    points = {round(n * len(clip) / TRACE_POINTS) for n in range(1, TRACE_POINTS + 1)}

    def count(done: int, _: int | None = None) -> None:
        if done in points:
            trace.append((done, peak_memory()))
        report(done)

    masks = None
    if through == "stream":
        done = 0
        for done, _ in enumerate(segmenter.stream(iter(clip), clip.first_mask, size=inside), 1):
            count(done)
    elif through == "propagate":
        sequence = segmenter.propagate(iter(clip), clip.first_mask, size=inside, progress=count)
        done, masks = len(sequence), sequence.nbytes
    else:
        raise EvaluationError(f"frames go through 'stream' or 'propagate', not {through!r}")
    if done != len(clip):
        raise EvaluationError(f"{done} of {len(clip)} frames came back: the figures would be wrong")
    device_peak = None
    if segmenter.device.type == "cuda":
        import torch

        device_peak = torch.cuda.max_memory_allocated(segmenter.device)
    return Memory(Case.of(segmenter, clip, inside), through, done, before, peak_memory(), device_peak, masks, tuple(trace))


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


class Yardstick:
    """YARDSTICK, the unit of speed on a CPU. size: (H, W) of its frame; another than the default is another unit."""

    def __init__(self, size: Size = YARDSTICK_SIZE):
        import timm
        import torch

        self.size = size
        with torch.random.fork_rng(devices=[]):
            self._model = timm.create_model("resnet50", pretrained=False, features_only=True, output_stride=16).eval()
        self._frame = torch.zeros(1, 3, *size)
        self._forward()

    def measure(self, repeats: int = 1) -> list[float]:
        """Seconds of every forward."""
        return timed(self._forward, repeats)

    def __str__(self) -> str:
        return YARDSTICK.format(*self.size)

    def _forward(self) -> None:
        import torch

        with torch.inference_mode():
            self._model(self._frame)


Stage = Callable[[Measurable, SyntheticClip, Path, Any], Callable[[], Any]]  # segmenter, clip, its mp4, inside -> one run of all frames


def _model_only(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: Any) -> Callable[[], Any]:
    import torch

    model, device, grid = segmenter.model, segmenter.device, segmenter.grid_for(clip.size, inside)
    layers = clip.first_mask == np.arange(1, clip.objects + 1)[:, None, None]
    frames = [grid.frame(frame, device) for frame in clip]
    with torch.inference_mode():
        first = model.start(model.encode(frames[0]), grid.masks(layers, device), None)

    def run() -> None:
        with torch.inference_mode():
            state = first
            for frame in frames:
                _, state = model.step(model.encode(frame), state)

    return run


def _end_to_end(segmenter: Measurable, clip: SyntheticClip, video: Path, inside: Any) -> Callable[[], Any]:
    mask = clip.first_mask
    return lambda: segmenter.propagate(video, mask, size=inside, progress=False)


# A further stage (decoding, encoding, ...) is one more entry.
STAGES: dict[str, tuple[str, Stage]] = {
    "model only": ("encode and step of frames that lie on the device, on the model's grid", _model_only),
    "end to end": ("propagate: an mp4 file in, compressed masks out", _end_to_end),
}


def measure_speed(segmenter: Measurable, clip: SyntheticClip, folder: Path, *, yardstick: Yardstick | None = None, repeats: int = 3,
                  inside: Any = None) -> list[Timing]:  # fmt: skip
    """Every stage: one run to warm up, then `repeats` runs over the clip, the device synchronised around each.

    folder: where the clip's mp4 is written; yardstick: measured before and after every stage; None on a GPU.
    """
    video = folder / f"{clip.size[0]}x{clip.size[1]}_{clip.objects}.mp4"
    with VideoWriter(video, fps=25, size=clip.size) as writer:
        for frame in clip:
            writer.write(frame)
    case, found = Case.of(segmenter, clip, inside), []
    for name, (_, stage) in STAGES.items():
        run = stage(segmenter, clip, video, inside)
        run()
        units = yardstick.measure(repeats) if yardstick else []
        runs = tuple(seconds / len(clip) for seconds in timed(run, repeats, _waiter(segmenter.device)))
        units += yardstick.measure(repeats) if yardstick else []
        found.append(Timing(case, name, len(clip), runs, statistics.median(units) if units else None))
    return found


def timed(run: Callable[[], Any], repeats: int, wait: Callable[[], Any] = lambda: None) -> list[float]:
    """Seconds of every repeat. wait: returns when the device has done all that it was given."""
    seconds = []
    for _ in range(repeats):
        wait()
        begun = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - begun)
    return seconds


def _waiter(device: Any) -> Callable[[], Any]:
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def environment(device: Any) -> dict[str, Any]:
    """The machine and the libraries; `load_average` tells whether others were at work on it."""
    import torch

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}: {_cpu_name()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "timm", "numpy")},
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
