"""Make docs/RESULTS.md and its plots from the JSON files in docs/results.

    python tools/make_results.py

The files there were written by `vos-zoo evaluate --out` and tools/benchmark.py, but for published.json (what others publish) and page.md.
A new one is taken in, without the paths of the machine it comes from, by

    python tools/make_results.py --add out/crvos/scores.json --title "DAVIS-2016 val" --command "vos-zoo evaluate --model crvos ..."
    python tools/make_results.py --add speed.json

--check changes nothing, and ends with exit status 1 if the page is not what the files give.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.evaluation.benchmark_plots import plots
from vos_zoo.evaluation.stages import STAGES
from vos_zoo.io.atomic import atomic_write

DOCS = Path(__file__).resolve().parents[1] / "docs"
PUBLISHED, PAGE = "published.json", "page.md"  # what others publish; the page's text, with places for the tables
Record = Mapping[str, Any]

KEPT = ["label", "interrupted", "mean_jf", "mean_j", "mean_f", "j", "f", "grouped", "fps", "memory", "device_memory", "conditions"]
KEPT += ["busy", "objects"]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.add:
            print(add(options.add, options.docs / "results", options.title, options.command))
        return make(options.docs, options.check)
    except VosZooError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def add(source: Path, folder: Path, title: str | None, command: str | None) -> Path:
    """Copies a result into the folder, without per-frame values and the paths of its machine. Returns the new file."""
    record = _read(source)
    if "mean_jf" in record:
        if not (title and command):
            raise EvaluationError("scores need --title, what they are of, and --command, which prints them again")
        about = {key: value for key, value in record.get("about", {}).items() if key not in ("command", "masks")}
        settings = {key: value for key, value in record["settings"].items() if key != "results"}
        own = {"kind": "scores", "title": title, "command": command, "about": about, "settings": settings}
        record = {**own, **{key: record[key] for key in KEPT}}
        name = f"scores-{_slug(title)}-{_slug(record['label'])}.json"
    else:
        record = {"kind": record["benchmark"], **record}
        models = "-".join(dict.fromkeys(_slug(row["model"]) for row in record["results"]))
        kind = "stages" if record["kind"] == "speed" and not _whole_way(record) else record["kind"]
        name = f"{kind}-{models[:60]}-{_slug(record['environment']['device'])[:40]}.json"
    with atomic_write(folder / name) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return folder / name


def make(docs: Path, check: bool = False) -> int:
    """Writes the page and its plots; with `check` only tells whether they are what the files give."""
    files = build(docs / "results")
    stale = [name for name, text in files.items() if not (docs / name).is_file() or (docs / name).read_text(encoding="utf-8") != text]
    stale += [f"results/{path.name}" for path in sorted((docs / "results").glob("*.svg")) if f"results/{path.name}" not in files]
    if check:
        if stale:
            print(f"{', '.join(stale)} in {docs} are not up to date: run python tools/make_results.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name not in files:
            (docs / name).unlink()
            continue
        with atomic_write(docs / name) as temporary:
            temporary.write_text(files[name], encoding="utf-8")
    print(docs / "RESULTS.md")
    return 0


def build(folder: Path) -> dict[str, str]:
    """RESULTS.md and results/*.svg as text, by their names in docs."""
    records = [_read(path) for path in sorted(folder.glob("*.json")) if path.name != PUBLISHED]
    kinds = {kind: [record for record in records if record["kind"] == kind] for kind in ("scores", "speed", "memory", "roofline")}
    drawn = plots(_first_title(kinds["scores"]), kinds["speed"], kinds["memory"])
    measured = [*_accuracy(kinds["scores"]), *_speed(kinds["speed"]), *_memory(kinds["memory"]), *_roofline(kinds["roofline"])]
    if drawn:
        pictures = "\n".join(f'<img src="results/{name}" width="420" alt="{_alt(svg)}">' for name, svg in drawn.items())
        measured.append(f"### Plots\n\n{pictures}\n")
    text = (folder / PAGE).read_text(encoding="utf-8")
    for place, parts in (("measured", measured), ("published", _published(_read(folder / PUBLISHED)))):
        text = text.replace(f"<!-- {place} -->", "\n".join(parts))
    return {"RESULTS.md": text, **{f"results/{name}": svg for name, svg in drawn.items()}}


def _accuracy(scores: Sequence[Record]) -> list[str]:
    if not scores:
        return ["### Accuracy\n\nNothing has been measured yet.\n"]
    found = []
    for title in dict.fromkeys(record["title"] for record in scores):
        of_title = sorted((record for record in scores if record["title"] == title), key=lambda record: -record["mean_jf"])
        head = ["model", "J&F", "J mean", "J recall", "J decay", "F mean", "F recall", "F decay", "frames/s", "peak MB"]
        rows = [
            [
                f"`{record['label']}`",
                f"**{_percent(record['mean_jf'])}**",
                *(_percent(record[kind][name]) for kind in "jf" for name in ("mean", "recall", "decay")),
                "-" if record["fps"] is None else f"{record['fps']:.1f}",
                "-" if record["memory"] is None else f"{record['memory'] / 1e6:,.0f}",
            ]
            for record in of_title
        ]
        found.append(f"### {title}\n\n{_table(head, rows)}")
        found.append(_grouped(of_title) + _per_sequence(of_title) + "\n".join(_how(record) for record in of_title) + "\n")
    return found


def _grouped(scores: Sequence[Record]) -> str:
    names = {"g": "G", "j_seen": "J seen", "f_seen": "F seen", "j_unseen": "J unseen", "f_unseen": "F unseen"}
    rows = [[f"`{r['label']}`", *(_percent(r["grouped"][name]) for name in names)] for r in scores if r["grouped"]]
    return _table(["model", *names.values()], rows) + "\n" if rows else ""


def _per_sequence(scores: Sequence[Record]) -> str:
    """J&F of every object, a column a model."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for record in scores:
        for row in record["objects"]:
            found.setdefault((row["clip"], row["object"]), {})[record["label"]] = (row["j"]["mean"] + row["f"]["mean"]) / 2
    labels = [record["label"] for record in scores]
    rows = [[clip, str(k), *(_percent(values.get(label)) for label in labels)] for (clip, k), values in sorted(found.items())]
    table = _table(["sequence", "object", *(f"J&F, `{label}`" for label in labels)], rows)
    return f"<details><summary>every object</summary>\n\n{table}\n</details>\n\n"


def _how(record: Record) -> str:
    about = record["about"]
    facts = [about["model"]] if "model" in about else []
    facts += [f"{name} {about[name]}" for name in ("weights", "size inside", "precision") if name in about]
    speed = f" Speed on {' / '.join(record['conditions'])}{_busy(record['busy'])}." if record["fps"] else ""
    ended = " **Interrupted: not all sequences are done.**" if record["interrupted"] else ""
    return f"`{record['command']}`  \n{', '.join(map(str, facts))}.{speed}{ended}\n"


def _busy(load: float | None) -> str:
    return f", while other programs were at work (load average {load}): alone it is faster" if load else ""


def _speed(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        head = ["model", "parameters", "video", "grid", "objects", "frames", "what", "ms a frame", "frames/s"]
        head += [f"times the {run['baseline']}"] if run["baseline"] else []
        rows = [
            [
                f"`{row['model']}`{'' if row['trained'] else ' (untrained)'}",
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
        about = f"Median of {run['repeats']} runs after one to warm up, on {_machine(run)}.{unit}\n{what}"
        title = "Speed" if _whole_way(run) else "Where the time goes"
        found.append(f"### {title}\n\n{about}\n\n{_table(head, rows)}")
    return found


def _whole_way(run: Record) -> bool:
    return any(row["what"] == "end to end" for row in run["results"])


def _memory(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        head = ["model", "video", "objects", "through", "frames", "peak MB", "GPU MB", "masks, bytes a frame"]
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
            ]
            for row in run["results"]
        ]
        found.append(f"### Memory\n\nPeak of a fresh process for each length, on {_machine(run, timed=False)}.\n\n{_table(head, rows)}")
    return found


def _roofline(runs: Sequence[Record]) -> list[str]:
    found = []
    for run in runs:
        ceilings = run["ceilings"]
        about = (
            f"On {_machine(run)}; measured there in {ceilings['dtype']}: {ceilings['flops'] / 1e9:,.0f} GFLOP/s in a large matrix product, "
            f"{ceilings['bandwidth'] / 1e9:,.1f} GB/s in a large copy. The bound is the time a frame that eager execution can't undercut, "
            "by arithmetic or by memory; model only."
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
        found.append(f"### Roofline\n\n{about}\n\n{_table(head, rows)}")
    return found


def _published(record: Record) -> list[str]:
    found = []
    for table in record["tables"]:
        rows = [[_cell(value) for value in row] for row in table["rows"]]
        found.append(f"### {table['title']} (published)\n\n{_table(table['columns'], rows)}\n{table['note']}\n")
    return found


def _machine(run: Record, timed: bool = True) -> str:
    there = run["environment"]
    busy = timed and (there["load_average"] or 0) > there["cores"] / 2
    versions = f"torch {there['torch']}, vos_zoo {run['vos_zoo']}"
    load = f"; **other programs were at work** (load average {there['load_average']}), so seconds are too long" if busy else ""
    threads = f"{there['threads']} thread{'s' * (there['threads'] > 1)}"
    return f"{there['device']}, {threads}, {versions}{load}"


def _first_title(scores: Sequence[Record]) -> list[Record]:
    """The figures of one data set, that of the first file: a plot of two would compare what can't be."""
    return [record for record in scores if record["title"] == scores[0]["title"]]


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _alt(svg: str) -> str:
    found = re.search(r'aria-label="([^"]*)"', svg)
    return found[1] if found else ""


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(record, dict) or not {"kind", "mean_jf", "benchmark"} & set(record):
        raise EvaluationError(f"{path} was written neither by vos-zoo evaluate --out (scores.json) nor by tools/benchmark.py --json")
    return record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, default=DOCS, metavar="FOLDER", help="the folder of RESULTS.md and results/ (default: docs)")
    parser.add_argument("--add", type=Path, metavar="FILE", help="a JSON file to take in first")
    parser.add_argument("--title", help="what the added scores are of")
    parser.add_argument("--command", help="the command that prints the added scores")
    parser.add_argument("--check", action="store_true", help="only tell whether the page is up to date")
    return parser


if __name__ == "__main__":
    sys.exit(main())
