"""docs/RESULTS.md: what its command makes of its files, and how new files get in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from evaluation_data import Still, write_clip
from programs import program

import vos_zoo
from vos_zoo.benchmark.measure import Case, Memory, Timing, as_record
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.entry import Entry
from vos_zoo.evaluation.evaluate import Propagating
from vos_zoo.evaluation.run import run

ROOT = Path(__file__).resolve().parents[2]
CASE = Case("toy", "Toy", 1_500_000, "cpu", "float32", (48, 64), (48, 64), 1)
MACHINE = {"device": "cpu: Some CPU", "cores": 2, "threads": 2, "load_average": 0.5, "torch": "2.9", "platform": "x", "python": "3.11"}


@pytest.fixture(scope="module")
def tool():
    return program("make_results")


@pytest.fixture
def docs(tmp_path):
    """A docs folder with the page and what others publish, and nothing measured; a README beside it."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    for name in ("page.md", "published.json"):
        shutil.copy(ROOT / "docs" / "results" / name, tmp_path / "docs" / "results" / name)
    (tmp_path / "README.md").write_text("Models:\n\n<!-- models: made by tools/make_results.py -->\nold\n<!-- end of models -->\n\nEnd.\n")
    return tmp_path / "docs"


@pytest.fixture
def scores(tmp_path):
    """scores.json of a run on two clips, with the paths of this machine in it."""
    for name in ("cat", "dog"):
        write_clip(tmp_path / "data" / "home", name)
    about = {"model": "still (Still, 0.0 M parameters)", "command": f"vos-zoo evaluate {tmp_path}"}
    entry = Entry.open(tmp_path / "out", "still", f"folder:{tmp_path / 'data' / 'home'}", {"size": 416}, about=about)
    run(Propagating(Still), load_dataset(f"folder:{tmp_path / 'data' / 'home'}"), entry=entry)
    return tmp_path / "out" / "still" / "scores.json"


def write(path: Path, kind: str, results: list, **more) -> Path:
    facts = {"benchmark": kind, "vos_zoo": "0.1.0", "environment": MACHINE, "repeats": 3, "baseline": "yardstick", "baseline_is": "a unit"}
    path.write_text(json.dumps({**facts, **more, "results": results}))
    return path


def test_the_page_in_the_repository_is_what_its_command_makes(tool, capsys):
    assert tool.main(["--check"]) == 0, capsys.readouterr().err


def test_every_measured_figure_stands_beside_its_command():
    for path in (ROOT / "docs" / "results").glob("scores-*.json"):
        record = json.loads(path.read_text())
        assert record["command"].startswith("vos-zoo evaluate ") and record["title"]
        assert record["command"] in (ROOT / "docs" / "RESULTS.md").read_text()


def test_no_file_holds_a_path_of_the_machine_it_was_made_on():
    for path in (ROOT / "docs").rglob("*.*"):
        if path.suffix in (".json", ".md", ".svg"):
            text = path.read_text()
            assert not any(f"/{folder}/" in text for folder in ("home", "work", "tmp", "root", "Users")), path


def test_scores_are_taken_in_without_paths_and_frames(tool, docs, scores, tmp_path, capsys):
    command = "vos-zoo evaluate --model still --dataset folder:CLIPS"
    assert tool.main(["--docs", str(docs), "--add", str(scores), "--title", "Two clips", "--command", command]) == 0
    added = docs / "results" / "scores-two-clips-still.json"
    text = added.read_text()
    assert str(tmp_path) not in text and "clips" not in json.loads(text)
    page = (docs / "RESULTS.md").read_text()
    measured = json.loads(scores.read_text())
    row = next(line for line in page.splitlines() if line.startswith("| `still` |"))
    assert [cell.strip("* ") for cell in row.split("|")[2:9]] == [
        f"{100 * value:.1f}" for value in (measured["mean_jf"], *measured["j"].values(), *measured["f"].values())
    ]
    assert "### Two clips" in page and f"`{command}`" in page and "| cat | 1 |" in page
    assert tool.main(["--docs", str(docs), "--check"]) == 0


def test_speed_memory_and_roofline_are_taken_in(tool, docs, tmp_path):
    timing = Timing(CASE, "model only", 16, (0.1,), (0.4, 0.6), "yardstick")
    peaks = [as_record(Memory(CASE, "stream", frames, 1, 900_000_000 + frames, None, None, ((frames, 1),))) for frames in (300, 3000)]
    more = {"objects": 3, "fps": 6.0, "trained": False}
    files = [
        write(
            tmp_path / "a.json", "speed", [as_record(timing), {**as_record(timing), **more}, {**as_record(timing), "what": "end to end"}]
        ),
        write(tmp_path / "s.json", "speed", [as_record(timing)]),
        write(tmp_path / "b.json", "memory", peaks),
        write(
            tmp_path / "c.json",
            "roofline",
            [{**as_record(timing), "flops": 10**10, "traffic": 10**9, "bound": 0.05, "by": "memory"}],
            ceilings={"dtype": "float32", "flops": 2e11, "bandwidth": 2e10},
        ),
    ]
    for file in files:
        assert tool.main(["--docs", str(docs), "--add", str(file)]) == 0
    page = (docs / "RESULTS.md").read_text()
    assert "| `toy` | 1.5 M | 48x64 | 48x64 | 1 | 16 | model only | 100.0 | 10.0 | **0.2** |" in page
    assert "| `toy` (untrained) |" in page and page.count("### Speed\n") == 1 and page.count("### Where the time goes\n") == 1
    assert "- end to end: propagate: an mp4 file in, compressed masks out" in page
    assert "cpu: Some CPU, 2 threads, torch 2.9, vos_zoo 0.1.0." in page and "at work" not in page.split("## Published")[0].lower()
    assert page.index("| `toy` | 1.5 M") < page.index("<summary>how it was measured"), "the table stands first"
    assert "| `toy` | 48x64 | 1 | stream | 3,000 | 900.0 | - | - |" in page
    assert "| `toy` | 1 | 10.0 | 1.00 | 50.0 | memory | 100.0 | 50 % |" in page
    assert '<img src="results/memory-length.svg" width="420" alt="Memory and length">' in page
    assert sorted(path.name for path in (docs / "results").glob("*.svg")) == ["memory-length.svg", "speed-objects.svg"]
    busy = json.loads((docs / "results" / "speed-toy-cpu-some-cpu.json").read_text())
    busy["environment"]["load_average"] = 7.0
    (docs / "results" / "speed-toy-cpu-some-cpu.json").write_text(json.dumps(busy))
    assert tool.main(["--docs", str(docs)]) == 0
    page = (docs / "RESULTS.md").read_text()
    assert "**other programs were at work** (load average 7.0), so seconds are too long" in page
    assert "\n\nMeasured on cpu: Some CPU. **Other programs were at work**, so seconds are too long.\n\n|" in page
    (docs / "results" / "memory-toy-cpu-some-cpu.json").unlink()
    assert tool.main(["--docs", str(docs)]) == 0
    assert not (docs / "results" / "memory-length.svg").exists(), "a plot without figures goes"


def test_published_figures_are_marked_and_have_a_source(tool, docs):
    assert tool.main(["--docs", str(docs)]) == 0
    page = (docs / "RESULTS.md").read_text()
    assert "Nothing has been measured yet." in page
    published = json.loads((docs / "results" / "published.json").read_text())
    for table in published["tables"]:
        assert f"### {table['title']} (published)" in page
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
        if "source" in table["columns"]:
            assert all(row[table["columns"].index("source")] for row in table["rows"])
    assert "| CRVOS (ResNet-50) | 53.5 | 55.2 | 54.3 |" in page  # the paper's table 2
    assert "## What can't be compared" in page


def test_the_readme_has_a_table_of_models(tool, docs):
    models = [row.name for row in vos_zoo.list_models() if row.has_weights and row.architecture != "PointingNetwork"]
    record = {
        "kind": "scores",
        "title": "DAVIS-2016, 6 of its 20 val sequences",
        "label": models[0],
        "command": "vos-zoo evaluate",
        "about": {},
    }
    means = {"mean": 0.5, "recall": 1.0, "decay": 0.0}
    record |= {"mean_jf": 0.5, "mean_j": 0.5, "mean_f": 0.5, "j": means, "f": means, "grouped": None, "objects": [], "interrupted": False}
    record |= {"fps": 2.0, "memory": None, "device_memory": None, "busy": 4.5, "conditions": ["a CPU"], "settings": {}}
    (docs / "results" / "scores-a.json").write_text(json.dumps(record))
    timing = {
        **as_record(Timing(CASE, "end to end", 16, (0.1,), (0.4, 0.6), "yardstick")),
        "model": models[0],
        "fps": 7.25,
        "trained": True,
    }
    write(docs / "results" / "speed.json", "speed", [timing])
    (docs / "results" / "speed.json").write_text((docs / "results" / "speed.json").read_text().replace("{", '{"kind": "speed", ', 1))
    assert tool.main(["--docs", str(docs), "--check"]) == 1
    assert tool.main(["--docs", str(docs)]) == 0
    readme = (docs.parent / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    assert len(rows) == len(models) and rows[0].startswith(f"| `{models[0]}` |") and rows[0].endswith("| **50.0** | 7.2 |")
    assert "old" not in readme and readme.endswith("<!-- end of models -->\n\nEnd.\n") and "Without weights yet" in readme
    page = (docs / "RESULTS.md").read_text()
    assert f"Other programs were at work beside `{models[0]}`: alone they are faster." in page
    assert tool.main(["--docs", str(docs), "--check"]) == 0


def test_what_can_not_be_taken_in(tool, docs, scores, tmp_path, capsys):
    (tmp_path / "x.json").write_text("{}")
    short = {key: value for key, value in json.loads(scores.read_text()).items() if key != "settings"}
    (tmp_path / "short.json").write_text(json.dumps(short))  # what --json writes
    for arguments, message in (
        ([scores], "scores need --title, what they are of, and --command"),
        ([tmp_path / "short.json"], "lacks how it was measured: give OUT/NAME/scores.json"),
        ([tmp_path / "x.json"], "was written neither by vos-zoo evaluate --out (scores.json) nor by tools/benchmark.py --json"),
        ([tmp_path / "gone.json"], "gone.json can't be read as JSON"),
    ):
        assert tool.main(["--docs", str(docs), "--add", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err


def test_a_page_that_is_not_up_to_date_is_told(tool, docs, capsys):
    assert tool.main(["--docs", str(docs)]) == 0
    (docs / "RESULTS.md").write_text("changed by hand")
    assert tool.main(["--docs", str(docs), "--check"]) == 1
    assert "RESULTS.md in" in capsys.readouterr().err
    assert (docs / "RESULTS.md").read_text() == "changed by hand"


def test_models_that_ship_are_measured():
    measured = {json.loads(path.read_text())["label"] for path in (ROOT / "docs" / "results").glob("scores-*.json")}
    ready = {row.name for row in vos_zoo.list_models() if row.has_weights and row.follows}
    assert ready <= measured, "run vos-zoo evaluate on them, and take its scores.json in by tools/make_results.py --add"
