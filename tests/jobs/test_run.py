"""Where the results of many clips go, what is done with one, and what of them is finished."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import pytest
from many_clips import Fragile, Still, touch, write_clips, write_frames, write_mask, write_video

from vos_zoo.errors import SaveError
from vos_zoo.jobs.destination import RECORD, Folder, Remote, place_of
from vos_zoo.jobs.folder import find_tasks
from vos_zoo.jobs.run import Run
from vos_zoo.jobs.work import Propagating
from vos_zoo.masks.sequence import MaskSequence


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- places


def places(tmp_path):
    return {"folder": str(tmp_path / "out"), "file": f"file://{tmp_path}/out", "memory": f"memory://{tmp_path.name}/out"}


@pytest.fixture(params=["folder", "file", "memory"])
def out(request, tmp_path):
    return places(tmp_path)[request.param]


def put(place, name, **more):
    with place.writing(name) as folder:
        (folder / "masks").mkdir()
        (folder / "masks" / "0.png").write_bytes(b"png")
        (folder / "record.json").write_text(json.dumps({"name": name, **more}))


def test_a_place_takes_and_gives(out):
    place = place_of(out)
    assert isinstance(place, Remote if "://" in out else Folder)
    place.begin()
    assert place.read("run.json") is None and place.records(["bear"]) == {}
    place.write("run.json", "{}")
    put(place, "bear [1080p]", seen=1)
    assert place.records(["bear [1080p]", "cow"]) == {"bear [1080p]": {"name": "bear [1080p]", "seen": 1}}
    put(place, "bear [1080p]", seen=2)
    assert place.records(["bear [1080p]"])["bear [1080p]"]["seen"] == 2
    place.log({"a": 1})
    place.end()
    again = place_of(out)
    again.begin()
    again.log({"a": 2})
    again.end()
    assert [json.loads(line) for line in again.read("jobs.jsonl").splitlines()] == [{"a": 1}, {"a": 2}]
    assert again.read("bear [1080p]/masks/0.png") == "png"


def test_a_result_that_is_not_finished_is_not_there(out):
    place = place_of(out)
    place.begin()
    put(place, "bear", seen=1)
    with pytest.raises(ZeroDivisionError), place.writing("bear") as folder:
        (folder / "record.json").write_text("{}")
        raise ZeroDivisionError
    assert place.records(["bear"])["bear"]["seen"] == 1
    with pytest.raises(ZeroDivisionError), place.writing("cow") as folder:
        raise ZeroDivisionError
    assert place.records(["cow"]) == {} and not place.taken("cow")
    place.end()
    if "memory" not in out:
        root = Path(out.removeprefix("file://"))
        assert sorted(path.name for path in root.iterdir() if path.name != "jobs.jsonl") == ["bear"]


def test_an_address_writes_the_record_last(monkeypatch, tmp_path):
    place = Remote(places(tmp_path)["memory"])
    files = place._files
    plain, order = files.put_file, []
    monkeypatch.setattr(files, "put_file", lambda source, there, **more: (order.append(there), plain(source, there, **more))[1])
    put(place, "bear")
    assert order[-1].endswith("bear/record.json") and len(order) == 2
    plain_rm = files.rm_file
    removed = []
    monkeypatch.setattr(files, "rm_file", lambda path: (removed.append(path), plain_rm(path))[1])
    put(place, "bear")
    assert removed[0].endswith("bear/record.json"), "a result that is being replaced is not finished"


def test_what_is_not_ours_stays(tmp_path):
    touch("out/bear/photo.jpg", "out/cow")
    Path("out/empty").mkdir()
    place = Folder(Path("out"))
    assert [name for name in ("bear", "cow", "empty", "dog") if place.taken(name)] == ["bear", "cow"]
    with pytest.raises(SaveError, match="bear is there already and holds something else"):
        put(place, "bear")
    assert os.listdir("out/bear") == ["photo.jpg"]
    put(place, "empty")
    touch("foreign/a/b.txt")
    with pytest.raises(SaveError, match="holds something that no run of many clips has written"):
        Remote(f"file://{tmp_path}/foreign").begin()


def test_a_place_that_is_not_known():
    with pytest.raises(SaveError, match="nosuch://a can't be written to"):
        place_of("nosuch://a")


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_two_runs_do_not_write_to_one_folder():
    first, second = Folder(Path("out")), Folder(Path("out"))
    first.begin()
    with pytest.raises(SaveError, match="another run is writing to out"):
        second.begin()
    first.end()
    third = Folder(Path("out"))
    third.begin()
    third.end()


def test_a_run_sweeps_up_and_mends_its_log():
    Path("out/.vos_zoo-0123/masks").mkdir(parents=True)
    Path("out/jobs.jsonl").write_text('{"a": 1}\n{"a": ')
    place = Folder(Path("out"))
    place.begin()
    place.log({"a": 3})
    place.end()
    assert os.listdir("out") == ["jobs.jsonl"]
    assert Path("out/jobs.jsonl").read_text() == '{"a": 1}\n{"a": \n{"a": 3}\n'


# ---- one clip, and what is finished


def work(run, out, segmenter=Still, forms=("masks",), **options):
    return Propagating(segmenter, options, tuple(forms), out, run).begin()


def opened(out, settings=None, **more):
    place = place_of(out)
    place.begin()
    return Run.open(place, settings or {"size": 416}, find_tasks("many").tasks, **more)


def data_at(out, path):
    if "://" not in out:
        return Path(out, path).read_bytes()
    with fsspec.open(f"{out}/{path.as_posix()}") as file:
        return file.read()


def test_a_clip_is_done_as_a_single_run_does_it(out):
    write_video(Path("many/bear.mp4"))
    write_mask(Path("many/bear.png"))
    write_clips(Path("many"), "cow")
    write_frames(Path("many/dog/frames"))
    for index, left in ((1, 12), (3, 20)):
        write_mask(Path(f"many/dog/masks/{index:05d}.png"), left)
    forms = ("masks", "coco", "cutouts")
    run = opened(out)
    tasks = {task.name: task for task in find_tasks("many").tasks}
    begin = work(run.id, out, forms=forms)
    records = {name: begin(task, lambda done: None) for name, task in tasks.items()}
    given = {"bear": {"first_mask": "many/bear.png"}, "cow": {"first_mask": "many/cow.png"}}
    given["dog"] = {"masks": {1: "many/dog/masks/00001.png"}}
    for name, options in given.items():
        masks = Still().propagate(tasks[name].video, **options)
        masks.save(f"alone/{name}/masks")
        masks.save_coco(f"alone/{name}/masks.json")
        masks.save_cutouts(f"alone/{name}/cutouts", tasks[name].video)
        files = [path for path in Path("alone", name).rglob("*") if path.is_file()]
        assert len(files) > 7
        for path in files:
            assert data_at(out, path.relative_to("alone")) == path.read_bytes()
        assert run.place.records([name]) == {name: records[name]}
    assert records["bear"]["lost"] == {"1": {"frames": 1, "first": 3}} and records["dog"]["frames"] == 3
    assert records["bear"]["files"] == {"masks": "masks", "coco": "masks.json", "cutouts": "cutouts"}
    assert run.finished(list(tasks.values())) == (records, [])


def test_a_clip_that_fails_gives_a_record_and_leaves_nothing(out):
    write_clips(Path("many"), "bug", "refused", "odd")
    run = opened(out)
    begin = work(run.id, out, Fragile)
    records = {}
    for task in find_tasks("many").tasks:
        records[task.name] = begin(task, lambda done: None)
    assert records["refused"]["error"] == "refused does not fit; make it fit" and "traceback" not in records["refused"]
    assert records["bug"]["error"] == "ZeroDivisionError: a bug" and "in meet" in records["bug"]["traceback"]
    assert records["odd"]["warnings"] == ["odd is odd"] and records["odd"]["status"] == "done"
    assert set(run.place.records(["bug", "refused", "odd"])) == {"odd"}


def test_a_place_that_takes_nothing_more_is_not_the_fault_of_a_clip(out, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_clips(Path("many"), "ant")
    run = opened(out)
    begin = work(run.id, out)
    if "://" in out:
        monkeypatch.setattr(type(run.place._files), "put_file", full)
    else:
        monkeypatch.setattr("vos_zoo.system.atomic.os.replace", full)
    with pytest.raises(SaveError, match="No space left on device"):
        begin(find_tasks("many").tasks[0], lambda done: None)


def test_finished_clips_are_known_by_the_run_and_what_went_in(out):
    write_clips(Path("many"), "ant", "bee", "cat")
    tasks = find_tasks("many").tasks
    began = Path("began")
    run = opened(out)
    begin = work(run.id, out, partial(Still, began))
    for task in tasks[:2]:
        begin(task, lambda done: None)
    run.place.end()
    same = opened(out)
    found, changed = same.finished(tasks)
    assert same.id == run.id and set(found) == {"ant", "bee"} and changed == []
    write_mask(Path("many/bee.png"), left=30)
    found, changed = same.finished(tasks)
    assert set(found) == {"ant"} and changed == ["bee"]
    begin = work(same.id, out, partial(Still, began))
    for task in tasks:  # as when another machine has been quicker
        begin(task, lambda done: None)
    assert began.read_text().split() == ["ant", "bee", "bee", "cat"]
    same.place.end()
    assert set(opened(out).finished(tasks)[0]) == {"ant", "bee", "cat"}


def test_other_settings_are_refused_and_overwrite_begins_anew(out):
    write_clips(Path("many"), "ant", "bee")
    tasks = find_tasks("many").tasks
    run = opened(out)
    work(run.id, out)(tasks[0], lambda done: None)
    run.place.end()
    with pytest.raises(SaveError, match=r"1 of these clips were done otherwise in --out: size was 416 and is 480, tta was null and is "):
        Run.open(place_of(out), {"size": 480, "tta": "flip"}, tasks)
    assert Run.open(place_of(out), {"size": 480}, tasks[1:]).id != run.id, "of these none is done"
    run.place.end()
    anew = opened(out, {"size": 480}, overwrite=True)
    assert anew.finished(tasks) == ({}, [])
    work(anew.id, out)(tasks[1], lambda done: None)
    anew.place.end()
    resumed = opened(out, {"size": 480})
    assert resumed.id == anew.id and set(resumed.finished(tasks)[0]) == {"bee"}
    resumed.place.end()
    again = opened(out, {"size": 480}, overwrite=True)
    assert again.finished(tasks) == ({}, [])


def test_a_line_that_a_kill_kept_from_the_log_comes_later(out):
    write_clips(Path("many"), "ant")
    tasks = find_tasks("many").tasks
    run = opened(out)
    record = work(run.id, out)(tasks[0], lambda done: None)
    run.place.end()
    for _ in range(2):
        later = opened(out)
        later.finished(tasks)
        later.place.end()
        assert [json.loads(line) for line in later.place.read("jobs.jsonl").splitlines()] == [record]


def test_a_damaged_run_is_told(out):
    place = place_of(out)
    place.begin()
    place.write("run.json", '{"run"')
    with pytest.raises(SaveError, match=r"run\.json in --out is damaged .* or add --overwrite"):
        Run.open(place, {}, [])
    assert Run.open(place, {}, [], overwrite=True).id


def test_other_warnings_are_not_kept_from_the_caller(tmp_path):
    class Noisy(Still):
        def meet(self, name):
            warnings.warn("of another library", RuntimeWarning, stacklevel=2)

    write_clips(Path("many"), "ant")
    run = opened(str(tmp_path / "out"))
    with pytest.warns(RuntimeWarning, match="of another library"):
        record = work(run.id, str(tmp_path / "out"), Noisy)(find_tasks("many").tasks[0], lambda done: None)
    assert record["status"] == "done" and record["warnings"] == []
    assert np.asarray(MaskSequence.load(tmp_path / "out/ant/masks")).shape == (4, 48, 64)


def test_a_result_that_was_deleted_meanwhile_is_told(tmp_path):
    """The folder of results, or one result in it."""
    where = place_of(str(tmp_path / "out"))
    where.begin()
    current = Run.open(where, {}, [])
    records = []
    for name in ("bear", "cow", "dog"):
        with where.writing(name) as folder:
            records.append({"name": name, "status": "done", "id": f"id of {name}", "run": current.id})
            (folder / RECORD).write_text(json.dumps(records[-1]))
    records.append({"name": "elk", "status": "failed", "id": "x"})
    assert current.vanished(records) == []
    shutil.rmtree(tmp_path / "out" / "cow")
    assert current.vanished(records) == [records[1]]
    (tmp_path / "out" / "dog" / RECORD).write_text(json.dumps({**records[2], "id": "of another run"}))
    assert current.vanished(records) == records[1:3]
    shutil.rmtree(tmp_path / "out")
    assert current.vanished(records) == records[:3]
    where.end()
