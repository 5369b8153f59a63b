"""The command line: what it writes, what it prints, its exit codes, and one sentence for every wrong input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vos_zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig
from vos_zoo.cli import main
from vos_zoo.errors import SaveError, VideoError
from vos_zoo.segmenter import Segmenter
from vos_zoo.videos.video import open_video
from vos_zoo.videos.writer import VideoWriter

SIZE = (48, 64)
FRAMES = 6
POINTER_HERE = any(row.has_weights for row in vos_zoo.list_models("pointer"))
ARGS = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}


def clip_frames() -> np.ndarray:
    """(T, H, W, 3): a red square on noise, four pixels further right in every frame."""
    frames = np.random.default_rng(0).integers(90, 160, (FRAMES, *SIZE, 3), dtype=np.uint8)
    for t in range(FRAMES):
        frames[t, 10:30, 8 + 4 * t : 28 + 4 * t] = (200, 40, 30)
    return frames


def write_mask(path: Path, size: tuple[int, int] = SIZE, left: int = 8) -> None:
    mask = np.zeros(size, np.uint8)
    mask[10:30, left : left + 20] = 255
    Image.fromarray(mask).save(path)


def write_clip(path: Path) -> None:
    with VideoWriter(path, fps=10, size=SIZE) as writer:
        for frame in clip_frames():
            writer.write(frame)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with clip.mp4, frames/, mask.png and tiny/, a checkpoint with random weights."""
    folder = tmp_path_factory.mktemp("made")
    write_clip(folder / "clip.mp4")
    (folder / "frames").mkdir()
    for t, frame in enumerate(clip_frames()):
        Image.fromarray(frame).save(folder / "frames" / f"shot{t}.png")
    write_mask(folder / "mask.png")
    torch.manual_seed(8)
    config = ModelConfig(name="tiny", architecture="CRVOS", model_args=ARGS)
    vos_zoo.create(config, device="cpu", dtype="float32").save_pretrained(folder / "tiny", dtype=None)
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A working directory of its own, with links to what `made` holds."""
    for name in ("clip.mp4", "frames", "mask.png", "tiny"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
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


def propagate(*more: object) -> tuple[object, ...]:
    return "propagate", "clip.mp4", "--mask", "mask.png", "--model", "tiny", "--device", "cpu", "--dtype", "float32", *more


def masks_of(source: object, **options: object) -> np.ndarray:
    segmenter = vos_zoo.load("tiny", device="cpu", dtype="float32")
    given = None if "masks" in options else "mask.png"
    return np.asarray(segmenter.propagate(source, given, progress=False, **options))


def frame_count(path: str) -> int:
    return open_video(path).count()


# ---- list, info


def test_list_has_a_line_a_model(run):
    code, out, err = run("list")
    header, *lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines] == [row.name for row in catalogue.rows()]
    for row, line in zip(catalogue.rows(), lines, strict=True):
        assert line[header.index("MODEL") :].startswith(row.architecture)
        assert line[header.index("DESCRIPTION") :] == row.description


def test_list_by_pattern(run):
    assert [row["name"] for row in json.loads(run("list", "crvos-*", "--json")[1])] == ["crvos-resnet18", "crvos-resnet50", "crvos-stills"]
    assert {row["name"]: row["architecture"] for row in json.loads(run("list", "--json")[1])}["crvos"] == "CRVOS"


def test_list_that_finds_nothing_says_what_there_is(run):
    code, out, err = run("list", "crvoss")
    assert (code, out) == (0, "")
    assert "no model matches 'crvoss'. Did you mean 'crvos'" in err and ", ".join(catalogue.names()) in err
    assert json.loads(run("list", "zz*", "--json")[1]) == []


def test_info(here, run):
    code, out, _ = run("info", "tiny")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert (facts["name"], facts["architecture"], facts["weights"]) == ("tiny", "CRVOS", "here")
    assert facts["parameters"] == f"{sum(p.numel() for p in vos_zoo.load('tiny').model.parameters()):,}"
    assert facts["input"] == "the video's own size" and "backbone=resnet10t" in facts["arguments"]


def test_info_as_json(here, run):
    info = json.loads(run("info", "tiny", "--json", "--dtype", "float32", "--device", "cpu")[1])
    assert (info["name"], info["device"], info["dtype"], info["has_weights"]) == ("tiny", "cpu", "float32", True)
    assert info["model_args"]["reduced"] == [8, 8, 8]


def test_info_of_a_model_without_weights(run, tmp_path, monkeypatch):
    entry = tmp_path / "configs" / "bare"
    entry.mkdir(parents=True)
    config = ModelConfig(name="bare", architecture="CRVOS", model_args=ARGS, paper={"title": "On Bears", "url": "https://bears.example"})
    (entry / "config.json").write_text(config.to_json())
    monkeypatch.setattr(catalogue, "folder", lambda: entry.parent)
    code, out, _ = run("info", "bare")
    assert code == 0
    assert "none yet: this model has to be trained or converted" in out and "On Bears https://bears.example" in out
    code, _, err = run("info", "baer")
    assert code == 2 and "no model is called 'baer'. Did you mean 'bare'?" in err


def test_info_prints_measured_scores(here, run, made, tmp_path):
    scored = tmp_path / "scored"
    shutil.copytree(made / "tiny", scored)
    config = json.loads((scored / "config.json").read_text())
    config["metrics"] = [{"dataset": "DAVIS-2016", "split": "val", "J&F": 71.5, "command": "vos-zoo evaluate ..."}]
    (scored / "config.json").write_text(json.dumps(config))
    assert "DAVIS-2016 val: J&F 71.5\n             by: vos-zoo evaluate ..." in run("info", "scored")[1]


# ---- propagate


@pytest.mark.skipif(not POINTER_HERE, reason="the weights of pointer are not here")
def test_info_of_a_model_that_points(run):
    code, out, _ = run("info", "pointer")
    assert code == 0 and "masks of clicks, boxes and scribbles" in out and "those of crvos-stills" in out and "NoC@85" in out


def test_masks_and_overlay_in_a_folder_named_after_the_video(here, run):
    code, out, err = run(*propagate())
    assert (code, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith("tiny on cpu: 6 frames, 1 object, ") and first.endswith(" frames per second")
    assert rest[-3:-1] == ["masks:        clip_masks/masks", "overlay:      clip_masks/overlay.mp4"]
    assert rest[-1].startswith("next:         vos-zoo ") and "clip.mp4" in rest[-1]
    masks = vos_zoo.MaskSequence.load("clip_masks/masks")
    np.testing.assert_array_equal(np.asarray(masks), masks_of("clip.mp4"))
    assert (masks.object_ids, masks.fps) == ((1,), 10)
    assert sorted(os.listdir("clip_masks/masks")) == [*(f"{t:05d}.png" for t in range(FRAMES)), "sequence.json"]
    with open_video("clip_masks/overlay.mp4") as overlay:
        assert (overlay.count(), overlay.height, overlay.width, overlay.fps) == (FRAMES, *SIZE, 10)


def test_a_mask_in_any_colours_is_numbered_on_request_and_told(here, run):
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[8:24, 10:30], picture[30:36, 40:50] = (250, 100, 7), (9, 200, 120)
    Image.fromarray(picture).save("coloured.png")
    command = ("propagate", "clip.mp4", "--mask", "coloured.png", "--model", "tiny", "--save", "masks", "--no-progress")
    code, _, err = run(*command)
    assert code == 2 and "--colours" in err
    code, _, err = run(*command, "--colours")
    assert (code, err.splitlines()[0]) == (0, "vos-zoo: object 1 is #fa6407, object 2 is #09c878")
    labels = (picture[..., 0] == 250) + 2 * (picture[..., 0] == 9)
    np.testing.assert_array_equal(vos_zoo.MaskSequence.load("clip_masks/masks")[0], labels)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    Image.fromarray(noise).save("coloured.png")
    assert "one colour an object and sharp edges" in run(*command, "--colours", "--overwrite")[2]
    assert "--colours says how --mask is to be read" in run("propagate", "clip.mp4", "--point", "3,3", "--colours")[2]


def test_finetuning_and_augmentation_are_those_of_propagate(here, run):
    code, _, err = run(*propagate("--finetune", "2", "--tta", "flip", "--save", "masks", "--no-progress"))
    assert (code, err) == (0, "")
    found = np.asarray(vos_zoo.MaskSequence.load("clip_masks/masks"))
    np.testing.assert_array_equal(found, masks_of("clip.mp4", finetune=2, tta="flip"))


def test_json(here, run):
    code, out, err = run(*propagate("--json", "--out", "there", "--no-progress"))
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert list(result) == [
        "model",
        "device",
        "frames",
        "object_ids",
        "seconds",
        "frames_per_second",
        "interrupted",
        "lost",
        "files",
    ]
    assert (result["model"], result["frames"], result["object_ids"], result["interrupted"]) == ("tiny", FRAMES, [1], False)
    assert result["files"] == {"masks": "there/masks", "overlay": "there/overlay.mp4"}
    lost = vos_zoo.MaskSequence.load("there/masks").lost[:, 0]
    assert result["lost"] == {"1": lost.nonzero()[0].tolist()}
    assert result["frames_per_second"] == pytest.approx(FRAMES / result["seconds"], rel=0.1)


def test_every_form(here, run):
    forms = ["masks", "overlay", "side-by-side", "mask-video", "cutouts", "zip", "coco"]
    code, out, _ = run(*propagate("--json", "--save", ", ".join([*forms, "zip"])))
    files = json.loads(out)["files"]
    assert code == 0 and list(files) == forms
    assert sorted(os.listdir("clip_masks")) == sorted(Path(path).name for path in files.values())
    assert {form: frame_count(files[form]) for form in ("overlay", "side-by-side", "mask-video", "cutouts")} == {
        "overlay": FRAMES,
        "side-by-side": FRAMES,
        "mask-video": FRAMES,
        "cutouts": FRAMES,
    }
    assert open_video(files["side-by-side"]).width == 2 * SIZE[1]
    with zipfile.ZipFile(files["zip"]) as archive:
        assert sorted(archive.namelist()) == sorted(os.listdir(files["masks"]))
    assert len(json.loads(Path(files["coco"]).read_text())["images"]) == FRAMES
    assert Image.open(Path(files["cutouts"]) / "00000.png").mode == "RGBA"


@pytest.mark.parametrize("form", ["masks", "zip"])
def test_only_what_is_asked_for_is_written(here, run, form):
    assert run(*propagate("--save", form, "--out", "deep/er"))[0] == 0
    assert [path.stem for path in Path("deep/er").iterdir()] == ["masks"]


def test_a_folder_of_images_keeps_its_names(here, run):
    code, out, _ = run("propagate", "frames/", "--mask", "mask.png", "--model", "tiny", "--save", "masks")
    assert code == 0 and "frames_masks/masks" in out
    assert sorted(os.listdir("frames_masks/masks")) == ["sequence.json", *(f"shot{t}.png" for t in range(FRAMES))]


@pytest.mark.parametrize(("given", "size"), [("32", 32), ("32x64", (32, 64)), ("native", "native")])
def test_the_size_inside_the_model(here, run, given, size):
    assert run(*propagate("--save", "masks", "--size", given))[0] == 0
    np.testing.assert_array_equal(np.asarray(vos_zoo.MaskSequence.load("clip_masks/masks")), masks_of("clip.mp4", size=size))


def test_the_sizes_differ():
    """So that the test before this one means something."""
    torch.manual_seed(8)
    segmenter = vos_zoo.create(ModelConfig(name="tiny", architecture="CRVOS", model_args=ARGS), device="cpu", dtype="float32")
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 8:28] = 1
    results = [np.asarray(segmenter.propagate(clip_frames(), mask, size=size)) for size in (32, (32, 64), "native")]
    assert len({result.tobytes() for result in results}) == 3


def test_masks_of_several_frames_in_both_directions(here, run):
    Path("given").mkdir()
    for t in (1, 4):
        write_mask(Path(f"given/{t}.png"), left=8 + 4 * t)
    arguments = "propagate", "clip.mp4", "--masks", "given", "--model", "tiny", "--dtype", "float32", "--device", "cpu", "--save", "masks"
    assert run(*arguments, "--direction", "both")[0] == 0
    found = np.asarray(vos_zoo.MaskSequence.load("clip_masks/masks"))
    np.testing.assert_array_equal(found, masks_of("clip.mp4", masks="given", direction="both"))
    assert found[1, 10:30, 12:32].all() and found[4, 10:30, 24:44].all()
    code, out, _ = run(*arguments, "--direction", "backward", "--overwrite", "--json")
    assert code == 0 and json.loads(out)["frames"] == 5


def test_a_mask_of_another_size_can_be_resized(here, run):
    write_mask(Path("large.png"), size=(96, 128))
    code, _, err = run("propagate", "clip.mp4", "--mask", "large.png", "--model", "tiny", "--resize-mask", "--save", "masks")
    assert (code, err) == (0, "")
    assert vos_zoo.MaskSequence.load("clip_masks/masks").size == SIZE


def test_overwrite_replaces_results(here, run):
    assert run(*propagate())[0] == 0
    before = Path("clip_masks/overlay.mp4").stat().st_mtime_ns
    assert run(*propagate())[0] == 2
    assert Path("clip_masks/overlay.mp4").stat().st_mtime_ns == before
    assert run(*propagate("--overwrite"))[0] == 0
    assert Path("clip_masks/overlay.mp4").stat().st_mtime_ns > before


def test_an_empty_folder_may_be_there_already(here, run):
    Path("empty").mkdir()
    assert run(*propagate("--out", "empty", "--save", "masks"))[0] == 0


def test_example_prints_scores(here, run, monkeypatch):
    monkeypatch.setattr("vos_zoo.commands.propagate.EXAMPLE_SIZE", SIZE)
    code, out, _ = run("propagate", "--example", "--model", "tiny", "--json", "--save", "masks,overlay")
    result = json.loads(out)
    assert code == 0 and result["frames"] == 60
    assert 0 <= result["J"] <= 100 and 0 <= result["F"] <= 100
    assert frame_count("vos_zoo_example/overlay.mp4") == 60
    code, out, _ = run("propagate", "--example", "--model", "tiny", "--save", "masks")
    assert code == 0, "the example may be run again"
    assert f"against the exact masks: J {result['J']}, F {result['F']} (of 100)" in out


CLIP = ["clip.mp4", "--mask", "mask.png"]


@pytest.mark.parametrize("words, model", [(["--example"], "crvos-resnet18"), (["--example", "--model", "scm"], "scm"), (CLIP, "crvos")])
def test_the_model_unless_it_is_said(here, words, model, monkeypatch):
    class Asked(Exception):
        pass

    def load_model(args):
        raise Asked(args.model)

    monkeypatch.setattr("vos_zoo.commands.propagate.load_model", load_model)
    with pytest.raises(Asked, match=f"^{model}$"):
        main(["propagate", *words])


def test_the_example_replaces_nothing_in_a_folder_of_the_users(here, run):
    Path("mine").mkdir()
    Path("mine/overlay.mp4").write_text("dear to me")
    code, _, err = run("propagate", "--example", "--model", "tiny", "--out", "mine")
    assert code == 2 and "mine is there already and not empty" in err
    assert Path("mine/overlay.mp4").read_text() == "dear to me"


def test_a_video_that_ends_early_is_kept_as_far_as_it_goes(here, run, made):
    whole = (made / "clip.mp4").read_bytes()
    Path("cut.mp4").write_bytes(whole[: int(len(whole) * 0.66)])
    code, out, err = run("propagate", "cut.mp4", "--mask", "mask.png", "--model", "tiny", "--json")
    done = json.loads(out)["frames"]
    assert code == 0 and 1 <= done < FRAMES
    assert f"vos-zoo: warning: cut.mp4: {done} of about {FRAMES} frames could be decoded" in err
    assert err.count("warning") == 1, "once, though the file is read again for the overlay"
    assert frame_count("cut_masks/masks") == done


def test_the_warnings_of_others_are_left_alone(here, run):
    before = warnings.showwarning
    run("list")
    assert warnings.showwarning is before


# ---- ended early


def interrupt_at(monkeypatch, index: int, error: BaseException) -> None:
    """Reading frame `index` raises."""
    plain = type(open_video("clip.mp4")).__iter__

    def frames(self):
        for t, frame in enumerate(plain(self)):
            if t == index:
                raise error
            yield frame

    monkeypatch.setattr("vos_zoo.videos.video.Video.__iter__", frames)


def test_ctrl_c_saves_what_is_done(here, run, monkeypatch):
    whole = masks_of("clip.mp4")
    interrupt_at(monkeypatch, 4, KeyboardInterrupt())
    code, out, err = run(*propagate("--json", "--save", "masks,zip"))
    assert code == 130
    assert err == "vos-zoo: ended early; 4 finished frames saved in clip_masks\nvos-zoo: interrupted\n"
    assert json.loads(out)["interrupted"] is True and json.loads(out)["frames"] == 4
    masks = vos_zoo.MaskSequence.load("clip_masks/masks")
    np.testing.assert_array_equal(np.asarray(masks), whole[:4])
    assert masks.complete


def test_ctrl_c_on_a_folder_writes_no_masks_of_frames_not_done(here, run, monkeypatch):
    interrupt_at(monkeypatch, 2, KeyboardInterrupt())
    code, _, err = run("propagate", "frames", "--mask", "mask.png", "--model", "tiny", "--save", "masks")
    assert code == 130 and "2 finished frames saved in frames_masks" in err
    assert sorted(os.listdir("frames_masks/masks")) == ["sequence.json", "shot0.png", "shot1.png"]


def test_ctrl_c_before_the_first_frame(here, run, monkeypatch):
    interrupt_at(monkeypatch, 0, KeyboardInterrupt())
    assert run("propagate", "frames", "--mask", "mask.png", "--model", "tiny") == (130, "", "vos-zoo: interrupted\n")
    assert not Path("frames_masks").exists()


def test_an_error_midway_saves_what_is_done(here, run, monkeypatch):
    interrupt_at(monkeypatch, 3, VideoError("frame 3 is 32x32, the others are 64x48: give frames of one size"))
    code, _, err = run(*propagate("--save", "masks"))
    assert code == 2
    assert err.splitlines() == [
        "vos-zoo: ended early; 3 finished frames saved in clip_masks",
        "vos-zoo: frame 3 is 32x32, the others are 64x48: give frames of one size",
    ]
    assert len(vos_zoo.MaskSequence.load("clip_masks/masks")) == 3


def test_an_unexpected_failure_is_not_hidden(here, monkeypatch):
    interrupt_at(monkeypatch, 3, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main([str(each) for each in propagate("--save", "masks")])
    assert len(vos_zoo.MaskSequence.load("clip_masks/masks")) == 3


def test_when_one_form_fails_the_others_are_named(here, run, monkeypatch):
    def full(self, path, *rest, **more):
        raise SaveError(f"can't save {path}: No space left on device; the disk is full: free some space or save elsewhere")

    monkeypatch.setattr(vos_zoo.MaskSequence, "save_video", full)
    code, out, err = run(*propagate())
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "vos-zoo: not everything could be written, but this was: clip_masks/masks"
    assert "can't save clip_masks/overlay.mp4: No space left on device; the disk is full" in err
    assert len(vos_zoo.MaskSequence.load("clip_masks/masks")) == FRAMES


MIDWAY = """
import sys
from vos_zoo.cli import main
from vos_zoo.engine.session import Session
plain, calls = Session.run, []
def run(self, *arguments):
    calls.append(1)
    if len(calls) == 3:
        print("midway", flush=True)
        sys.stdin.readline()
    return plain(self, *arguments)
Session.run = run
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_real_signal(here, number, status):
    """A process of its own, which waits in frame 3 until the signal has come."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vos_zoo.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MIDWAY, *map(str, propagate("--save", "masks"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        assert process.stdout.readline() == "midway\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=600)
    assert process.returncode == status
    assert "3 finished frames saved in clip_masks" in err and "Traceback" not in err
    assert "masks:        clip_masks/masks" in out
    assert len(vos_zoo.MaskSequence.load("clip_masks/masks")) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="pipes close another way there")
@pytest.mark.parametrize("arguments", [["list"], ["propagate", "--help"]], ids=" ".join)
def test_a_reader_that_goes_away(arguments):
    code = f"import sys, vos_zoo.cli\nsys.exit(vos_zoo.cli.main({arguments}))"
    environment = {**os.environ, "PYTHONPATH": str(Path(vos_zoo.__file__).parent.parent)}
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, env=environment)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


# ---- wrong input


def no_work(*more: object) -> tuple[object, ...]:
    return "propagate", "clip.mp4", "--mask", "mask.png", "--model", "tiny", *more


def audio_only(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["propagate"], ["which video?", "vos-zoo propagate VIDEO --point X,Y", "--example"]),
        (["propagate", "clip.mp4"], ["which objects?", "vos-zoo propagate clip.mp4 --point X,Y", "--mask first.png"]),
        (["propagate", "clpi.mp4", "--mask", "mask.png", "--model", "tiny"], ["no file or folder 'clpi.mp4'", "did you mean 'clip.mp4'?"]),
        (["propagate", "text.mp4", "--mask", "mask.png", "--model", "tiny"], ["text.mp4", "no video, or a damaged one", "check the file"]),
        (["propagate", "sound.mp4", "--mask", "mask.png", "--model", "tiny"], ["sound.mp4", "sound"]),
        (["propagate", "mask.png", "--mask", "mask.png", "--model", "tiny"], ["is a single image", "give the folder of the frames"]),
        (["propagate", "clip.mp4", "--mask", "nope.png", "--model", "tiny"], ["the mask nope.png: no such file", "Check the path"]),
        (["propagate", "clip.mp4", "--mask", "large.png", "--model", "tiny"], ["large.png is 128x96 but the video 64x48", "--resize-mask"]),
        (["propagate", "clip.mp4", "--mask", "black.png", "--model", "tiny"], ["black.png holds no object", "every pixel is background"]),
        (["propagate", "clip.mp4", "--mask", "soft.png", "--model", "tiny"], ["soft.png"]),
        (["propagate", "clip.mp4", "--masks", "none", "--model", "tiny"], ["the folder of masks none does not exist"]),
        (
            ["propagate", "clip.mp4", "--mask", "mask.png", "--masks", "given", "--model", "tiny"],
            ["frame 0 has two masks, --mask"],
        ),
        (["propagate", "clip.mp4", "--mask", "mask.png", "--model", "crvso"], ["no model is called 'crvso'", "Did you mean 'crvos'"]),
        (["propagate", "clip.mp4", "--mask", "mask.png", "--model", "./tinny"], ["no folder 'tinny'", "config.json"]),
        (no_work("--save", "masks,overly"), ["--save does not know 'overly'", "choose from masks, overlay, side-by-side"]),
        (no_work("--save", ","), ["--save does not know what to write", "coco"]),
        (no_work("--out", "taken"), ["taken is there already and not empty", "another --out, or add --overwrite"]),
        (no_work("--out", "mask.png"), ["mask.png is a file, and the results need a folder", "choose another --out"]),
        (no_work("--out", "mask.png/deeper"), ["nothing can be written to mask.png/deeper", "is a file", "choose another --out"]),
        (no_work("--size", "4"), ["size 4 is too small", "at least 16 pixels"]),
        (no_work("--size", "large"), ["'large' is neither a shorter side (480), HEIGHTxWIDTH (480x854) nor 'native'"]),
        (no_work("--size", "1x2x3"), ["'1x2x3' is neither"]),
        (no_work("--dtype", "float8"), ["invalid choice: 'float8'", "bfloat16"]),
        (no_work("--device", "tpu"), ["device 'tpu' can't be used here", "--device auto takes the best"]),
        (no_work("--direction", "backward"), ["--direction backward has nothing to go back to", "--masks"]),
        (
            ["propagate", "rtsp://camera.example/live", "--mask", "mask.png"],
            ["can be read only once", "--save masks, zip or coco"],
        ),
        (
            ["propagate", "clip.mp4", "--example"],
            ["--example brings its own video and mask", "leave VIDEO, --mask, --masks and --point out"],
        ),
        (["propagate", "--example", "--mask", "mask.png"], ["--example brings its own video and mask"]),
        (["info", "empty"], ["the folder empty holds no config.json"]),
        (["info", "nobody"], ["no model is called 'nobody'", "Shipped: acclvos"]),
        (["paint"], ["invalid choice: 'paint'"]),
        ([], ["required: COMMAND"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, (list, tuple)) else None,
)
def test_wrong_input_gets_a_sentence_and_exit_code_2(here, run, arguments, says):
    Path("text.mp4").write_text("not a video " * 100)
    write_mask(Path("large.png"), size=(96, 128))
    Image.fromarray(np.zeros(SIZE, np.uint8)).save("black.png")
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))).save("soft.png")
    for folder in ("given", "taken", "empty"):
        Path(folder).mkdir()
    write_mask(Path("given/0.png"))
    Path("taken/something").touch()
    if "sound.mp4" in arguments:
        audio_only(Path("sound.mp4"))
    before = sorted(os.listdir())
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("vos-zoo")]
    assert len(lines) == 1 and lines[0] == err.splitlines()[-1] and "Traceback" not in err
    for part in says:
        assert part in lines[0]
    assert sorted(os.listdir()) == before, "nothing is written"


def test_a_wrong_video_is_told_before_a_model_is_loaded(here, run, monkeypatch):
    monkeypatch.setattr("vos_zoo.zoo.load", lambda *args, **more: pytest.fail("the model was loaded"))
    assert run("propagate", "gone.mp4", "--mask", "mask.png", "--model", "tiny")[0] == 2
    assert run("propagate", "clip.mp4", "--mask", "gone.png", "--model", "tiny")[0] == 2
    assert run(*propagate("--save", "painting"))[0] == 2


def test_a_folder_that_can_not_be_written_to(here, run, monkeypatch):
    Path("locked").mkdir()
    plain = os.access
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "locked" and plain(path, mode))  # root may write everywhere
    code, _, err = run(*propagate("--out", "locked/results"))
    assert code == 2
    assert err == f"vos-zoo: nothing can be written to locked/results, since {here / 'locked'} is read-only: choose another --out\n"


def test_the_password_of_a_stream_names_no_folder(here, run, monkeypatch):
    monkeypatch.setattr("vos_zoo.videos.video.open_video", lambda source, backend: (_ for _ in ()).throw(VideoError("no network")))
    arguments = "--mask", "mask.png", "--model", "tiny", "--save", "masks"
    Path("live_masks").mkdir()
    Path("live_masks/older").touch()
    assert "live_masks is there already" in run("propagate", "rtsp://me:secret@camera.example/live", *arguments)[2]
    assert "secret" not in run("propagate", "rtsp://me:secret@camera.example", *arguments)[2]


# ---- evaluate


@pytest.fixture
def dataset(here):
    """data/<clip>/frames and masks, two clips."""
    for name in ("bear", "cow"):
        for t, frame in enumerate(clip_frames()):
            for part in ("frames", "masks"):
                Path("data", name, part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(f"data/{name}/frames/{t:05d}.png")
            write_mask(Path(f"data/{name}/masks/{t:05d}.png"), left=8 + 4 * t)
    return here


def test_evaluate_a_model(dataset, run):
    arguments = "evaluate", "--model", "tiny", "--dataset", "folder:data", "--dtype", "float32"
    code, out, err = run(*arguments, "--json", "scores.json", "--csv", "scores.csv", "--save-masks", "saved")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["clip", "object", "frames", "J&F", "J", "F"]
    assert [line.split()[0] for line in lines[1:4]] == ["bear", "cow", "mean"]
    assert "frames per second" in lines[-1]
    assert [line.split(":")[0] for line in err.splitlines()] == ["1/2 bear", "2/2 cow"]
    scores = json.loads(Path("scores.json").read_text())
    assert [row["clip"] for row in scores["objects"]] == ["bear", "cow"]
    with open("scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["j_mean"]) == pytest.approx(scores["objects"][0]["j"]["mean"], abs=1e-6)
    assert len(vos_zoo.MaskSequence.load("saved/cow")) == FRAMES

    code, again, _ = run("evaluate", "--results", "saved", "--dataset", "folder:data")
    assert code == 0 and again.splitlines() == lines[:4]


def test_evaluate_some_clips_quietly(dataset, run):
    code, out, err = run("evaluate", "--model", "tiny", "--dataset", "folder:data", "--only", "c*", "--no-progress", "--size", "32")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["cow", "mean"]


def test_results_that_are_right_score_100(dataset, run):
    for name in ("bear", "cow"):
        shutil.copytree(f"data/{name}/masks", f"mine/{name}")
    out = run("evaluate", "--results", "mine", "--dataset", "folder:data")[1]
    assert out.splitlines()[3].split()[-3:] == ["100.0", "100.0", "100.0"]


def test_an_interrupted_evaluation_keeps_the_clips_done(dataset, run, monkeypatch):
    plain, calls = Segmenter.propagate, []

    def once(self, *args, **more):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(self, *args, **more)

    monkeypatch.setattr(Segmenter, "propagate", once)
    code, out, _ = run("evaluate", "--model", "tiny", "--dataset", "folder:data", "--json", "scores.json")
    assert code == 130 and "interrupted: 1 done, the means are over those" in out
    assert json.loads(Path("scores.json").read_text())["interrupted"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], ["what is to be scored? Give either --model NAME or --results FOLDER"]),
        (["--model", "tiny", "--results", "saved"], ["what is to be scored?", "not both"]),
        (["--results", "saved", "--size", "480"], ["--size, --tta, --finetune and --save-masks are for --model"]),
        (["--results", "gone"], ["there is no folder gone"]),
        (["--model", "tiny", "--only", "dog"], ["no clip of 'folder:data' is called 'dog'", "there are: bear, cow"]),
        (["--model", "tiny", "--save-masks", "data"], ["data is there already: give --save-masks an empty or new folder"]),
        (["--model", "crvso"], ["Did you mean 'crvos'"]),
        (["--model", "tiny", "--dataset", "davis2016:data"], ["data has no ImageSets/2016/val.txt", "or use the layout 'folder'"]),
        (["--model", "tiny", "--dataset", "data"], ["'data' is not LAYOUT:ROOT"]),
    ],
)
def test_wrong_evaluations(dataset, run, arguments, says):
    Path("saved").mkdir()
    code, out, err = run("evaluate", "--dataset", "folder:data", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("vos-zoo: ") and err.count("\n") == 1
    for part in says:
        assert part in err
