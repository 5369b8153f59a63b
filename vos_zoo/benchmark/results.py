"""The tables of docs/RESULTS.md, in Markdown, from records of `vos-zoo evaluate` and tools/benchmark.py. A section is a string.

A section begins with its table. Commands, hashes of weights and loads of the machine stand below it in folds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vos_zoo.benchmark.stages import STAGES

Record = Mapping[str, Any]
WHOLE = ("model only", "end to end", "latency", "plain loop")  # what is timed of a whole run; the rest are parts of it


def accuracy(scores: Sequence[Record]) -> list[str]:
    if not scores:
        return ["### Accuracy\n\nNothing has been measured yet.\n"]
    found, titles = [], [record["title"] for record in scores]
    for title in sorted(dict.fromkeys(titles), key=lambda title: -titles.count(title)):
        of_title = sorted((record for record in scores if record["title"] == title), key=lambda record: -record["mean_jf"])
        head = ["model", "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "frames/s", "peak MB"]
        rows = [
            [
                f"`{record['label']}`",
                f"**{percent(record['mean_jf'])}**",
                *(percent(record[kind][name]) for kind in "jf" for name in ("mean", "recall", "decay")),
                "-" if record["fps"] is None else f"{record['fps']:.1f}",
                "-" if record["memory"] is None else f"{record['memory'] / 1e6:,.0f}",
            ]
            for record in of_title
        ]
        found.append(f"### {title}\n\n{table(head, rows)}")
        how = fold("how each was measured: commands, weights, machine", "\n".join(map(_how, of_title)))
        found.append(_grouped(of_title) + _crowded(of_title) + _per_sequence(of_title) + how)
    return found


def clicks(records: Sequence[Record]) -> list[str]:
    """What `vos-zoo evaluate --clicks` found: how many clicks a mask takes."""
    if not records:
        return []
    head = ["of", "objects", "NoC@85", "NoC@90", "IoU, 1 click", "2", "3", "5", "a box", "a loose circle", "it, fitted"]
    rows = [
        [
            record["title"],
            str(len(record["objects"])),
            *(f"{record['figures'][name]:.2f}" for name in ("NoC@85", "NoC@90")),
            *(f"{record['figures'][name]:.1f}" for name in ("mIoU@1", "mIoU@2", "mIoU@3", "mIoU@5", "mIoU box")),
            *(f"{record['figures'][name]:.1f}" for name in ("mIoU circle", "mIoU snapped")),
        ]
        for record in records
    ]
    how = fold("how it was measured", "\n".join(f"`{record['command']}`  \n" for record in records))
    told = "NoC@85: clicks to an IoU of 85 %, 20 at most. A simulated user clicks into the middle of the largest error. A loose circle is "
    told += "the object's convex hull, wider by 10 to 40 % of its size, as it is drawn and fitted to the object (`snap`).\n\n"
    return [f"### Pointing at an object\n\n{table(head, rows)}\n{told}{how}"]


def _crowded(scores: Sequence[Record]) -> str:
    """A word on speeds that were measured beside other programs."""
    busy = [f"`{record['label']}`" for record in scores if record["fps"] and record["busy"]]
    return f"Other programs were at work beside {', '.join(busy)}: alone they are faster.\n\n" if busy else ""


def _grouped(scores: Sequence[Record]) -> str:
    names = {"g": "G", "j_seen": "J seen", "f_seen": "F seen", "j_unseen": "J unseen", "f_unseen": "F unseen"}
    rows = [[f"`{r['label']}`", *(percent(r["grouped"][name]) for name in names)] for r in scores if r["grouped"]]
    return table(["model", *names.values()], rows) + "\n" if rows else ""


def _per_sequence(scores: Sequence[Record]) -> str:
    """J&F of every object, a column a model."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for record in scores:
        for row in record["objects"]:
            found.setdefault((row["clip"], row["object"]), {})[record["label"]] = (row["j"]["mean"] + row["f"]["mean"]) / 2
    labels = [record["label"] for record in scores]
    rows = [[clip, str(k), *(percent(values.get(label)) for label in labels)] for (clip, k), values in sorted(found.items())]
    return fold("every object", table(["sequence", "object", *(f"J&F, `{label}`" for label in labels)], rows))


def _how(record: Record) -> str:
    about = record["about"]
    facts = [about["model"]] if "model" in about else []
    facts += [f"{name} {about[name]}" for name in ("weights", "size inside", "precision") if name in about]
    describer = about.get("lost objects found by the features of", "none")
    facts += [f"lost objects found by the features of {describer}"] * (describer != "none")
    speed = f" Speed on {' / '.join(record['conditions'])}{_busy(record['busy'])}." if record["fps"] else ""
    ended = " **Interrupted: not all sequences are done.**" if record["interrupted"] else ""
    return f"`{record['command']}`  \n{', '.join(map(str, facts))}.{speed}{ended}\n"


def _busy(load: float | None) -> str:
    return f", while other programs were at work (load average {load}): alone it is faster" if load else ""


def speed(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        head = ["model", "parameters", "video", "grid", "objects", "frames", "what", "ms a frame", "frames/s"]
        head += [f"times the {run['baseline']}"] if run["baseline"] else []
        several = len({(row.get("runtime", "torch"), row["dtype"]) for row in run["results"]}) > 1
        rows = [
            [
                f"`{row['model']}`{'' if row['trained'] else ' (untrained)'}{_way(row) if several else ''}",
                f"{row['parameters'] / 1e6:.1f} M",
                *("x".join(map(str, row[name])) for name in ("size", "grid")),
                str(row["objects"]),
                str(row["frames"]),
                row["what"],
                f"{1000 * row['seconds']:.1f}",
                f"{row['fps']:.1f}",
                *([f"**{row['ratio']:.3g}**"] if run["baseline"] else []),
            ]
            for row in run["results"]
        ]
        unit = f" The {run['baseline']} is {run['baseline_is']}, measured before and after each run." if run["baseline"] else ""
        what = "".join(f"\n- {name}: {STAGES[name][0]}" for name in dict.fromkeys(row["what"] for row in run["results"]))
        whole = [cells for cells, row in zip(rows, run["results"], strict=True) if row["what"] in WHOLE]
        parts = [cells for cells, row in zip(rows, run["results"], strict=True) if row["what"] not in WHOLE]
        title = "Speed" if whole_way(run) else "Where the time goes"
        section = f"### {title}\n\n{_where(run)}\n\n{table(head, whole)}\n" if whole else f"### {title}\n\n{_where(run)}\n\n"
        section += fold("stage by stage", table(head, parts)) if parts else ""
        about = f"Median of {run['repeats']} runs after one to warm up, on {_machine(run)}.{unit}\n{what}"
        found.append(section + fold("how it was measured, and what each stage is", about))
    return found


def runtimes(records: Sequence[Record]) -> list[str]:
    """What each runtime and precision costs, and what it is worth."""
    found = []
    for record in records:
        head = ["model", "runtime", "precision", "J&F", "ms a frame", f"times {record['reference']}", "MB of files"]
        rows = [
            [
                f"`{row['model']}`",
                row["runtime"],
                row["precision"],
                percent(row["mean_jf"]),
                f"{1000 * row['seconds']:.0f}",
                f"**{row['times']:.2f}**",
                f"{row['bytes'] / 1e6:.1f}",
            ]
            for row in record["results"]
        ]
        unit = f", by the {record['baseline']} measured before and after each run" if record["baseline"] else ""
        lost = "" if record["redetection"] else " Lost objects are not looked for."
        about = f"J&F of {record['dataset']}; times are of the model only on {record['size']}.{lost} {_where(record)}"
        how = f"`{record['command']}`\n\nMedian of {record['repeats']} runs{unit}. On {_machine(record)}."
        found.append(f"### Runtimes\n\n{about}\n\n{table(head, rows)}\n{fold('how it was measured', how)}")
    return found


def _way(row: Record) -> str:
    """What computed it, and how precisely."""
    return f", {row.get('runtime', 'torch')}, {row['dtype']}"


def fast_path(runs: Sequence[Record]) -> list[str]:
    """The fast path against the plain loop, for runs that timed both; times in units of the run's baseline where it has one."""
    found = []
    for run in runs:
        cases: dict[tuple[Any, ...], dict[str, Record]] = {}
        for row in run["results"]:
            key = row["model"], row["trained"], row["dtype"], tuple(row["size"]), row["objects"]
            cases.setdefault(key, {})[row["what"]] = row
        rows = []
        for (model, trained, dtype, size, objects), by_stage in cases.items():
            if not {"plain loop", "latency", "end to end", "model only"} <= set(by_stage):
                continue
            time = {name: row["ratio"] or row["seconds"] for name, row in by_stage.items()}
            parts = {name: time[name] for name in ("decode", "copy in", "encode", "step", "copy out", "compress") if name in time}
            whole = sum(parts.values())
            bound = ", ".join(f"{name} {100 * parts[name] / whole:.0f} %" for name in sorted(parts, key=lambda n: -parts[n])[:2])
            rows.append(
                [
                    f"`{model}`{'' if trained else ' (untrained)'}",
                    dtype,
                    f"{'x'.join(map(str, size))}, {objects}",
                    *(f"{by_stage[name]['fps']:.1f}" for name in ("plain loop", "latency", "end to end")),
                    f"**{time['plain loop'] / time['end to end']:.2f}**",
                    f"{time['end to end'] / time['model only']:.2f}",
                    bound or "-",
                ]
            )
        if rows:
            head = [
                "model",
                "precision",
                "video, objects",
                "plain loop, frames/s",
                "latency mode",
                "throughput mode",
                "times the plain loop",
            ]
            head += ["end to end over model only", "where the work is"]
            about = (
                "From an mp4 file to compressed masks. The plain loop is float32 in the layout that models are written in, one thing after "
                f"another, without reading ahead. {_where(run)}"
            )
            how = fold("how it was measured", f"On {_machine(run)}.")
            found.append(f"### The fast path\n\n{about}\n\n{table(head, rows)}\n{how}")
    return found


STEPS = {  # stage -> what it adds to the one before
    "plain loop": "plain loop",
    "+ channels last": "+ channels last",
    "+ half precision": "+ half precision",
    "+ folded": "+ batch norms folded",
    "latency": "+ sessions (latency mode)",
    "end to end": "+ reading ahead",
}


def step_by_step(runs: Sequence[Record]) -> list[str]:
    """What each part of the fast path is worth, for runs that timed them all: speed over that of the plain loop."""
    found = []
    for run in runs:
        rows = []
        for model in dict.fromkeys(row["model"] for row in run["results"]):
            time = {row["what"]: row["ratio"] or row["seconds"] for row in reversed(run["results"]) if row["model"] == model}
            if set(STEPS) <= set(time):
                rows.append([f"`{model}`", *(f"{time['plain loop'] / time[name]:.2f}" for name in STEPS)])
        if rows:
            about = (
                "The plain loop's speed is 1; each column has what the columns before it have. Sessions bring frames resized as bytes, a "
                f"faster argmax, and confidences, which the loop does not compute. {_where(run)}"
            )
            how = fold("how it was measured", f"On {_machine(run)}.")
            found.append(f"### The fast path, step by step\n\n{about}\n\n{table(['model', *STEPS.values()], rows)}\n{how}")
    return found


def whole_way(run: Record) -> bool:
    """Whether a run was timed from a file to masks."""
    return any(row["what"] == "end to end" for row in run["results"])


def memory(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        head = ["model", "video", "objects", "through", "frames", "peak MB", "GPU MB", "masks, bytes a frame", "end : beginning, time"]
        rows = [
            [
                f"`{row['model']}`{'' if row['trained'] else ' (untrained)'}",
                "x".join(map(str, row["size"])),
                str(row["objects"]),
                row["through"],
                f"{row['frames']:,}",
                f"{row['peak'] / 1e6:,.1f}",
                "-" if row["device_peak"] is None else f"{row['device_peak'] / 1e6:,.1f}",
                "-" if row["masks"] is None else f"{row['masks'] / row['frames']:,.0f}",
                "-" if row.get("pace") is None else f"{row['pace']:.2f}",
            ]
            for row in run["results"]
        ]
        about = f"Peak of a fresh process for each length. {_where(run, timed=False)}"
        how = fold("how it was measured", f"On {_machine(run, timed=False)}.")
        found.append(f"### Memory\n\n{about}\n\n{table(head, rows)}\n{how}")
    return found


def roofline(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        ceilings = run["ceilings"]
        about = f"The bound is the time a frame that eager execution can't undercut, by arithmetic or by memory; model only. {_where(run)}"
        how = (
            f"On {_machine(run)}; measured there in {ceilings['dtype']}: {ceilings['flops'] / 1e9:,.0f} GFLOP/s in a large matrix product, "
            f"{ceilings['bandwidth'] / 1e9:,.1f} GB/s in a large copy."
        )
        head = ["model", "objects", "GFLOP", "GB moved", "bound, ms", "by", "measured, ms", "of the bound"]
        rows = [
            [
                f"`{row['model']}`{'' if row['trained'] else ' (untrained)'}",
                str(row["objects"]),
                f"{row['flops'] / 1e9:.1f}",
                f"{row['traffic'] / 1e9:.2f}",
                f"{1000 * row['bound']:.1f}",
                row["by"],
                f"{1000 * row['seconds']:.1f}",
                f"{100 * row['bound'] / row['seconds']:.0f} %",
            ]
            for row in run["results"]
        ]
        found.append(f"### Roofline\n\n{about}\n\n{table(head, rows)}\n{fold('how it was measured', how)}")
    return found


def published(record: Record) -> list[str]:
    found = []
    for part in record["tables"]:
        rows = [[_cell(value) for value in row] for row in part["rows"]]
        found.append(f"### {part['title']} (published)\n\n{table(part['columns'], rows)}\n{part['note']}\n")
    return found


def is_busy(run: Record) -> bool:
    """Whether other programs were at work while a benchmark ran."""
    there = run["environment"]
    return (there["load_average"] or 0) > there["cores"] / 2


def fold(summary: str, body: str) -> str:
    """What a page shows when its summary is clicked."""
    return f'<details markdown="1"><summary>{summary}</summary>\n\n{body.rstrip()}\n\n</details>\n\n'


def _where(run: Record, timed: bool = True) -> str:
    """The sentence that says on what, and whether the figures can be taken as they are."""
    crowded = " **Other programs were at work**, so seconds are too long." if timed and is_busy(run) else ""
    return f"Measured on {run['environment']['device']}.{crowded}"


def _machine(run: Record, timed: bool = True) -> str:
    there = run["environment"]
    busy = timed and is_busy(run)
    versions = f"torch {there['torch']}, vos_zoo {run['vos_zoo']}"
    load = f"; **other programs were at work** (load average {there['load_average']}), so seconds are too long" if busy else ""
    threads = f"{there['threads']} thread{'s' * (there['threads'] > 1)}"
    return f"{there['device']}, {threads}, {versions}{load}"


def table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def percent(value: float | None) -> str:
    """A share as percent with one digit, a dash where there is none."""
    return "-" if value is None else f"{100 * value:.1f}"


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
