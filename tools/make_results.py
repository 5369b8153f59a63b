"""Make docs/RESULTS.md, its plots and the README's table of models from the JSON files in docs/results.

    python tools/make_results.py

The files there were written by `vos-zoo evaluate --out`, tools/benchmark.py and tools/compare_runtimes.py, but for published.json (what
others publish) and page.md. A new one is taken in, without the paths of the machine it comes from, by

    python tools/make_results.py --add out/crvos/scores.json --title "DAVIS-2016 val" --command "vos-zoo evaluate --model crvos ..."
    python tools/make_results.py --add speed.json

The README's table also says what hub_configs/ has. --check changes nothing, and ends with exit status 1 if a page is not what the files
give.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vos_zoo.benchmark.overview import overview
from vos_zoo.benchmark.plots import plots
from vos_zoo.benchmark.results import accuracy, clicks, fast_path, memory, published, roofline, runtimes, speed, step_by_step, whole_way
from vos_zoo.checkpoints import catalogue
from vos_zoo.errors import EvaluationError, VosZooError
from vos_zoo.system.atomic import atomic_write, write_json

DOCS = Path(__file__).resolve().parents[1] / "docs"
PUBLISHED, PAGE = "published.json", "page.md"  # what others publish; the page's text, with places for the tables
MODELS = re.compile(r"(<!-- models: made by tools/make_results.py -->\n).*?(<!-- end of models -->)", re.DOTALL)  # in README.md
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
        if "settings" not in record:
            raise EvaluationError(f"{source} lacks how it was measured: give OUT/NAME/scores.json, where OUT is evaluate's --out")
        if not (title and command):
            raise EvaluationError("scores need --title, what they are of, and --command, which prints them again")
        about = {key: value for key, value in record.get("about", {}).items() if key not in ("command", "masks")}
        settings = {key: value for key, value in record["settings"].items() if key != "results"}
        own = {"kind": "scores", "title": title, "command": command, "about": about, "settings": settings}
        record = {**own, **{key: record[key] for key in KEPT}}
        name = f"scores-{_slug(title)}-{_slug(record['label'])}.json"
    elif "figures" in record:
        if not (title and command):
            raise EvaluationError("clicks need --title, what they are of, and --command, which prints them again")
        record = {"kind": "clicks", "title": title, "command": command, **record}
        name = f"clicks-{_slug(title)}.json"
    else:
        record = {"kind": record["benchmark"], **record}
        models = "-".join(dict.fromkeys(_slug(row["model"]) for row in record["results"]))
        kind = "stages" if record["kind"] == "speed" and not whole_way(record) else record["kind"]
        name = f"{kind}-{models[:60]}-{_slug(record['environment']['device'])[:40]}.json"
    write_json(folder / name, record)
    return folder / name


def make(docs: Path, check: bool = False) -> int:
    """Writes the page and its plots; with `check` only tells whether they are what the files give."""
    files = build(docs / "results")
    if (docs.parent / "README.md").is_file():
        files["../README.md"] = with_models((docs.parent / "README.md").read_text(encoding="utf-8"), docs / "results")
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
    names = ("scores", "clicks", "speed", "memory", "roofline", "runtimes")
    kinds = {kind: [record for record in records if record["kind"] == kind] for kind in names}
    drawn = plots(_commonest_title(kinds["scores"]), kinds["speed"], kinds["memory"])
    measured = [
        *accuracy(kinds["scores"]),
        *clicks(kinds["clicks"]),
        *speed(kinds["speed"]),
        *fast_path(kinds["speed"]),
        *step_by_step(kinds["speed"]),
        *runtimes(kinds["runtimes"]),
        *memory(kinds["memory"]),
        *roofline(kinds["roofline"]),
    ]
    if drawn:
        pictures = "\n".join(f'<img src="results/{name}" width="420" alt="{_alt(svg)}">' for name, svg in drawn.items())
        measured.append(f"### Plots\n\n{pictures}\n")
    text = (folder / PAGE).read_text(encoding="utf-8")
    for place, parts in (("measured", measured), ("published", published(_read(folder / PUBLISHED)))):
        text = text.replace(f"<!-- {place} -->", "\n".join(parts))
    return {"RESULTS.md": text, **{f"results/{name}": svg for name, svg in drawn.items()}}


def with_models(readme: str, folder: Path) -> str:
    """The README with the table of models as the catalogue and the records in the folder give it."""
    records = [_read(path) for path in sorted(folder.glob("*.json")) if path.name != PUBLISHED]
    scores, speeds = ([record for record in records if record["kind"] == kind] for kind in ("scores", "speed"))
    made = overview([row for row in catalogue.rows() if row.follows], scores, speeds)
    return MODELS.sub(lambda found: f"{found[1]}{made}{found[2]}", readme)


def _commonest_title(scores: Sequence[Record]) -> list[Record]:
    """The figures of one data set, that of the most models: a plot of two would compare what can't be."""
    of_title = [[record for record in scores if record["title"] == title] for title in dict.fromkeys(each["title"] for each in scores)]
    return max(of_title, key=len, default=[])


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
    if not isinstance(record, dict) or not {"kind", "mean_jf", "figures", "benchmark"} & set(record):
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
