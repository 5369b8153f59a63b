"""What the benchmark prints: measurements as tables."""

from __future__ import annotations

from collections.abc import Sequence

from vos_zoo.benchmark.measure import Case, Memory, Timing, bytes_a_frame, growth
from vos_zoo.benchmark.roofline import Ceilings, Work

MB = 1e6


def too_much(measured: Sequence[Memory], tolerance: float) -> bool:
    """Whether a stream grew by more than `tolerance` percent; propagate keeps its masks and may."""
    return measured[0].through == "stream" and growth(measured) > 1 + tolerance / 100


def memory_table(measured: Sequence[Memory], tolerance: float) -> str:
    """One case at several lengths, and the verdict."""
    first, frames = measured[0], sorted(one.frames for one in measured)
    lines = [
        f"\nmemory, {first.through}: {first.case}",
        f"{'frames':>8}{'peak MB':>10}{'GPU MB':>10}{'masks, bytes a frame':>22}{'time a frame, late over early':>31}",
    ]
    for one in measured:
        device = "-" if one.device_peak is None else f"{one.device_peak / MB:.1f}"
        masks = "-" if one.masks is None else f"{one.masks / one.frames:.0f}"
        pace = "-" if one.pace is None else f"{one.pace:.2f}"
        lines.append(f"{one.frames:>8}{one.peak / MB:>10.1f}{device:>10}{masks:>22}{pace:>31}")
    ratio = f"{frames[-1]} frames need {growth(measured):.3f} times the memory of {frames[0]}"
    if first.through == "stream":
        verdict = f"MORE than {tolerance:g} % above" if too_much(measured, tolerance) else f"within {tolerance:g} %"
    else:
        verdict = "it keeps its masks"
    return "\n".join([*lines, f"{ratio}, {bytes_a_frame(measured):.0f} bytes for every further frame: {verdict}"])


def speed_table(measured: Sequence[Timing]) -> str:
    """A line a measurement: frames per second, and the time as a multiple of the baseline's."""
    several = len({(one.case.runtime, one.case.dtype) for one in measured}) > 1
    names = [_name(one.case) + f", {one.case.runtime}, {one.case.dtype}" * several for one in measured]
    width = max(map(len, names))
    what = f"objects  frames  {'what':<10}  {'seconds a frame':>15}     fps"
    head = f"\n{'model':<{width}}  {'parameters':>10}  {'size':>9}  {'grid':>9}  {what}"
    lines = [head]
    for name, one in zip(names, measured, strict=True):
        case, millions = one.case, f"{one.case.parameters / 1e6:.1f} M"
        video, grid = ("x".join(map(str, size)) for size in (case.size, case.grid))
        ratio = "" if one.ratio is None else f"  {one.ratio:.3f} times {one.baseline}'s {one.unit:.4f} s"
        what = f"{case.objects:>7}  {one.frames:>6}  {one.what:<10}  {one.seconds:>15.4f}  {one.fps:>6.1f}{ratio}"
        lines.append(f"{name:<{width}}  {millions:>10}  {video:>9}  {grid:>9}  {what}")
    return "\n".join(lines)


def roofline_table(ceilings: Ceilings, measured: Sequence[tuple[Timing, Work]]) -> str:
    """What the device can do, and a line a case: its work, what it costs at least, and how near the model comes."""
    product, copy = f"{ceilings.flops / 1e9:,.0f} GFLOP/s", f"{ceilings.bandwidth / 1e9:,.1f} GB/s"
    lines = [
        f"\nthis device in {ceilings.dtype}: {product} in a large matrix product, {copy} in a large copy",
        "model only; bound: seconds a frame that eager execution can't undercut, by arithmetic or by memory, whichever is more",
    ]
    width = max(len(_name(one.case)) for one, _ in measured)
    lines.append(f"{'model':<{width}}  objects   GFLOP  GB moved  {'bound':>9}  {'by':<10}  {'measured':>9}  of the bound")
    for one, work in measured:
        bound = work.bound(ceilings)
        figures = f"{work.flops / 1e9:>6.1f}  {work.traffic / 1e9:>8.2f}  {bound:>9.4f}  {work.limit(ceilings):<10}  {one.seconds:>9.4f}"
        lines.append(f"{_name(one.case):<{width}}  {one.case.objects:>7}  {figures}  {100 * bound / one.seconds:>10.0f} %")
    return "\n".join(lines)


def _name(case: Case) -> str:
    return case.model if case.trained else f"{case.model} (untrained)"
