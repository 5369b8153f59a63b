"""vos-zoo propagate of many clips: what it writes and says, how it is stopped and gone on with, what it refuses."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from benchmark_layouts import write_valid
from many_clips import SIZE, write_clips, write_frames, write_mask, write_video

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.cli import main
from vos_zoo.errors import VideoError
from vos_zoo.jobs.destination import Folder
from vos_zoo.segmenter import Segmenter
from vos_zoo.system import workers

ARGS = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}
MODEL = ("--model", "tiny", "--device", "cpu", "--dtype", "float32")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """tiny/, a checkpoint with random weights."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(8)
    config = ModelConfig(name="tiny", architecture="CRVOS", model_args=ARGS)
    vos_zoo.create(config, device="cpu", dtype="float32").save_pretrained(folder / "tiny", dtype=None)
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A working directory with tiny/ and many/: a video and a folder of frames, each with its first mask, and frames/ with masks/."""
    (tmp_path / "tiny").symlink_to(made / "tiny")
    monkeypatch.chdir(tmp_path)
    write_video(Path("many/ant.mp4"))
    write_mask(Path("many/ant.png"))
    write_clips(Path("many"), "bee")
    write_frames(Path("many/cat/frames"))
    write_mask(Path("many/cat/masks/00001.png"), left=12)
    return tmp_path


@pytest.fixture
def run(capsys):
    """run(*arguments) -> exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def inside(monkeypatch):
    """The work is done in this process, and what it was handed is told: jobs and clips of each call."""
    calls = []

    def work_through(jobs, items, frame, *, threads=None, lost=None):
        calls.append((jobs, [item.name for item in items], threads))
        work = jobs[0].begin()
        for item in items:
            yield work(item, lambda done: None)

    monkeypatch.setattr(workers, "work_through", work_through)
    return calls


def many(*more: object) -> tuple[object, ...]:
    return "propagate", "many", "--out", "out", *MODEL, *more


def single(folder: Path, *forms: str, model: str = "tiny") -> None:
    """What `propagate` gives for each of the three clips, saved."""
    segmenter = vos_zoo.load(model, device="cpu", dtype="float32")
    given = {
        "ant": ("many/ant.mp4", {"first_mask": "many/ant.png"}),
        "bee": ("many/bee", {"first_mask": "many/bee.png"}),
        "cat": ("many/cat/frames", {"masks": {1: "many/cat/masks/00001.png"}}),
    }
    for name, (video, masks) in given.items():
        found = segmenter.propagate(video, **masks, progress=False)
        found.save(folder / name / "masks")
        if "coco" in forms:
            found.save_coco(folder / name / "masks.json")


def same_files(one: Path, other: Path) -> int:
    files = [path for path in one.rglob("*") if path.is_file()]
    for path in files:
        assert path.read_bytes() == (other / path.relative_to(one)).read_bytes(), path
    return len(files)


def test_two_processes_write_what_single_runs_write(here, run):
    """The whole way: real processes, a bad file among the clips, and a second run that has little left."""
    Path("many/dog.mp4").write_text("no video")
    write_mask(Path("many/dog.png"))
    code, out, err = run(*many("--workers", "2", "--save", "masks,coco"))
    assert code == 1
    lines = out.splitlines()
    assert lines[0].startswith("tiny on cpu: 3 of 4 clips done, 11 frames, ")
    assert lines[-4].startswith("1 clip failed:") and lines[-3].startswith("  dog: can't read ") and lines[-3].endswith("check the file")
    assert lines[-2:] == ["results: out/<clip>/", "log:     out/jobs.jsonl"]
    assert "vos-zoo: warning: dog was left out: can't read" in err and "Traceback" not in err
    single(Path("alone"), "masks", "coco")
    assert same_files(Path("alone"), Path("out")) == 4 + 4 + 3 + 3 + 3
    assert sorted(os.listdir("out")) == ["ant", "bee", "cat", "jobs.jsonl", "run.json"]
    assert sorted(os.listdir("out/ant")) == ["masks", "masks.json", "record.json"]
    logged = {record["name"]: record for record in map(json.loads, Path("out/jobs.jsonl").read_text().splitlines())}
    assert {name: record["status"] for name, record in logged.items()} == {"ant": "done", "bee": "done", "cat": "done", "dog": "failed"}
    assert logged["ant"]["frames"] == 4 and logged["ant"]["model"] == "tiny" and logged["ant"]["seconds"] > 0

    times = {name: Path("out", name, "record.json").stat().st_mtime_ns for name in ("ant", "bee", "cat")}
    write_video(Path("many/dog.mp4"))
    code, out, err = run(*many("--save", "masks,coco", "--json"))
    result = json.loads(out)
    assert (code, err) == (0, "") and (result["done"], result["done_before"], result["failed"]) == (4, 3, {})
    assert times == {name: Path("out", name, "record.json").stat().st_mtime_ns for name in times}
    assert len(list(Path("out/dog/masks").glob("*.png"))) == 4


def test_the_second_time_nothing_is_done(here, run, inside):
    assert run(*many())[0] == 0
    code, out, err = run(*many())
    assert (code, err) == (0, "") and out.startswith("tiny: 3 of 3 clips done (3 before)\n") and len(inside) == 1
    write_mask(Path("many/bee.png"), left=20)
    code, _, err = run(*many())
    assert code == 0 and "1 clip will be done again, since the video or a mask has changed: bee" in err
    assert [names for _, names, _ in inside] == [["ant", "bee", "cat"], ["bee"]]


def test_other_options_are_refused_and_overwrite_does_all_again(here, run, inside):
    assert run(*many())[0] == 0
    code, out, err = run(*many("--size", "32", "--tta", "flip"))
    assert (code, out) == (2, "")
    assert 'done otherwise in --out: size was null and is 32, tta was null and is "flip". Give the same' in err and "--overwrite" in err
    assert run(*many("--size", "32", "--overwrite"))[0] == 0
    assert [names for _, names, _ in inside] == [["ant", "bee", "cat"]] * 2
    assert run(*many("--size", "32"))[1].startswith("tiny: 3 of 3 clips done (3 before)")


def test_clips_with_problems_are_left_out_or_stop_it(here, run, inside):
    write_video(Path("many/eel.mp4"))
    Path("many/fox.mp4").touch()
    Path("out/bee").mkdir(parents=True)
    Path("out/bee/photo.jpg").touch()
    code, out, err = run(*many("--on-error", "stop"))
    assert (code, out) == (2, "") and inside == [] and os.listdir("out") == ["bee"]
    assert err.splitlines() == [
        "vos-zoo: 4 problems:",
        "  eel: no mask: looked in many for eel.png, eel_mask.png, eel.npy",
        "  fox: the video many/fox.mp4 is an empty file",
        "  fox: no mask: looked in many for fox.png, fox_mask.png, fox.npy",
        "  bee: out/bee is there already and holds something else: give it another name, or choose another --out",
        "Nothing was done. Without --on-error stop the other clips are.",
    ]
    code, out, err = run(*many())
    assert code == 1 and "The others go on: 2 clips" in err and "  eel: no mask" in err
    assert "3 clips left out for problems:" in out and [names for _, names, _ in inside] == [["ant", "cat"]]
    assert os.listdir("out/bee") == ["photo.jpg"]


def test_a_failure_stops_it_when_asked(here, run, inside):
    Path("many/ant.mp4").write_text("no video")
    code, out, err = run(*many("--on-error", "stop"))
    assert (code, out) == (2, "") and "ant failed: can't read" in err and err.endswith("the same command goes on\n")
    assert len(Path("out/jobs.jsonl").read_text().splitlines()) == 1


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(here, run, inside, monkeypatch):
    plain, calls = Segmenter.propagate, []

    def once(self, *args, **more):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(self, *args, **more)

    monkeypatch.setattr(Segmenter, "propagate", once)
    code, out, err = run(*many())
    assert code == 130 and out.startswith("tiny on cpu: 1 of 3 clips done")
    assert err.splitlines() == ["vos-zoo: ended early; 1 of 3 clips are done, and the same command goes on", "vos-zoo: interrupted"]
    assert sorted(os.listdir("out")) == ["ant", "jobs.jsonl", "run.json"]
    assert run(*many())[0] == 0 and [names for _, names, _ in inside][1] == ["bee", "cat"]


def test_a_manifest(here, run, inside):
    Path("later").mkdir()
    write_mask(Path("later/2.png"), left=16)
    Path("list.csv").write_text("video,mask,masks,out\nmany/ant.mp4,many/ant.png,later,first\nmany/bee,many/bee.png,,\nmany/none.mp4,,,\n")
    code, out, err = run("propagate", "list.csv", "--out", "out", *MODEL)
    assert code == 1 and "line 4, none: the video many/none.mp4 does not exist" in err
    masks = vos_zoo.load("tiny", device="cpu", dtype="float32").propagate(
        "many/ant.mp4", "many/ant.png", masks={2: "later/2.png"}, progress=False
    )
    masks.save("alone/masks")
    assert same_files(Path("alone"), Path("out/first")) == 5
    assert run("propagate", "list.csv", *MODEL)[1].splitlines()[-2] == "results: list_masks/<clip>/"


def test_an_address(here, run, inside):
    assert run("propagate", "many", "--out", f"file://{here}/there", *MODEL)[0] == 0
    single(Path("alone"))
    assert same_files(Path("alone"), Path("there")) == 4 + 4 + 3 + 3


def test_devices_and_threads(here, run, inside, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert run("propagate", "many", "--out", "a", "--model", "tiny", "--devices", "cpu,cpu:0", "--dtype", "float32")[0] == 0
    assert run(*many("--workers", "3"))[0] == 0
    (jobs, _, threads), (others, _, fewer) = inside
    assert [job.load.keywords["device"] for job in jobs] == ["cpu", "cpu:0"] and threads == 4
    assert [job.load.keywords["device"] for job in others] == ["cpu"] * 3 and fewer == 2
    assert all(job.load.keywords["dtype"] == "float32" for job in jobs)


def test_a_folder_of_images_is_still_one_video(here, run):
    assert run("propagate", "many/bee", "--mask", "many/bee.png", *MODEL, "--out", "one")[0] == 0
    assert sorted(os.listdir("one")) == ["masks", "overlay.mp4"]


def test_a_model_that_finds_objects(here, run, inside, monkeypatch):
    monkeypatch.setattr(Segmenter, "finds_objects", property(lambda self: True))
    monkeypatch.setattr(Segmenter, "propagate", lambda self, video, first_mask, masks, **more: alone(video, first_mask, masks))
    given = []

    def alone(video, first_mask, masks):
        given.append((first_mask, masks))
        found = vos_zoo.MaskSequence(SIZE)
        found.append(torch.ones(SIZE, dtype=torch.uint8).numpy())
        return found

    write_video(Path("many/eel.mp4"))
    code, out, _ = run(*many())
    assert code == 0 and out.startswith("tiny on cpu: 4 of 4 clips done") and given == [(None, None)] * 4
    assert "leave --direction and --finetune out" in run(*many("--finetune", "--overwrite"))[2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["many", "--mask", "many/ant.png"], ["--mask is for one video, and many holds many", "--masks-dir FOLDER or a manifest"]),
        (["many", "--masks", "many/cat/masks"], ["--masks is for one video, and many holds many"]),
        (["many", "--masks-dir", "none"], ["--masks-dir: there is no folder none"]),
        (["many", "--save", "paint"], ["--save does not know 'paint'"]),
        (["many", "--out", "many"], ["the results can't go among the clips in many"]),
        (["many", "--out", "many/ant.png"], ["many/ant.png is a file, and the results need a folder"]),
        (["many", "--devices", "cpu"], ["--devices and --device can't both be given"]),
        (["many", "--workers", "0"], ["'0' is not a whole number of 1 or more"]),
        (["many", "--size", "4"], ["size 4 is too small"]),
        (["many", "--finetune", "0"], ["--finetune is a number of training steps, 1 or more, not 0"]),
        (["many", "--direction", "backward"], ["3 problems", "--direction backward has nothing to go back to", "Nothing was done."]),
        (["many/ant.mp4", "--mask", "many/ant.png", "--workers", "2"], ["--workers is for many clips, and many/ant.mp4 is no folder"]),
        (["many/ant.mp4", "--mask", "many/ant.png", "--out", "s3://a/b"], ["one video go to a folder here, not to s3://a/b"]),
        (["many/cat"], ["many/cat is one clip, with frames/ in it: give vos-zoo propagate many/cat/frames"]),
        (["empty"], ["empty holds nothing: neither the images of one video nor"]),
        (["bad.csv"], ["bad.csv does not begin with the names of its columns"]),
        (["good.csv", "--masks-dir", "many"], ["--masks-dir is for a folder of clips; a manifest has a column mask"]),
    ],
)
def test_wrong_input_is_told_before_any_work(here, run, inside, arguments, says):
    Path("empty").mkdir()
    Path("bad.csv").write_text("ant.mp4,ant.png\n")
    Path("good.csv").write_text("video,mask\nmany/ant.mp4,many/ant.png\n")
    before = sorted(os.listdir())
    code, out, err = run("propagate", *MODEL, *arguments)
    assert (code, out, inside) == (2, "", []) and "Traceback" not in err
    for part in says:
        assert part in err
    assert sorted(os.listdir()) == before, "nothing is written"


def test_without_ray(here, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    code, _, err = run(*many("--ray", "local"))
    assert code == 2 and "--ray needs the package ray" in err and "pip install 'ray[data]'" in err


def test_a_folder_that_another_run_writes_to(here, run, inside):
    pytest.importorskip("fcntl", reason="locks of POSIX")
    other = Folder(Path("out"))
    other.begin()
    code, _, err = run(*many())
    assert code == 2 and "another run is writing to out" in err and inside == []
    other.end()


def test_a_video_that_is_refused_midway_leaves_nothing(here, run, inside, monkeypatch):
    def cut(self, *args, **more):
        raise VideoError("the file is cut off")

    monkeypatch.setattr(Segmenter, "propagate", cut)
    code, out, _ = run(*many())
    assert (
        code == 1 and out.startswith("tiny: 0 of 3 clips done\n3 clips failed:") and sorted(os.listdir("out")) == ["jobs.jsonl", "run.json"]
    )


def test_a_benchmark_and_its_submission(here, run, inside):
    write_valid(Path("MOSE/valid"))
    code, out, err = run("propagate", "mose:MOSE", "--subset", "valid", "--out", "out", "--submission", "one.zip", *MODEL)
    assert (code, err) == (0, "submission: one.zip\n") and "2 of 2 clips done" in out
    code, out, err = run("evaluate", "--dataset", "mose:MOSE", "--submission", "two.zip", "--no-progress", *MODEL)
    assert code == 0 and out == ("nothing is scored: 2 of 2 clips have no true masks but those that are given\nsubmission: two.zip\n")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    assert vos_zoo.MaskSequence.load("out/b/masks").object_ids == (1, 3)
    (here / "out/a/masks/00003.png").unlink()
    code, out, err = run("propagate", "mose:MOSE", "--subset", "valid", "--out", "out", "--submission", "one.zip", *MODEL)
    assert code == 2 and "no mask of 1 of 6 frames, the first out/a/masks/00003.png" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("many", "--submission", "s.zip"), "--subset and --submission are for a benchmark"),
        (("mose:MOSE", "--submission", "s.zip", "--save", "zip"), "--save with masks or none"),
        (("mose:MOSE", "--masks-dir", "many"), "a benchmark has its own masks"),
        (("mose:nowhere",), "there is no folder nowhere"),
    ],
)
def test_benchmarks_that_make_no_sense(here, run, inside, arguments, says):
    write_valid(Path("MOSE"))
    code, _, err = run("propagate", *arguments, *MODEL)
    assert code == 2 and says in err and not inside
