"""Measures what models cost, on frames that it makes itself.

    python tools/benchmark.py speed --models crvos crvos-resnet50 --sizes 480x854 --objects 1 3 --json speed.json
    python tools/benchmark.py speed --models all --stages all --baseline crvos
    python tools/benchmark.py speed --models crvos --runs torch:float32 torch:bfloat16 onnxruntime:int8 --baseline crvos
    python tools/benchmark.py memory --model crvos --frames 300 3000 --size 480x854 --json memory.json
    python tools/benchmark.py roofline --models all
    python tools/benchmark.py loader crvos --data DATA --workers 1 2
    python tools/benchmark.py plot speed.json memory.json scores/crvos/scores.json --out plots

speed: frames per second, model only and from an mp4 file to masks (--stages all: each stretch of the way), and the time as a multiple of
a baseline measured in the same run: "yardstick" (default), a fixed piece of work, or another model. memory: peak memory of a fresh
process for each length of video, streamed; exit status 1 if the longest needs more than --tolerance percent above the shortest.
`--through stream propagate` measures propagate too, which keeps the masks (no limit there). roofline: how near a model comes to what the
device can do. loader: whether training's clips are drawn as fast as a recipe's model learns from them. A model without weights is
measured with random ones. Exit status 2: it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import vos_zoo
from vos_zoo.benchmark import measure
from vos_zoo.benchmark.baseline import Baseline, OtherModel, Yardstick
from vos_zoo.benchmark.measure import Memory, Timing, as_record
from vos_zoo.benchmark.plots import plots
from vos_zoo.benchmark.roofline import Ceilings, Work, ceilings_of, work_of
from vos_zoo.benchmark.stages import STAGES, USUAL, chosen_stages
from vos_zoo.benchmark.synthetic import SyntheticClip
from vos_zoo.benchmark.text import memory_table, roofline_table, speed_table, too_much
from vos_zoo.commands.options import frame_size, internal_size
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.system.atomic import atomic_write, write_json
from vos_zoo.system.machine import environment
from vos_zoo.system.progress import reporter


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
    cases = [(m, s, t, k) for m in _names(options) for s in options.sizes for t in options.through for k in options.objects]
    for model, size, through, objects in cases:
        of_case = []
        for frames in sorted(set(options.frames)):
            machine, one = _in_fresh_process(options, model, through, objects, frames, size)
            of_case.append(one)
        measured.append(of_case)
        print(memory_table(of_case, options.tolerance), flush=True)
    grown = [of_case for of_case in measured if too_much(of_case, options.tolerance)]
    records = [as_record(one) for of_case in measured for one in of_case]
    _save(options, machine, records, {"tolerance_percent": options.tolerance, "within_tolerance": not grown})
    return 1 if grown else 0


def _in_fresh_process(
    options: argparse.Namespace, model: str, through: str, objects: int, frames: int, size: tuple[int, int]
) -> tuple[dict[str, Any], Memory]:
    command = [sys.executable, str(Path(__file__).resolve()), "memory", "--here", "--model", model, "--through", through,
               "--objects", str(objects), "--frames", str(frames), "--size", "x".join(map(str, size)),
               "--device", options.device, "--dtype", options.dtype]  # fmt: skip
    if options.inside is not None:
        command += ["--inside", "x".join(map(str, options.inside)) if isinstance(options.inside, tuple) else str(options.inside)]
    if options.untrained:
        command.append("--untrained")
    paths = filter(None, [str(Path(vos_zoo.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")])
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    if child.returncode:
        why = f"was killed by signal {-child.returncode}" if child.returncode < 0 else "failed: see the error above"
        raise EvaluationError(f"the process that measured {model} on {frames} frames {why}")
    answer = json.loads(child.stdout.splitlines()[-1])
    return answer["environment"], Memory.from_dict(answer["result"])


def _memory_here(options: argparse.Namespace) -> int:
    if not len(options.models) == len(options.frames) == len(options.objects) == len(options.through) == len(options.sizes) == 1:
        raise EvaluationError("--here measures one process: give one model, length, size, number of objects and way through")
    segmenter = _segmenter(options, options.models[0])
    clip = SyntheticClip(options.frames[0], options.sizes[0], options.objects[0])
    with reporter(None, len(clip), f"{options.models[0]}, {len(clip)} frames") as report:
        one = measure.measure_memory(segmenter, clip, through=options.through[0], inside=options.inside, report=report)
    print(json.dumps({"environment": environment(segmenter.device), "result": as_record(one)}))
    return 0


def speed(options: argparse.Namespace) -> int:
    stages, models = chosen_stages(options.stages), _names(options)
    clips = [SyntheticClip(frames, size, objects) for frames in options.frames for size in options.sizes for objects in options.objects]
    measured: list[Timing] = []
    machine: dict[str, Any] = {}
    baseline: Baseline | None = None
    for model, run in [(model, run) for model in models for run in options.runs or [None]]:
        segmenter = _segmenter(options, model, run)
        machine = machine or environment(segmenter.device)
        baseline = baseline or _baseline(options, segmenter)
        for clip in clips:
            with tempfile.TemporaryDirectory() as folder:
                measured += measure.measure_speed(segmenter, clip, Path(folder), baseline=baseline, repeats=options.repeats,
                                                    inside=options.inside, stages=stages)  # fmt: skip
    _print_machine(machine)
    lengths = " or ".join(map(str, options.frames))
    print(f"each figure: the median of {options.repeats} runs over {lengths} frames, after one run to warm up")
    print("\n".join(f"{name}: {STAGES[name][0]}" for name in stages))
    if baseline:
        print(f"{baseline.name}: {baseline}, measured before and after each run")
        print("seconds belong to this machine and its load: compare the multiples")
    print(speed_table(measured))
    unit = (baseline.name, str(baseline)) if baseline else (None, None)
    facts = {"repeats": options.repeats, "baseline": unit[0], "baseline_is": unit[1]}
    _save(options, machine, [as_record(one) for one in measured], facts)
    return 0


def _baseline(options: argparse.Namespace, segmenter: Any) -> Baseline | None:
    if options.baseline == "none":
        return None
    if options.baseline == "yardstick":
        return Yardstick(device=segmenter.device)
    return OtherModel(_segmenter(options, options.baseline), options.inside)


def roofline(options: argparse.Namespace) -> int:
    ceilings: Ceilings | None = None
    machine: dict[str, Any] = {}
    measured: list[tuple[Timing, Work]] = []
    for model in _names(options):
        segmenter = _segmenter(options, model)
        machine = machine or environment(segmenter.device)
        ceilings = ceilings or ceilings_of(segmenter.device, segmenter.dtype)
        for objects in options.objects:
            clip = SyntheticClip(options.frames, options.size, objects)
            with tempfile.TemporaryDirectory() as folder:
                (one,) = measure.measure_speed(segmenter, clip, Path(folder), repeats=options.repeats, inside=options.inside,
                                                 stages=["model only"])  # fmt: skip
            measured.append((one, work_of(segmenter, clip, options.inside)))
    assert ceilings is not None
    _print_machine(machine)
    print(roofline_table(ceilings, measured))
    records = [{**as_record(one), **vars(work), "bound": work.bound(ceilings), "by": work.limit(ceilings)} for one, work in measured]
    _save(options, machine, records, {"ceilings": vars(ceilings)})
    return 0


def loader(options: argparse.Namespace) -> int:
    from vos_zoo.commands.train import build, recipe_path
    from vos_zoo.system.devices import choose_device
    from vos_zoo.train.batches import Batches
    from vos_zoo.train.data import load_data
    from vos_zoo.train.recipe_file import load_recipe
    from vos_zoo.train.throughput import Throughput, measure, table

    device = choose_device(options.device)
    measured: list[Throughput] = []
    with tempfile.TemporaryDirectory() as cache:
        for workers in options.workers:
            recipe = load_recipe(recipe_path(options.recipe), options.changes)
            data = load_data(recipe, options.data, options.cache or Path(cache), index=options.clips_index)
            batches = Batches(recipe, data.stills, data.clips)
            measured += measure(build(recipe, None), recipe, batches, workers=workers, device=str(device), steps=options.steps)
    machine = environment(device)
    _print_machine(machine)
    print(table(measured))
    records = [{**vars(one), "share": one.share} for one in measured]
    _save(options, machine, records, {"recipe": options.recipe, "steps": options.steps})
    return 0


def plot(options: argparse.Namespace) -> int:
    runs = [(path, _read_json(path)) for path in options.files]
    scores = [run for _, run in runs if "mean_jf" in run]
    drawn = plots(scores, *([run for _, run in runs if run.get("benchmark") == kind] for kind in ("speed", "memory")))
    if not drawn:
        raise EvaluationError(
            "these files give no plot: speed needs several numbers of objects or lengths (--objects 1 3), accuracy a scores.json and the "
            "speed of the same model, memory two lengths"
        )
    for name, svg in drawn.items():
        with atomic_write(options.out / name) as temporary:
            temporary.write_text(svg, encoding="utf-8")
        print(options.out / name)
    return 0


def _read_json(path: Path) -> dict[str, Any]:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(run, dict) or not ("mean_jf" in run or "benchmark" in run):
        raise EvaluationError(f"{path} was written neither by this tool (--json) nor by vos-zoo evaluate (scores.json)")
    return run


def _names(options: argparse.Namespace) -> list[str]:
    return [each.name for each in vos_zoo.list_models() if each.follows] if options.models == ["all"] else options.models


def _segmenter(options: argparse.Namespace, model: str, run: tuple[str, str] | None = None) -> vos_zoo.Segmenter:
    """run: runtime and precision, others than the options say."""
    if run is not None:
        return vos_zoo.load(model, device=options.device, runtime=run[0], dtype=run[1])
    without = {each.name for each in vos_zoo.list_models() if not each.has_weights}
    make = vos_zoo.create if options.untrained or model in without else vos_zoo.load
    return make(model, device=options.device, dtype=options.dtype)


def _print_machine(machine: dict[str, Any]) -> None:
    print("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    if (machine["load_average"] or 0) > machine["cores"] / 2:
        print("others were at work on this machine: seconds are too long, and even ratios are rough")


def _save(options: argparse.Namespace, machine: dict[str, Any], records: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    if options.json is None:
        return
    report = {
        "benchmark": options.command,
        "vos_zoo": vos_zoo.__version__,
        "untrained": getattr(options, "untrained", True),
        "environment": machine,
        **facts,
        "results": records,
    }
    write_json(options.json, report)
    print(f"wrote {options.json}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", "--models", dest="models", nargs="+", default=["crvos"],
                        help="names, folders, owner/repo, or all (default: crvos)")  # fmt: skip
    shared.add_argument("--untrained", action="store_true",
                        help="random weights also where there are others (masks are noise then, and compress badly)")  # fmt: skip
    shared.add_argument("--objects", type=_count, nargs="+", default=[1], help="numbers of objects (default: 1)")
    shared.add_argument("--inside", type=internal_size,
                        help="size inside the model: shorter side, HEIGHTxWIDTH or native (default: the model's own)")  # fmt: skip
    shared.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    shared.add_argument("--dtype", default="auto", help="auto (default), float32, bfloat16, float16")
    shared.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to FILE")

    of_speed = commands.add_parser("speed", parents=[shared], help="frames per second")
    of_speed.add_argument("--frames", type=_count, nargs="+", default=[16], help="lengths of the videos (default: 16)")
    _add_sizes(of_speed)
    of_speed.add_argument("--repeats", type=_count, default=3, help="runs, of which the median counts (default: 3)")
    of_speed.add_argument(
        "--stages", nargs="+", default=list(USUAL), help=f"what is timed: all, or of {', '.join(STAGES)} (default: the first two)"
    )
    of_speed.add_argument("--baseline", default="yardstick", help="what times are divided by: yardstick (default), a model, or none")
    of_speed.add_argument(
        "--runs",
        type=_run,
        nargs="+",
        metavar="RUNTIME:PRECISION",
        help="each model in each of these, as in torch:bfloat16 onnxruntime:int8",
    )
    of_speed.set_defaults(run=speed)

    of_memory = commands.add_parser("memory", parents=[shared], help="peak memory over the length of the video")
    of_memory.add_argument("--frames", type=_count, nargs="+", default=[300, 3000], help="lengths of video (default: 300 3000)")
    _add_sizes(of_memory)
    of_memory.add_argument("--through", choices=("stream", "propagate"), nargs="+", default=["stream"])
    of_memory.add_argument("--tolerance", type=float, default=5, help="growth allowed to a stream, percent (default: 5)")
    of_memory.add_argument("--here", action="store_true", help="measure one length in this process and print one line of JSON")
    of_memory.set_defaults(run=memory)

    of_roofline = commands.add_parser("roofline", parents=[shared], help="how near a model comes to what the device can do")
    of_roofline.add_argument("--frames", type=_count, default=8, help="frames of every run (default: 8)")
    of_roofline.add_argument("--size", type=frame_size, default=(480, 854), help="HEIGHTxWIDTH of the video (default: 480x854)")
    of_roofline.add_argument("--repeats", type=_count, default=3, help="runs, of which the median counts (default: 3)")
    of_roofline.set_defaults(run=roofline)

    of_loader = commands.add_parser("loader", help="frames a second that training's loader offers, against those its model takes")
    of_loader.add_argument("recipe", help="a model's name, or a YAML file; the model gets random weights")
    of_loader.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="as for vos-zoo train")
    of_loader.add_argument("--clips-index", type=Path, metavar="FILE", help="as for vos-zoo train")
    of_loader.add_argument("--cache", type=Path, metavar="FOLDER", help="where decoded stills are kept, a run's cache for instance")
    of_loader.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="as for vos-zoo train")
    of_loader.add_argument("--workers", type=_count, nargs="+", default=[1], help="processes that draw clips (default: 1)")
    of_loader.add_argument("--steps", type=_count, default=4, help="steps timed of every stage (default: 4)")
    of_loader.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    of_loader.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to FILE")
    of_loader.set_defaults(run=loader)

    of_plot = commands.add_parser("plot", help="SVG plots over JSON files of this tool and of vos-zoo evaluate")
    of_plot.add_argument("files", type=Path, nargs="+", metavar="FILE")
    of_plot.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    of_plot.set_defaults(run=plot)
    return parser


def _add_sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", "--sizes", dest="sizes", type=frame_size, nargs="+", default=[(480, 854)],
                        help="HEIGHTxWIDTH of the videos (default: 480x854)")  # fmt: skip


def _run(text: str) -> tuple[str, str]:
    runtime, _, precision = text.partition(":")
    if not runtime or not precision:
        raise argparse.ArgumentTypeError(f"{text!r} is not RUNTIME:PRECISION, as in onnxruntime:int8")
    return runtime, precision


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
