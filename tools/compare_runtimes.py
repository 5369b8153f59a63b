"""One table of models by runtime and precision: J&F, time a frame, size of the files.

    OMP_NUM_THREADS=1 python tools/compare_runtimes.py --models crvos-resnet18 crvos --dataset davis2016:DAVIS --out compared
    python tools/make_results.py --add compared/runtimes.json

The first of --runs is what times are compared with, in the same run. Each model is scored by `vos-zoo evaluate` (OUT/RUN has its masks and
tables; an interrupted run goes on) and timed by tools/benchmark.py: median of --repeats, as a multiple of the yardstick beside it. Use a
machine that does nothing else. Graphs that are missing are written and calibrated first.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import vos_zoo
from vos_zoo.benchmark.results import runtimes
from vos_zoo.checkpoints import sources
from vos_zoo.cli import main as command_line
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.system.atomic import write_json

RUNS = ("torch:bfloat16", "torch:float32", "onnxruntime:float32", "onnxruntime:int8")
BENCHMARK = Path(__file__).resolve().parent / "benchmark.py"
Run = tuple[str, str]  # runtime, precision


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    places = {options.dataset: f"{options.dataset.partition(':')[0]}:DATA", str(options.out): "OUT"}
    try:
        record = compare(options, shlex.join(["python", "tools/compare_runtimes.py", *(places.get(word, word) for word in given)]))
        write_json(options.out / "runtimes.json", record)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(runtimes([record])))
    print(options.out / "runtimes.json")
    return 0


def compare(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """What runtimes.json holds."""
    scores = {(model, run): jf for run in options.runs for model, jf in _scored(options, run).items()}
    times, facts = _timed(options)
    rows = []
    for model in options.models:
        name = sources.find(model).config.name
        first = times[name, options.runs[0]]
        for run in options.runs:
            found = times[name, run]
            cost = "ratio" if found["ratio"] is not None else "seconds"
            rows.append({
                "model": name, "runtime": run[0], "precision": run[1], "mean_jf": scores[model, run], "seconds": found["seconds"],
                "times": found[cost] / first[cost], "bytes": _bytes(model, run),
            })  # fmt: skip
    return {"benchmark": "runtimes", "command": command, "dataset": options.dataset.partition(":")[0], "redetection": options.redetection,
            "size": options.size, "reference": ":".join(options.runs[0]), **facts, "results": rows}  # fmt: skip


def _scored(options: argparse.Namespace, run: Run) -> dict[str, float]:
    """The mean J&F of each model."""
    out = options.out / "-".join(run)
    only = [word for pattern in options.only or () for word in ("--only", pattern)]
    without = [] if options.redetection else ["--no-redetection"]
    found = {}
    for model in options.models:
        status = command_line(["evaluate", "--model", model, "--runtime", run[0], "--dtype", run[1], "--device", "cpu", "--dataset",
                               options.dataset, "--out", str(out), "--no-progress", *only, *without])  # fmt: skip
        if status:
            raise EvaluationError(f"{model} in {':'.join(run)} could not be scored: see above, and run the same command again")
        newest = max(out.glob("*/scores.json"), key=lambda path: path.stat().st_mtime_ns)
        found[model] = json.loads(newest.read_text(encoding="utf-8"))["mean_jf"]
    return found


def _timed(options: argparse.Namespace) -> tuple[dict[tuple[str, Run], dict[str, Any]], dict[str, Any]]:
    """Rows of tools/benchmark.py by model and run, and what it says of the machine."""
    path = options.out / "speed.json"
    runs = [":".join(run) for run in options.runs]
    command = [sys.executable, str(BENCHMARK), "speed", "--models", *options.models, "--runs", *runs, "--size", options.size,
               "--frames", str(options.frames), "--repeats", str(options.repeats), "--stages", "model only",
               "--baseline", options.baseline, "--device", "cpu", "--json", str(path)]  # fmt: skip
    paths = filter(None, [str(Path(vos_zoo.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH")])
    if subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}).returncode:
        raise EvaluationError("the models could not be timed: see above")
    record = json.loads(path.read_text(encoding="utf-8"))
    rows = {(row["model"], (row["runtime"], row["dtype"])): row for row in record["results"]}
    return rows, {key: record[key] for key in ("vos_zoo", "environment", "repeats", "baseline", "baseline_is")}


def _bytes(model: str, run: Run) -> int:
    """Of the weights, or of the graphs."""
    if run[0] == "torch":
        weights = sources.find(model).config.weights
        return weights.bytes if weights else 0
    graphs: Any = vos_zoo.load(model, runtime=run[0], dtype=run[1], device="cpu", redetection=False).model
    return sum({graph.files[run[1]].file: graph.files[run[1]].bytes for graph in graphs.manifest.graphs.values()}.values())


def _run(text: str) -> Run:
    runtime, _, precision = text.partition(":")
    if not runtime or not precision:
        raise argparse.ArgumentTypeError(f"{text!r} is not RUNTIME:PRECISION, as in onnxruntime:int8")
    return runtime, precision


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["crvos-resnet18", "crvos"], metavar="NAME", help="names or folders")
    parser.add_argument("--runs", nargs="+", type=_run, default=[_run(run) for run in RUNS], metavar="RUNTIME:PRECISION",
                        help=f"the first is what times are compared with (default: {' '.join(RUNS)})")  # fmt: skip
    parser.add_argument("--dataset", required=True, metavar="LAYOUT:ROOT", help="as for vos-zoo evaluate")
    parser.add_argument("--only", action="append", metavar="PATTERN", help="as for vos-zoo evaluate")
    parser.add_argument("--no-redetection", dest="redetection", action="store_false", help="as for vos-zoo evaluate")
    parser.add_argument("--size", default="480x854", metavar="HEIGHTxWIDTH", help="of the video that is timed (default: 480x854)")
    parser.add_argument("--frames", type=int, default=8, help="of that video (default: 8)")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the median counts (default: 3)")
    parser.add_argument("--baseline", choices=("yardstick", "none"), default="yardstick", help="as for tools/benchmark.py")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="runtimes.json, and what was scored and timed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
