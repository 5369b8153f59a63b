"""Runs that are kept in a folder: killed, interrupted, gone on with, under other settings, in several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from evaluation_data import Slow, Still, labels, write_clip, write_mask

import vos_zoo
from vos_zoo.errors import EvaluationError, SaveError, VosZooError
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.entry import Entry
from vos_zoo.evaluation.evaluate import Propagating, evaluate
from vos_zoo.evaluation.run import Watch, run
from vos_zoo.system.leftovers import temporary_name
from vos_zoo.system.lock import writing_alone

NAMES = ["ant", "bee", "cat", "dog"]


@pytest.fixture
def clips(tmp_path):
    for name in NAMES:
        write_clip(tmp_path / "data", name, frames=5, ids=(1,))
    return load_dataset(f"folder:{tmp_path / 'data'}")


class Heard(Watch):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.begun: list[tuple] = []
        self.done: list[str] = []
        self.frames: list[tuple] = []

    def begin(self, *what):
        self.begun.append(what)

    def frame(self, *what):
        self.frames.append(what)

    def clip(self, score, done, clips):
        self.done.append(score.name)

    def tell(self, what):
        self.said.append(what)


def opened(tmp_path, settings=None, tell=print, **more):
    return Entry.open(tmp_path / "out", "still", "folder:/data", settings or {"size": 416}, tell=tell, **more)


def test_what_a_run_leaves(clips, tmp_path):
    entry, heard = opened(tmp_path), Heard()
    scores = run(Propagating(Still, save=Path(entry.masks)), clips, label="still", entry=entry, watch=heard)
    folder = tmp_path / "out" / "still"
    assert sorted(path.name for path in folder.iterdir()) == [
        "clips", "entry.json", "global_results-val.csv", "masks", "per-sequence_results-val.csv", "scores.json"]  # fmt: skip
    assert sorted(path.name for path in (folder / "masks" / "ant").glob("*.png")) == [f"{i:05d}.png" for i in range(5)]
    saved = json.loads((folder / "scores.json").read_text())
    assert saved["mean_jf"] == scores.mean_jf and saved["label"] == "still" and saved["settings"] == {"size": 416}
    assert heard.begun == [("still", 4, 0)] and heard.done == NAMES
    assert scores.rows == evaluate(Still(), clips).rows


def test_finished_clips_are_not_run_again(clips, tmp_path):
    first = Slow(tmp_path / "began", 0)
    all_of_them = run(Propagating(lambda: first), clips, entry=opened(tmp_path))
    assert (tmp_path / "began").read_text().split() == NAMES
    (tmp_path / "out" / "still" / "clips" / "bee.json").unlink()
    heard = Heard()
    again = run(Propagating(lambda: first), clips, label="still", entry=opened(tmp_path, tell=heard.tell), watch=heard)
    assert (tmp_path / "began").read_text().split() == [*NAMES, "bee"]
    assert again.rows == all_of_them.rows and heard.begun == [("still", 4, 3)] and heard.done == ["bee"] and heard.said == []


def test_a_second_run_into_the_same_folder_is_refused(clips, tmp_path):
    entry = opened(tmp_path)
    with writing_alone(entry.folder), pytest.raises(SaveError, match=r"another run is writing to .*still: wait for it"):
        run(Propagating(Still), clips, entry=entry)
    assert len(run(Propagating(Still), clips, entry=entry).clips) == 4 and not list(entry.folder.glob(".*"))


def test_other_settings_begin_anew_and_say_so(clips, tmp_path):
    run(Propagating(Still), clips, entry=opened(tmp_path))
    heard = Heard()
    entry = opened(tmp_path, {"size": 480, "weights": "a" * 64}, tell=heard.tell)
    (said,) = heard.said
    assert said.startswith(f'still: size has changed (416 to 480) and weights has changed (null to "{"a" * 36}...) since ')
    assert said.endswith("out/still was written, so its 4 finished clips will be done again")
    assert entry.finished(clips) == {}
    heard.said.clear()
    opened(tmp_path, {"size": 480, "weights": "a" * 64}, tell=heard.tell)
    assert heard.said == []


def test_other_true_masks_or_a_damaged_record_begin_a_clip_anew(clips, tmp_path):
    entry, heard = opened(tmp_path), Heard()
    run(Propagating(Still), clips, entry=entry)
    write_mask(tmp_path / "data" / "cat" / "masks" / "00004.png", labels(0, (1,)))
    record = tmp_path / "out" / "still" / "clips" / "ant.json"
    record.write_text(record.read_text()[:50])
    assert set(entry.finished(clips, heard.tell)) == {"bee", "dog"}
    assert heard.said[0].startswith(f"still: {record} can't be read (JSONDecodeError: ") and heard.said[0].endswith(
        "so ant will be done again"
    )
    assert heard.said[1] == "still: the true masks of cat have changed since it was scored, so it will be done again"


def test_folders_that_are_taken(tmp_path):
    opened(tmp_path)
    with pytest.raises(EvaluationError, match=r"out holds scores on folder:/data, not on folder:/other: choose another folder"):
        Entry.open(tmp_path / "out", "b", "folder:/other", {})
    (tmp_path / "out" / "holiday").mkdir()
    (tmp_path / "out" / "holiday" / "photo.jpg").touch()
    with pytest.raises(SaveError, match="holiday is there already and holds something else"):
        Entry.open(tmp_path / "out", "holiday", "folder:/data", {})
    (tmp_path / "out" / "killed").mkdir()
    (tmp_path / "out" / "killed" / temporary_name(".json")).touch()  # by a run that was killed while it wrote its first file
    Entry.open(tmp_path / "out", "killed", "folder:/data", {})
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="file is a file, and the results need a folder"):
        Entry.open(tmp_path / "file", "a", "folder:/data", {})
    for label in ("../a", "", ".a", "a/b"):
        with pytest.raises(EvaluationError, match="can't be the name of a folder of results"):
            Entry.open(tmp_path / "out", label, "folder:/data", {})
    (tmp_path / "out" / "still" / "entry.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"still.entry\.json can't be read \(KeyError: 'format'\): delete"):
        opened(tmp_path)


def test_an_error_keeps_what_is_finished(clips, tmp_path):
    class Fails(Still):
        def propagate(self, video, *args, **options):
            if "cat" in str(video):
                raise EvaluationError("cat does not work")
            return super().propagate(video, *args, **options)

    entry = opened(tmp_path)
    with pytest.raises(EvaluationError, match="cat does not work"):
        run(Propagating(Fails), clips, entry=entry)
    assert set(entry.finished(clips)) == {"ant", "bee"}


# ---- several processes


def test_several_processes_give_the_same(clips, tmp_path):
    alone = run(Propagating(Still, save=tmp_path / "alone"), clips)
    heard = Heard()
    together = run(Propagating(partial(Slow, tmp_path / "began", 0.01), save=tmp_path / "together", jobs=2), clips, jobs=2, watch=heard)
    assert together.rows == alone.rows and [clip.name for clip in together.clips] == NAMES
    assert sorted(heard.done) == NAMES and ("ant", 5) in heard.frames and ("ant", 10) in heard.frames
    assert "2 videos at once" in together.conditions[0]
    for path in (tmp_path / "alone").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "together" / path.relative_to(tmp_path / "alone")).read_bytes()


class Broken(Still):
    def propagate(self, video, *args, **options):
        if "bee" in str(video):
            raise {"ours": EvaluationError("bee does not work"), "any": ZeroDivisionError("x")}[os.environ["HOW"]]
        return super().propagate(video, *args, **options)


class Dies(Still):
    def propagate(self, video, *args, **options):
        os._exit(9)


@pytest.mark.parametrize(
    ("how", "message"), [("ours", "^bee does not work$"), ("any", "(?s)clip 'bee' failed in its process:.*ZeroDivisionError: x")]
)
def test_an_error_in_a_process_is_told(clips, monkeypatch, how, message):
    monkeypatch.setenv("HOW", how)
    with pytest.raises(VosZooError, match=message):
        run(Propagating(Broken), clips, jobs=2)


def test_a_process_that_dies_is_told(clips):
    with pytest.raises(VosZooError, match=r"a process ended with exit status 9 before all clips were done: if memory ran out, take fewer"):
        run(Propagating(Dies), clips, jobs=2)


def test_what_can_not_be_handed_to_a_process(clips):
    with pytest.raises(VosZooError, match="several processes need a model and clips that can be handed"):
        run(Propagating(lambda: Still()), clips, jobs=2)


# ---- killed

PROGRAM = """
import sys
from functools import partial
from pathlib import Path
from evaluation_data import Slow
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.entry import Entry
from vos_zoo.evaluation.evaluate import Propagating
from vos_zoo.evaluation.run import run

if __name__ == "__main__":
    root, jobs = Path(sys.argv[1]), int(sys.argv[2])
    entry = Entry.open(root / "out", "slow", "folder:/data", {})
    job = Propagating(partial(Slow, root / "began", 0.5), save=Path(entry.masks), jobs=jobs)
    scores = run(job, load_dataset(f"folder:{root / 'data'}"), entry=entry, jobs=jobs)
    print(scores.interrupted, len(scores.clips))
"""


def started(tmp_path, jobs):
    (tmp_path / "program.py").write_text(PROGRAM)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(vos_zoo.__file__).parents[1])])
    return subprocess.Popen(
        [sys.executable, tmp_path / "program.py", tmp_path, str(jobs)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_goes_on(clips, tmp_path, how, jobs):
    began, records = tmp_path / "began", tmp_path / "out" / "slow" / "clips"
    first = started(tmp_path, jobs)
    until(lambda: len(list(records.glob("[!.]*.json"))) >= 1)
    if how == signal.SIGKILL:
        first.kill()
    else:
        os.killpg(first.pid, signal.SIGINT)  # as a terminal does for Ctrl-C: to the children too
    said, _ = first.communicate(timeout=60)
    finished = sorted(path.stem for path in records.glob("[!.]*.json"))
    assert 1 <= len(finished) < 4
    if how == signal.SIGINT:
        interrupted, told = said.split()
        # a clip may be written down before its worker has told so
        assert (first.returncode, interrupted) == (0, "True") and int(told) <= len(finished)
    until(lambda: not alive(first.pid))  # no process is left behind
    for path in records.glob("[!.]*.json"):
        json.loads(path.read_text())
    before = began.read_text().split()
    second = started(tmp_path, jobs)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0 and said.split() == ["False", "4"]
    after = began.read_text().split()[len(before) :]
    assert sorted(after) == sorted(set(NAMES) - set(finished)), "finished clips are not done again"
    assert [len(list((tmp_path / "out" / "slow" / "masks" / name).glob("*.png"))) for name in NAMES] == [5] * 4
