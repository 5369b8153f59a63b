"""Measures what models cost, on frames that it makes itself.

    python tools/benchmark.py memory --model crvos --frames 300 3000 --size 480x854
    python tools/benchmark.py speed --models crvos crvos-resnet50 --sizes 480x854 --objects 1 3 --json speed.json

memory: peak memory of a fresh process for each length of video, streamed; exit status 1 if the longest needs more than --tolerance
percent above the shortest. `--through stream propagate` measures propagate too, which keeps the masks (no limit there).
speed: seconds a frame, model only and from an mp4 file to masks; on a CPU beside a yardstick measured in the same run.
--untrained measures a model that has no weights yet. Exit status 2: it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import vos_zoo
from vos_zoo.commands.options import internal_size
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation import benchmark
from vos_zoo.evaluation.benchmark import Memory, Timing, as_record
from vos_zoo.evaluation.synthetic import SyntheticClip
from vos_zoo.io.atomic import atomic_write
from vos_zoo.progress import reporter

MB = 1e6


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def memory(options: argparse.Namespace) -> int:
    if options.here:
        return _memory_here(options)
    if len(set(options.frames)) < 2:
        raise EvaluationError("growth needs two lengths of video, as in --frames 300 3000")
    if options.tolerance < 0:
        raise EvaluationError(f"--tolerance {options.tolerance:g}: give a percentage of 0 or more")
    measured: list[list[Memory]] = []
    machine: dict[str, Any] = {}
    for model in options.models:
        for through in options.through:
            for objects in options.objects:
                of_case = []
                for frames in sorted(set(options.frames)):
                    machine, one = _in_fresh_process(options, model, through, objects, frames)
                    of_case.append(one)
                measured.append(of_case)
                print(memory_table(of_case, options.tolerance), flush=True)
    grown = [of_case for of_case in measured if too_much(of_case, options.tolerance)]
    records = [as_record(one) for of_case in measured for one in of_case]
    _write_json(options, machine, records, {"tolerance_percent": options.tolerance, "within_tolerance": not grown})
    return 1 if grown else 0


def too_much(measured: list[Memory], tolerance: float) -> bool:
    """Whether a stream grew by more than `tolerance` percent; propagate keeps its masks and may."""
    return measured[0].through == "stream" and benchmark.growth(measured) > 1 + tolerance / 100


def memory_table(measured: list[Memory], tolerance: float) -> str:
    """One case at several lengths, and the verdict."""
    first, frames = measured[0], sorted(one.frames for one in measured)
    lines = [f"\nmemory, {first.through}: {first.case}", f"{'frames':>8}{'peak MB':>10}{'GPU MB':>10}{'masks, bytes a frame':>22}"]
    for one in measured:
        device = "-" if one.device_peak is None else f"{one.device_peak / MB:.1f}"
        masks = "-" if one.masks is None else f"{one.masks / one.frames:.0f}"
        lines.append(f"{one.frames:>8}{one.peak / MB:>10.1f}{device:>10}{masks:>22}")
    ratio = f"{frames[-1]} frames need {benchmark.growth(measured):.3f} times the memory of {frames[0]}"
    if first.through == "stream":
        verdict = f"MORE than {tolerance:g} % above" if too_much(measured, tolerance) else f"within {tolerance:g} %"
    else:
        verdict = "it keeps its masks"
    return "\n".join([*lines, f"{ratio}, {benchmark.bytes_a_frame(measured):.0f} bytes for every further frame: {verdict}"])


def _in_fresh_process(options: argparse.Namespace, model: str, through: str, objects: int, frames: int) -> tuple[dict[str, Any], Memory]:
    command = [sys.executable, str(Path(__file__).resolve()), "memory", "--here", "--model", model, "--through", through,
               "--objects", str(objects), "--frames", str(frames), "--size", "x".join(map(str, options.size)),
               "--device", options.device, "--dtype", options.dtype]  # fmt: skip
    if options.inside is not None:
        command += ["--inside", "x".join(map(str, options.inside)) if isinstance(options.inside, tuple) else str(options.inside)]
    if options.untrained:
        command.append("--untrained")
    paths = filter(None, [str(Path(vos_zoo.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if child.returncode:
        why = f"was killed by signal {-child.returncode}" if child.returncode < 0 else "failed: see the error above"
        raise EvaluationError(f"the process that measured {model} on {frames} frames {why}")
    answer = json.loads(child.stdout.splitlines()[-1])
    return answer["environment"], Memory.from_dict(answer["result"])


def _memory_here(options: argparse.Namespace) -> int:
    if not len(options.models) == len(options.frames) == len(options.objects) == len(options.through) == 1:
        raise EvaluationError("--here measures one process: give one model, length, number of objects and way through")
    segmenter = _segmenter(options, options.models[0])
    clip = SyntheticClip(options.frames[0], options.size, options.objects[0])
    with reporter(None, len(clip), f"{options.models[0]}, {len(clip)} frames") as report:
        one = benchmark.measure_memory(segmenter, clip, through=options.through[0], inside=options.inside, report=report)
    print(json.dumps({"environment": benchmark.environment(segmenter.device), "result": as_record(one)}))
    return 0


def speed(options: argparse.Namespace) -> int:
    measured: list[Timing] = []
    machine: dict[str, Any] = {}
    yardstick = None
    for model in options.models:
        segmenter = _segmenter(options, model)
        machine = benchmark.environment(segmenter.device)
        if segmenter.device.type == "cpu" and yardstick is None:
            yardstick = benchmark.Yardstick()
        for size in options.sizes:
            for objects in options.objects:
                clip = SyntheticClip(options.frames, size, objects)
                with tempfile.TemporaryDirectory() as folder:
                    measured += benchmark.measure_speed(segmenter, clip, Path(folder), yardstick=yardstick, repeats=options.repeats,
                                                        inside=options.inside)  # fmt: skip
    print("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"each figure: the median of {options.repeats} runs over {options.frames} frames, after one run to warm up")
    print("\n".join(f"{name}: {how}" for name, (how, _) in benchmark.STAGES.items()))
    if yardstick:
        unit = f"yardstick: {yardstick}, measured before and after each row"
        print(f"{unit}; seconds belong to this machine and its load, compare yardsticks")
    print(speed_table(measured))
    unit_size = yardstick.size if yardstick else None
    _write_json(options, machine, [as_record(one) for one in measured], {"repeats": options.repeats, "yardstick_size": unit_size})
    return 0


def speed_table(measured: list[Timing]) -> str:
    """A line a measurement: yardsticks on a CPU, frames per second elsewhere."""
    width = max(len(one.case.model) for one in measured)
    lines = [f"\n{'model':<{width}}  {'parameters':>10}  {'size':>9}  {'grid':>9}  objects  {'what':<10}  {'seconds a frame':>15}  speed"]
    for one in measured:
        case, millions = one.case, f"{one.case.parameters / 1e6:.1f} M"
        video, grid = ("x".join(map(str, size)) for size in (case.size, case.grid))
        figure = f"{1 / one.seconds:.1f} fps" if one.yardsticks is None else f"{one.yardsticks:.3f} yardsticks of {one.yardstick:.3f} s"
        what = f"{case.objects:>7}  {one.what:<10}  {one.seconds:>15.4f}  {figure}"
        lines.append(f"{case.model:<{width}}  {millions:>10}  {video:>9}  {grid:>9}  {what}")
    return "\n".join(lines)


def _segmenter(options: argparse.Namespace, model: str) -> vos_zoo.Segmenter:
    make = vos_zoo.create if options.untrained else vos_zoo.load
    return make(model, device=options.device, dtype=options.dtype)


def _write_json(options: argparse.Namespace, machine: dict[str, Any], records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    if options.json is None:
        return
    report = {"benchmark": options.command, "vos_zoo": vos_zoo.__version__, "untrained": options.untrained, "environment": machine,
              **facts, "results": records}  # fmt: skip
    with atomic_write(options.json) as temporary:
        Path(temporary).write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(f"wrote {options.json}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", "--models", dest="models", nargs="+", default=["crvos"],
                        help="names, folders, owner/repo (default: crvos)")  # fmt: skip
    shared.add_argument("--untrained", action="store_true",
                        help="random weights, for a model that has none yet (its masks are noise and compress badly)")  # fmt: skip
    shared.add_argument("--objects", type=_count, nargs="+", default=[1], help="numbers of objects (default: 1)")
    shared.add_argument("--inside", type=internal_size,
                        help="size inside the model: shorter side, HEIGHTxWIDTH or native (default: the model's own)")  # fmt: skip
    shared.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    shared.add_argument("--dtype", default="auto", help="auto (default), float32, bfloat16, float16")
    shared.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to FILE")

    of_memory = commands.add_parser("memory", parents=[shared], help="peak memory over the length of the video")
    of_memory.add_argument("--frames", type=_count, nargs="+", default=[300, 3000], help="lengths of video (default: 300 3000)")
    of_memory.add_argument("--size", type=_size, default=(480, 854), help="HEIGHTxWIDTH of the video (default: 480x854)")
    of_memory.add_argument("--through", choices=("stream", "propagate"), nargs="+", default=["stream"])
    of_memory.add_argument("--tolerance", type=float, default=5, help="growth allowed to a stream, percent (default: 5)")
    of_memory.add_argument("--here", action="store_true", help="measure one length in this process and print one line of JSON")
    of_memory.set_defaults(run=memory)

    of_speed = commands.add_parser("speed", parents=[shared], help="seconds a frame")
    of_speed.add_argument("--frames", type=_count, default=16, help="frames of every run (default: 16)")
    of_speed.add_argument("--sizes", type=_size, nargs="+", default=[(480, 854)], help="HEIGHTxWIDTH of the videos (default: 480x854)")
    of_speed.add_argument("--repeats", type=_count, default=3, help="runs, of which the median counts (default: 3)")
    of_speed.set_defaults(run=speed)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, as in 480x854")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
