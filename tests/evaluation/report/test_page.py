"""The report and the command that writes it: one page that needs nothing else, for one entrant or several."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import Knows, Still, labels, write_clip, write_davis, write_mask, write_youtubevos
from toy import toy_segmenter

from vos_zoo.cli import main
from vos_zoo.commands import evaluate as command
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.evaluate import Propagating, evaluate, evaluate_results
from vos_zoo.evaluation.report.page import page
from vos_zoo.evaluation.report.parts import Entrant
from vos_zoo.evaluation.report.strips import chosen_frames
from vos_zoo.evaluation.report.svg import Axis, Series, number, plot
from vos_zoo.evaluation.run import run
from vos_zoo.evaluation.scores import Scores

VOID_TAGS = {"meta", "img", "br", "line", "rect", "circle", "polyline"}


class Page(HTMLParser):
    """What a page holds; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.open, self.tags, self.links, self.words = text, [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "srcset", "data")]
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "title"):
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def root(tmp_path):
    write_clip(tmp_path / "data", "cat")
    write_clip(tmp_path / "data", "dog", frames=6, ids=(2,))
    return tmp_path / "data"


@pytest.fixture
def entrants(root, tmp_path):
    clips = load_dataset(f"folder:{root}")
    found = []
    for label, model in (("still", Still), ("knows", Knows)):
        job = Propagating(model, save=tmp_path / label)
        found.append(Entrant(label, run(job, clips), tmp_path / label, {"model": "a <fast> one", "versions": {"torch": "2.9"}}))
    return found


def test_the_page_needs_nothing_but_itself(entrants, root):
    found = Page(page(entrants, load_dataset(f"folder:{root}"), f"folder:{root}"))
    assert found.links and all(link.startswith("data:image/jpeg;base64,") for link in found.links)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|<script|<link", found.text)
    assert "prefers-color-scheme:dark" in found.text and 'name="viewport"' in found.text and "max-width:640px" in found.text


def test_the_page_shows_the_figures_of_all_entrants_best_first(entrants, root):
    found = Page(page(entrants, load_dataset(f"folder:{root}"), f"folder:{root}"))
    assert found.said.index("knows") < found.said.index("still")
    still = entrants[0].scores
    expected = [f"{100 * value:.1f}" for value in (still.mean_jf, *still.j, *still.f)]
    rows = re.findall(r'<tr><th scope="row"><span class="who s\d">(\w+)</span></th>(.*?)</tr>', found.text)
    assert [name for name, _ in rows] == ["knows", "still"]
    assert re.findall(r">([-\d.–]+)</td>", rows[1][1]) == expected
    assert "2 sequences · 3 objects · 16 scored masks" in found.said
    for title in ("Scores", "J&F per sequence", "J over time", "Frames", "Speed and memory", "Every object", "How this was measured"):
        assert title in found.said
    assert "frames per second" in found.said and "peak memory of the process" in found.said and "a <fast> one" in found.said
    assert found.text.count('<figure class="spark">') == 2 and found.text.count('class="plot"') == 2


def test_strips_of_the_best_and_the_worst_sequence(entrants, root):
    clips = load_dataset(f"folder:{root}")
    assert chosen_frames(clips[0]) == [1, 2, 3, 4, 5, 6] and chosen_frames(clips[1]) == [1, 2, 3, 4]
    assert chosen_frames(clips[0], 3) == [1, 3, 6]
    found = Page(page(entrants[:1], clips, f"folder:{root}"))
    best, worst = ("dog", "cat") if entrants[0].scores.clips[1].jf > entrants[0].scores.clips[0].jf else ("cat", "dog")
    assert re.search(rf"best\s+{best} true masks frame 00001 .* worst\s+{worst} true masks", found.said)
    assert len(found.links) == 2 * (6 + 4), "the truth and the prediction"
    overlap = (10 - 2) / (10 + 2)
    assert f"J {100 * overlap:.0f}" in found.said


def test_names_are_escaped(root):
    clips = load_dataset(f"folder:{root}")
    found = page([Entrant("<script>x</script>", evaluate_perfect(clips))], clips, "folder:/data/<i>")
    assert "<script" not in found and "&lt;script&gt;" in found and "<i>" not in found


def evaluate_perfect(clips):
    return evaluate(Knows(), clips)


def test_masks_made_elsewhere_have_no_speed(root, tmp_path):
    clips = load_dataset(f"folder:{root}")
    for clip in clips:
        for index in clip.scored:
            write_mask(tmp_path / "mine" / clip.name / f"{index:05d}.png", clip.truth(index).astype(np.uint8))
    found = Page(page([Entrant("mine", evaluate_results(tmp_path / "mine", clips), tmp_path / "mine")], clips, f"folder:{root}"))
    assert "masks made elsewhere: no speed was measured" in found.said and "100.0 J&F" in found.said


def test_a_run_that_is_not_done_is_not_compared(entrants, root):
    short = Entrant("short", Scores(entrants[0].scores.clips[:1], interrupted=True), entrants[0].masks)
    found = Page(page([entrants[1], short], load_dataset(f"folder:{root}"), f"folder:{root}"))
    assert "Not all are done, so these figures can't be compared: short: 1 of 2 sequences." in found.said
    nothing = Page(page([Entrant("none", Scores(interrupted=True))], load_dataset(f"folder:{root}"), f"folder:{root}"))
    assert "none: 0 of 2 sequences" in nothing.said


def test_a_busy_machine_is_told(entrants, root):
    for load, told in ((7.5 * os.cpu_count(), True), (os.cpu_count(), False)):
        clips = [replace(clip, cost=replace(clip.cost, load=load)) for clip in entrants[0].scores.clips]
        found = Page(page([Entrant("still", Scores(clips), entrants[0].masks)], load_dataset(f"folder:{root}"), f"folder:{root}"))
        assert (f"Other programs were at work (load average {load}): alone it is faster." in found.said) == told


def test_youtubevos_has_its_own_columns(tmp_path):
    clips = load_dataset(f"youtubevos:{write_youtubevos(tmp_path / 'yt')}")
    found = Page(page([Entrant("still", evaluate(Still(), clips))], clips, "youtubevos:yt"))
    assert "G J seen F seen J unseen F unseen" in found.said and "YouTube-VOS, a hold-out" in found.said
    assert "not those of the server" in found.said and "All frames were predicted" in found.said
    sparse = load_dataset(f"youtubevos:{write_youtubevos(tmp_path / 'sparse', every=1)}")
    assert "Only the annotated frames were predicted" in page([Entrant("still", evaluate(Still(), sparse))], sparse, "youtubevos:yt")


def test_matched_proposals_get_the_colours_of_their_objects(tmp_path):
    root = write_davis(tmp_path / "DAVIS", annotations="Annotations_unsupervised")
    clips = load_dataset(f"davis2017-unsupervised:{root}", only="cat")
    for index in range(5):
        write_mask(tmp_path / "swapped" / "cat" / f"{index:05d}.png", labels(index, (9, 4)))
        write_mask(tmp_path / "same" / "cat" / f"{index:05d}.png", labels(index, (1, 2)))
    pages = [
        Page(page([Entrant(name, evaluate_results(tmp_path / name, clips), tmp_path / name)], clips, f"davis2017-unsupervised:{root}"))
        for name in ("swapped", "same")
    ]
    assert pages[0].links == pages[1].links and "DAVIS-2017, unsupervised" in pages[0].said


# ---- plots


def test_axes_hold_all_values_between_round_ticks():
    assert Axis.over([3, 97], "J", zero=True).ticks == (0, 25, 50, 75, 100)
    assert Axis.over([0.12, 0.18], "s").ticks == (0.12, 0.14, 0.16, 0.18)
    assert Axis.over([5, 5], "n").ticks[0] <= 5 <= Axis.over([5, 5], "n").ticks[-1]
    assert Axis.over([0.6, 151], "fps", log=True).ticks == (0.5, 1, 2, 5, 10, 20, 50, 100, 200)[:1] + (1, 10, 100, 200)
    assert Axis.over([2, 20], "fps", log=True).ticks == (2, 5, 10, 20)
    for values in ([1.0], [1, 10], [7, 8], [0.003, 4000]):
        axis = Axis.over(values, "x", log=True)
        assert all(0 <= axis.place(value) <= 1 for value in values) and len(axis.ticks) >= 2


def test_points_lie_where_they_should():
    x, y = Axis("x", (0, 10)), Axis("y", (1, 100), log=True)
    text = plot("A & B", x, y, [Series("one", ((0, 1), (10, 100), (5, 10)))])
    places = re.findall(r'<circle class="s0 fill" cx="([\d.]+)" cy="([\d.]+)"', text)
    (left, low), (right, high), middle = [tuple(map(float, place)) for place in places]
    assert left < right and low > high and middle == pytest.approx(((left + right) / 2, (low + high) / 2), abs=0.1)
    assert "A &amp; B" in text and "<title>one: 10, 100</title>" in text
    alone = plot("x", x, y, [Series("one", ((0, 1),), hollow=True)], alone=True)
    assert "prefers-color-scheme:dark" in alone and "ring" in alone and "<style>" not in text


def test_labels_do_not_cover_points_of_others():
    places = {"acclvos": (13.6, 64.6), "crvos": (14.2, 69.8), "rvos": (10.6, 60.3), "scm": (7.28, 67.1)}
    series = [Series(name, (place,), n, line=False) for n, (name, place) in enumerate(places.items())]
    drawn = plot("J&F against speed", Axis("fps", (5, 10, 20), True), Axis("J&F", (0, 50, 100)), series)
    points = [(float(a), float(b)) for a, b in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    written = re.findall(r'class="label s\d" x="([\d.]+)" y="([\d.]+)">(\w+)<', drawn)
    assert len(points) == len(written) == 4
    for left, down, text in written:
        x, y = float(left), float(down)
        assert not any(x <= a <= x + 7 * len(text) and y - 10 <= b <= y for a, b in points), f"{text} lies on a point"


def test_labels_do_not_cover_each_other():
    x, y = Axis("x", (0, 10)), Axis("y", (0, 10))
    text = plot("t", x, y, [Series(f"name {n}", ((8, 5 + 0.1 * n),), n, line=False) for n in range(4)])
    places = [(float(x), float(y)) for x, y in re.findall(r'class="label s\d" x="([\d.]+)" y="([\d.]+)"', text)]
    pairs = [(a, b) for n, a in enumerate(places) for b in places[n + 1 :]]
    assert len(pairs) == 6 and all(abs(a[1] - b[1]) >= 12 or abs(a[0] - b[0]) >= 7 * len("name 0") for a, b in pairs)


def test_numbers_are_short():
    assert [number(value) for value in (0.25, 12, 1500, 1234567, 0.00002, 0)] == ["0.25", "12", "1,500", "1,234,567", "2e-05", "0"]


# ---- the command


@pytest.fixture
def toy(monkeypatch):
    """The command scores the toy model, whatever is asked for."""
    loaded = []

    def load(args):
        loaded.append(args.model)
        return toy_segmenter()

    monkeypatch.setattr(command, "load_model", load)
    return loaded


def test_out_keeps_masks_tables_and_a_report(toy, root, tmp_path, capsys):
    arguments = ["evaluate", "--dataset", f"folder:{root}", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", "toy"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == f"report: {tmp_path / 'out' / 'report.html'}"
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["1/2 cat", "2/2 dog"]
    saved = json.loads((tmp_path / "out" / "toy" / "scores.json").read_text())
    assert saved["settings"]["model"] == "toy" and saved["settings"]["weights"] is None and saved["about"]["precision"] == "float32"
    assert saved["dataset"] == f"folder:{root}"
    with open(tmp_path / "out" / "toy" / "per-sequence_results-val.csv", newline="") as file:
        assert [row["Sequence"] for row in csv.DictReader(file)] == ["cat_1", "cat_3", "dog_2"]
    first = Page((tmp_path / "out" / "report.html").read_text())

    assert main([*arguments, "--model", "toy"]) == 0
    said = capsys.readouterr()
    assert said.err == "toy: 2 of 2 clips were finished before\n"
    assert main([*arguments, "--model", "toy", "--size", "32"]) == 0
    assert "toy: size has changed (null to 32) since" in capsys.readouterr().err

    assert main([*arguments, "--results", str(root)]) == 2  # data/cat holds frames and masks, no results
    assert "cat" in capsys.readouterr().err
    for clip in load_dataset(f"folder:{root}"):
        for index in clip.scored:
            write_mask(tmp_path / "mine" / clip.name / f"{index:05d}.png", clip.truth(index).astype(np.uint8))
    assert main([*arguments, "--results", str(tmp_path / "mine")]) == 0
    capsys.readouterr()
    both = Page((tmp_path / "out" / "report.html").read_text())
    assert len(both.links) > len(first.links) and both.said.index("mine 100.0") < both.said.index("toy")


def test_masks_made_elsewhere_are_always_scored_anew(root, tmp_path, capsys):
    for clip in load_dataset(f"folder:{root}"):
        for index in clip.scored:
            write_mask(tmp_path / "mine" / clip.name / f"{index:05d}.png", clip.truth(index).astype(np.uint8))
    arguments = ["evaluate", "--dataset", f"folder:{root}", "--results", str(tmp_path / "mine"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "100.0" in capsys.readouterr().out
    write_mask(tmp_path / "mine" / "dog" / "00002.png", np.zeros_like(labels(0)))
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[-3:] == ["75.0", "75.0", "75.0"]


def test_several_models_side_by_side(toy, root, tmp_path, capsys):
    assert main(["evaluate", "--dataset", f"folder:{root}", "--out", str(tmp_path / "out"), "--model", "one", "owner/two"]) == 0
    said = capsys.readouterr()
    head, one, two, _ = said.out.splitlines()
    assert head.split()[:4] == ["J&F", "J", "mean", "recall"]
    assert one.split()[0] == "one" and two.split()[0] == "owner--two" and one.split()[1:8] == two.split()[1:8]
    assert said.err.splitlines()[0].startswith("one 1/2 cat: J ")
    assert toy == ["one", "owner/two", "one", "owner/two"], "each is loaded before any runs, and again when it does"
    assert Page((tmp_path / "out" / "report.html").read_text()).text.count('class="card') == 2 + 1  # and their frame


def test_an_adapted_model_is_an_entrant_of_its_own(toy, root, tmp_path, capsys):
    assert main(["evaluate", "--dataset", f"folder:{root}", "--out", str(tmp_path / "out"), "--model", "toy", "--finetune", "2"]) == 0
    saved = json.loads((tmp_path / "out" / "toy+finetune" / "scores.json").read_text())
    assert saved["settings"]["finetune"] == 2 and saved["about"]["adapted to the first mask"] == "yes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "a", "b", "--json", "x.json"], "--json is for one model: give --out FOLDER"),
        (["--model", "a", "b", "--save-masks", "x"], "--save-masks is for one model"),
        (["--model", "a", "--out", "x", "--save-masks", "y"], "--out keeps the masks already: leave --save-masks out"),
        (["--results", "x", "--finetune"], "--size, --tta, --finetune and --save-masks are for --model: leave them out"),
        (["--results", "x", "--tta", "flip"], "--size, --tta, --finetune and --save-masks are for --model: leave them out"),
        (["--model", "a", "x/../a"], "two of them would both be called 'a'"),
        (["--model", "a", "--seen", "seen.txt"], "seen categories are for the layout youtubevos"),
        (["--model", "a", "--subset", "train", "--dataset", "davis2016:."], "has no ImageSets/2016/train.txt"),
    ],
)
def test_wrong_arguments(toy, root, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    Path("x").mkdir()
    assert main(["evaluate", "--dataset", f"folder:{root}", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.out == "" and said.err.count("\n") == 1


def test_a_number_of_jobs(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--dataset", "folder:.", "--model", "a", "--jobs", "0"])
    assert "'0' is not a whole number of 1 or more" in capsys.readouterr().err


def test_the_command_in_several_processes(root, tmp_path, capsys):
    """With a real model, which each process loads for itself."""
    import vos_zoo
    from vos_zoo.checkpoints.catalogue import read

    config = read("crvos").replace(name="tiny", weights=None, parameters=None)
    config = config.replace(model_args={**config.model_args, "reduced": [4, 4, 4], "blended": [4, 4, 4]})
    vos_zoo.create(config, device="cpu", dtype="float32").save_pretrained(tmp_path / "tiny")
    arguments = ["evaluate", "--dataset", f"folder:{root}", "--model", str(tmp_path / "tiny"), "--dtype", "float32", "--size", "32"]
    assert main([*arguments, "--jobs", "2", "--out", str(tmp_path / "out")]) == 0
    together = capsys.readouterr().out
    assert main([*arguments]) == 0
    alone = capsys.readouterr().out
    assert together.splitlines()[:5] == alone.splitlines()[:5]
    conditions = json.loads((tmp_path / "out" / "tiny" / "scores.json").read_text())["conditions"]
    assert len(conditions) == 1 and conditions[0].endswith(" cores, float32, 1 thread, 2 videos at once")
