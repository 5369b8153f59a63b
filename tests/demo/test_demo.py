"""The page without a browser: its parts, and its endpoint called by programs, in good and in bad ways."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import socket
import struct
import sys
import time
import weakref
import zipfile
import zlib
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import demo_page
import numpy as np
import pytest
from demo_page import FRAMES, SIZE, scene, turn_upright, write_clip, write_mask, write_sound
from PIL import Image
from pointing_toy import toy_pointer

import vos_zoo
from vos_zoo.cli import main
from vos_zoo.commands import demo as command
from vos_zoo.errors import MaskError, VideoError, VosZooError

app = demo_page.app()

from studio import cards, clips, drawing, extras, follow, limits, line, looks, marks, results, storage, summary  # noqa: E402
from studio.choices import Choices  # noqa: E402
from studio.examples import EXAMPLES  # noqa: E402
from studio.pointing import Answers  # noqa: E402
from studio.returns import Returns  # noqa: E402
from studio.speed import Speed, in_words, range_in_words  # noqa: E402
from studio.visit import Visit  # noqa: E402

LIMITS = limits.Limits()


@pytest.fixture(scope="module")
def clip(place):
    return clips.open_clip(write_clip(place / "clip.mp4"), LIMITS)


@pytest.fixture(scope="module")
def first(place):
    return write_mask(place / "first.png", scene()[1][0])


def outcome(steps):
    *_, last = steps
    return last


# Clips


def test_a_clip_is_looked_at_before_it_is_taken(place, clip):
    assert (clip.size, clip.frames, clip.fps, clip.cut, clip.name) == (SIZE, FRAMES, 10, False, "clip.mp4")
    assert clips.open_clip(clip.path, limits.Limits(frames=5)).frames == 5 and clips.open_clip(clip.path, limits.Limits(frames=5)).cut
    upright = clips.open_clip(turn_upright(write_clip(place / "phone.mp4")), LIMITS)
    assert upright.size == SIZE[::-1]


@pytest.mark.parametrize(
    ("make", "limit", "message"),
    [
        (lambda path: path.write_text("no video\n" * 99), LIMITS, "read odd.mp4 as a video: it is no video"),
        (write_sound, LIMITS, "odd.mp4.* only sound"),
        (lambda path: write_clip(path, (64, 130)), limits.Limits(side=128), "130 x 64 pixels, more than the 128 a side"),
        (lambda path: path.write_bytes(b"0" * 1_100_000), limits.Limits(megabytes=1), "odd.mp4 has 1 MB, more than the 1 that"),
        (lambda path: None, LIMITS, "deleted after 60 minutes. Upload it again"),
    ],
)
def test_a_clip_that_does_not_do_is_refused_in_words(tmp_path, make, limit, message):
    make(tmp_path / "odd.mp4")
    with pytest.raises(VideoError, match=message) as refused:
        clips.open_clip(tmp_path / "odd.mp4", limit)
    assert str(tmp_path) not in str(refused.value)


def test_scrubbing_gives_each_frame_in_any_order(clip):
    frames = list(vos_zoo.open_video(clip.path))
    scrubber = clips.Scrubber(clip)
    for index in (3, 5, 1, 1, 7, 0):
        at, frame = scrubber.frame(index)
        assert at == index and np.array_equal(frame, frames[index])
    longer = clips.Scrubber(clips.Clip(clip.path, *clip.size, clip.fps, 30, False))
    assert longer.frame(20)[0] == FRAMES - 1 and longer.clip.frames == FRAMES


# Marks


def test_runs_bring_a_drawing_back():
    labels = np.random.default_rng(0).integers(0, 7, (9, 13)).astype(np.uint8)
    assert np.array_equal(marks.decode_runs(marks.encode_runs(labels), 9, 13), labels)


@pytest.mark.parametrize("runs", [None, "abc", [117], [116, 1], [-3, 1, 120, 0], [117, 9], [[117, 1]], [float("nan"), 1], {"a": 1}])
def test_nonsense_is_no_drawing(runs):
    value = {"frame": 0, "height": 9, "width": 13, "touched": [1], "runs": runs}
    if runs == [[117, 1]]:
        assert marks.Drawing.read(value) is not None  # the same pairs, written differently
        return
    with pytest.raises(ValueError, match="the drawing can't be read"):
        marks.Drawing.read(value)


@pytest.mark.parametrize(
    "change", [{"frame": -1}, {"height": "x"}, {"width": 10**9}, {"touched": [99]}, {"touched": ["a"]}, {"touched": 3}]
)
def test_a_drawing_with_odd_particulars_is_refused(change):
    with pytest.raises(ValueError, match="the drawing can't be read"):
        marks.Drawing.read({"frame": 0, "height": 2, "width": 2, "touched": [1], "runs": [4, 1], **change})
    assert marks.Drawing.read(None) is None and marks.Drawing.read({"touched": []}) is None


def drawn(frame: int, labels: np.ndarray, touched: set[int], loaded: set[int] | None = None) -> marks.Mark:
    return marks.Mark(drawing=marks.Drawing(frame, labels, frozenset(touched), frozenset(loaded or ())))


def test_a_drawing_replaces_only_the_objects_it_touches():
    file = np.array([[1, 1, 2, 2], [3, 3, 0, 0]], np.int32)
    labels = np.array([[0, 0, 1, 0], [0, 0, 0, 0]], np.uint8)
    mark = marks.Mark(marks.Mark.of_file(file).file, drawn(0, labels, {1}).drawing)
    assert (mark.objects, mark.gone) == ([1, 2, 3], [])
    given = mark.masks((2, 4))
    assert {k: mask.astype(int).tolist() for k, mask in given.items()} == {
        1: [[0, 0, 1, 0], [0, 0, 0, 0]],
        2: [[0, 0, 0, 1], [0, 0, 0, 0]],
        3: [[0, 0, 0, 0], [1, 1, 0, 0]],
    }


def test_an_object_wiped_away_is_gone_only_where_it_was_known(clip):
    ids = scene()[1]
    nothing = np.zeros(SIZE, np.uint8)
    found = marks.Given({4: drawn(4, nothing, {1, 3}, {1, 3}), 0: drawn(0, ids[0], {1, 2})}, clip)
    assert {frame: sorted(given) for frame, given in found.items()} == {0: [1, 2], 4: [1]}
    assert not found[4][1].any()
    assert drawn(4, nothing, {1, 3}, {1}).gone == [1] and not marks.Given({0: drawn(0, nothing, {1}, {1})}, clip)


def test_a_small_drawing_grows_smoothly():
    disc = np.hypot(*np.mgrid[-20:21, -20:21]) < 15
    grown = marks.enlarge(disc, (410, 410))
    truth = np.hypot(*np.mgrid[-205:205, -205:205]) < 150
    assert (grown & truth).sum() / (grown | truth).sum() > 0.96
    assert np.array_equal(marks.enlarge(disc, disc.shape), disc)


def test_mask_files_find_their_frames(tmp_path, clip):
    ids = scene()[1]
    paths = [str(write_mask(tmp_path / f"take2_{t:05d}.png", ids[t])) for t in (2, 6)]
    found = marks.read_mask_files(paths, clip, 0, LIMITS)
    assert list(found) == [2, 6] and all(np.array_equal(found[t].file[0], ids[t]) for t in found)
    assert list(marks.read_mask_files(paths[:1], clip, 5, LIMITS)) == [5]
    double = np.kron(ids[0], np.ones((2, 2), np.uint8))
    large = marks.read_mask_files([str(write_mask(tmp_path / "large.png", double))], clip, 0, LIMITS)[0]
    assert np.array_equal(large.file[0], ids[0])
    part = vos_zoo.MaskSequence(SIZE, first_frame=2)
    for t in (2, 3):
        part.append(ids[t])
    found = marks.read_mask_files([str(part.save_zip(tmp_path / "masks.zip"))], clip, 0, LIMITS)
    assert list(found) == [2, 3] and np.array_equal(found[3].file[0], ids[3])


@pytest.mark.parametrize(
    ("names", "frame", "message"),
    [
        (["a.png", "b.png"], 0, "a.png does not say which frame it belongs to"),
        (["1.png", "01.png"], 0, "01.png is the second mask for frame 1"),
        (["99.png", "1.png"], 0, "99.png is for frame 99, but the clip's frames are 0 to 7"),
        (["a.png"], -5, "a.png is for frame -5"),
        (["square.png"], 0, "square.png is 50 x 50 pixels and the clip 96 x 64, another shape"),
        (["photo.png"], 0, "photo.png "),
        (["empty.png"], 0, "empty.png holds no object"),
        (["text.png"], 0, "text.png"),
        (["text.zip"], 0, "text.zip can't be read"),
        (["none.zip"], 0, "none.zip holds no masks"),
        (["cut.zip"], 0, "cut.zip can't be read"),
        (["many.zip"], 0, "many.zip holds no masks, more than 4"),
        (["bomb.zip"], 0, "bomb.zip is packed by a method"),
        ([f"{t}.png" for t in range(5)], 0, "these are 5 masks; this page takes up to 4"),
    ],
)
def test_wrong_mask_files_are_refused_in_words(tmp_path, clip, names, frame, message):
    for name in names:
        if name.endswith(".png"):
            write_mask(tmp_path / name, scene()[1][0])
    write_mask(tmp_path / "square.png", np.ones((50, 50), np.uint8))
    write_mask(tmp_path / "empty.png", np.zeros(SIZE, np.uint8))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.zip").write_text("no archive")
    for name, inside in (("none.zip", "readme.txt"), ("cut.zip", "00000.png")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(inside, "no picture")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for t in range(5):
            archive.writestr(f"{t}.png", "no picture")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("00000.png", bytes(1_000_000))
    with pytest.raises(MaskError, match=message) as refused:
        marks.read_mask_files([str(tmp_path / name) for name in names], clip, frame, limits.Limits(marked=4))
    assert str(tmp_path) not in str(refused.value)


# Following


def test_following_equals_propagate_with_late_objects_and_corrections(clip, one):
    ids = scene()[1]
    given = {0: {1: ids[0] == 1}, 3: {2: ids[3] == 2}, 5: {1: ids[5] == 1, 2: np.zeros(SIZE, bool)}}
    steps = list(follow.follow([one], clip, given, backwards=False))
    assert [step.index for step in steps[:-1]] == list(range(FRAMES)) and steps[0].picture is not None
    truth = one.propagate(clip.path, masks=given)
    (masks,) = steps[-1].masks
    assert masks == truth and steps[-1].finished
    assert np.array_equal(masks.lost, truth.lost) and np.allclose(masks.confidence, truth.confidence, equal_nan=True)


def test_frames_before_the_first_mark_are_followed_backwards(clip, one):
    given = {4: {1: scene()[1][4] == 1}}
    (masks,) = outcome(follow.follow([one], clip, given)).masks
    back, on = (one.propagate(clip.path, masks=given, direction=way) for way in ("backward", "forward"))
    assert all(np.array_equal(masks[t], (back if t < 4 else on)[t]) for t in range(FRAMES)) and masks.complete
    (forward,) = outcome(follow.follow([one], clip, given, backwards=False)).masks
    assert forward.computed.tolist() == [t >= 4 for t in range(FRAMES)]
    part = results.Part.of("one", forward)
    assert (part.begin, len(part.masks)) == (4, FRAMES - 4)


def test_each_object_is_followed_back_from_its_own_first_mark(clip, one):
    ids = scene()[1]
    given = {2: {1: ids[2] == 1}, 5: {2: ids[5] == 2}}
    *steps, end = follow.follow([one], clip, given)
    (masks,) = end.masks
    assert masks == one.propagate(clip.path, masks=given, direction="both")
    assert masks.complete and not np.isnan(masks.confidence).any() and len(steps) == steps[0].total == FRAMES - 2 + 5


def test_two_models_follow_side_by_side_as_each_alone(clip, one, choices, models):
    two, given = choices.segmenter(models["two"]), {0: {1: scene()[1][0] == 1}}
    both = outcome(follow.follow([one, two], clip, given)).masks
    assert both == [one.propagate(clip.path, masks=given), two.propagate(clip.path, masks=given)] and both[0] != both[1]


@pytest.fixture
def best(models, monkeypatch):
    monkeypatch.setattr("vos_zoo.train.online.pace", lambda *_: (2, 1e-3))
    return vos_zoo.load(models["one"], quality="best")


def test_the_best_learns_the_marked_frames_first_as_propagate_does(clip, best):
    given = {0: {1: scene()[1][0] == 1}, 3: {2: scene()[1][3] == 2}}
    first, *_, end = follow.follow([best], clip, given)
    assert isinstance(first, follow.Learning)
    assert end.masks == [best.propagate(clip.path, masks=given, direction="both")]


def test_who_stops_while_it_learns_is_told(clip, best, tmp_path):
    (tmp_path / "cancel").touch()
    with pytest.raises(vos_zoo.VosZooError, match="stopped while it learnt the objects, so that nothing has been followed yet"):
        list(follow.follow([best], clip, {0: {1: scene()[1][0] == 1}}, cancel=tmp_path / "cancel"))


def test_the_page_offers_the_qualities_of_crvos_first():
    offered = Choices().offered
    assert [choice.name for choice in offered[:4]] == ["crvos:fast", "crvos", "crvos:best", "rvos-zeroshot"]
    assert [choice.label.split(":")[0] for choice in offered[:4]] == ["Fast", "Better", "Best", "Finds objects itself"]
    assert Choices().default == "crvos"
    quick = Choices(["crvos:fast"]).segmenter("crvos:fast")
    assert quick.config.name == "crvos" and quick.info()["short_side"] == 240 and not quick.adapts


def test_learning_is_part_of_the_time_that_is_told(clip, best, one):
    speed = sys.modules["studio.speed"].Speed()
    speed.measure("best", best)
    speed.measure("one", one)
    before, first = speed.predict(clip, ["best"], 0), speed.predict(clip, ["best"], 1)
    assert before - speed.predict(clip, ["one"], 0) > 20 * (first - before)


def test_a_model_that_finds_objects_needs_no_marks(clip, choices, models):
    finder = choices.segmenter(models["finder"])
    (masks,) = outcome(follow.follow([finder], clip, {})).masks
    assert masks == finder.propagate(clip.path)


def test_a_cancelled_run_keeps_what_is_done(tmp_path, clip, one):
    seen = []
    for step in follow.follow([one], clip, {0: {1: scene()[1][0] == 1}}, cancel=tmp_path / "cancel"):
        seen.append(step)
        if len(seen) == 3:
            (tmp_path / "cancel").touch()
    assert not seen[-1].finished and seen[-1].masks[0].computed.sum() == len(seen) - 1 == 4


def test_a_clip_shorter_than_it_says(clip, one):
    longer = clips.Clip(clip.path, *clip.size, clip.fps, 30, False)
    ended = outcome(follow.follow([one], longer, {2: {1: scene()[1][2] == 1}}))
    assert ended.clip.frames == FRAMES and ended.finished
    with pytest.raises(VideoError, match="clip.mp4 ended before frame 20, the first one that is marked"):
        list(follow.follow([one], longer, {20: {1: scene()[1][2] == 1}}))


def test_memory_holds_a_few_frames_only(monkeypatch, clip, one):
    class Frames(np.ndarray):
        pass

    alive: list[weakref.ref] = []
    most = 0

    class Video:
        def __enter__(self):
            return self

        def __exit__(self, *ended):
            pass

        def __iter__(self):
            nonlocal most
            for frame in np.repeat(scene()[0], 5, 0):
                given = frame.copy().view(Frames)
                alive.append(weakref.ref(given))
                most = max(most, sum(each() is not None for each in alive))
                yield given
                del given

    monkeypatch.setattr(vos_zoo, "open_video", lambda path: Video())
    long = clips.Clip(clip.path, *clip.size, clip.fps, 5 * FRAMES, False)
    for _ in follow.follow([one], long, {0: {1: scene()[1][0] == 1}}):
        pass
    assert len(alive) == 5 * FRAMES and most <= 3


# What is kept, and what is not taken


def test_files_go_in_time_and_so_do_those_of_a_server_that_died(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    kept = storage.Storage(keep=0.4)
    result, fresh = kept.visits / "visit-1" / "run-2" / "overlay.mp4", kept.files / "abc" / "clip.mp4"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"x")
    os.utime(result, (0, 0))  # copies keep the time of what they are made of
    kept.sweep()
    assert result.exists()
    time.sleep(0.5)
    fresh.parent.mkdir()
    fresh.write_bytes(b"x")
    kept.sweep()
    assert not result.exists() and fresh.exists() and kept.visits.is_dir()
    run = kept.visits / "visit-3" / "run-4"
    run.mkdir(parents=True)
    with kept.using(str(fresh), None, str(run.parent)):
        time.sleep(0.5)
        kept.sweep()
        assert fresh.exists() and run.exists(), "a run may take longer than files are kept"
    kept.sweep()
    assert fresh.exists()  # its time began anew
    dead, young = tmp_path / "vos-zoo-page-dead", tmp_path / "vos-zoo-page-young"
    for folder in (dead, young):
        folder.mkdir()
        (folder / "lock").touch()
    os.utime(dead, (0, 0))
    os.utime(kept.folder, (0, 0))
    other = storage.Storage(keep=60)
    assert not dead.exists() and young.exists() and kept.folder.exists() and other.folder.parent == tmp_path
    for each in (kept, other):
        each.close()
    assert not kept.folder.exists() and not other.folder.exists()


def test_somebody_elses_temporary_folder_is_told(tmp_path, monkeypatch, capsys, models):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(command, "_module", lambda name, place: app)
    assert main(["demo", "--models", models["one"]]) == 2
    said = capsys.readouterr().err
    assert f"the page can't keep files in {tmp_path / 'file'}" in said and "GRADIO_TEMP_DIR" in said and "port" not in said

    def denied(prefix, dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(storage.tempfile, "mkdtemp", denied)
    with pytest.raises(VosZooError, match="Permission denied.: set GRADIO_TEMP_DIR to a folder of your own"):
        storage.Storage(60)


def gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff\x2c"
        + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00;"
    )  # fmt: skip


def png(width: int, height: int) -> bytes:
    """The beginning of an RGB image: its size stands there, its pixels don't."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("name", "data"), [("a.gif", gif(16000, 16000)), ("b.gif", gif(60000, 3)), ("c.png", png(13000, 13000))])
def test_sizes_are_read_before_anything_is_decoded(tmp_path, monkeypatch, clip, name, data):
    def decoded(*arguments, **options):
        raise AssertionError("decoded")

    (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(vos_zoo, "open_video", decoded)
    monkeypatch.setattr(vos_zoo, "read_mask", decoded)
    with pytest.raises(VideoError, match=f"{name} is .* pixels, more than the 4096 a side"):
        clips.open_clip(tmp_path / name, LIMITS)
    with pytest.raises(MaskError, match=f"{name} is .* pixels, far more than the clip's 96 x 64"):
        marks.read_mask_files([str(tmp_path / name)], clip, 0, LIMITS)


def test_a_run_has_a_budget(clip, choices, models, first):
    desk = sys.modules["studio.desk"].Desk(choices, limits.Limits(work=1e-2))
    visit = Visit()
    with pytest.raises(
        Exception, match="2 objects in 8 frames of 96 x 64 are more than this page works on in one run: .* cut it to 1 frames"
    ):
        list(desk.run(clip.path, str(first), 0, models["one"], None, True, visit))
    visit.close()


# What comes out


def test_files_hold_the_masks_and_their_pictures(tmp_path, clip, one):
    part = results.Part.of("one", one.propagate(clip.path, scene()[1][0]))
    files = results.write_files(tmp_path, clip, [part, part], LIMITS)
    with zipfile.ZipFile(files.zips[0]) as archive:
        archive.extractall(tmp_path / "masks")
    assert vos_zoo.MaskSequence.load(tmp_path / "masks") == part.masks
    coco = json.loads(Path(files.cocos[0]).read_text())
    assert len(coco["images"]) == FRAMES and {each["track_id"] for each in coco["annotations"]} <= {1, 2}
    with zipfile.ZipFile(files.cutouts) as archive, archive.open("00002.png") as file:
        assert np.array_equal(np.asarray(Image.open(file))[..., 3] > 0, part.masks[2] > 0)
    for path, width in ((files.overlays[0], 96), (files.player, 3 * 96)):
        with vos_zoo.open_video(path) as video:
            assert (video.height, video.width, video.count(), video.fps) == (64, width, FRAMES, 10)
    moving = Image.open(files.cutout)
    assert (moving.size, moving.n_frames) == ((96, 64), FRAMES)
    assert [frame for frame, _ in files.strip] == list(range(8))
    assert results.write_files(tmp_path, clip, [part], limits.Limits(cutout_megapixels=0)).cutouts is None


def test_lost_objects_are_outlined_others_tinted():
    frame, labels = np.full((12, 12, 3), 100, np.uint8), np.zeros((12, 12), np.uint8)
    labels[2:10, 2:10] = 1
    blue = np.array([0x2F, 0x9B, 0xFF])
    assert drawing.tint(frame, labels)[5, 5].tolist() == ((100 + blue) / 2).astype(int).tolist()
    assert drawing.tint(frame, labels, lost=[1])[5, 5].tolist() == [100] * 3
    assert drawing.tint(frame, labels, lost=[1])[2, 5].tolist() == blue.tolist()
    assert drawing.fitted((1080, 1920), 640) == (360, 640) and drawing.fitted((51, 33), 640, even=True) == (50, 32)


def test_numbers_of_a_run_by_hand(clip):
    masks = vos_zoo.MaskSequence((2, 5), (1,), fps=10)
    for gone in (False, True, True, False):
        labels = np.zeros((2, 5), np.uint8)
        labels[0, : 0 if gone else 4] = 1
        masks.append(labels, confidence={1: 0.0 if gone else 0.75}, lost=[1] if gone else [])
    part = results.Part("one", 6, masks)
    (told,) = summary.summarise(clip, [part], finished=True, seconds=1.26, predicted=2)["objects"]
    assert told == {"id": 1, "frames_seen": 2, "mean_share_of_picture": 0.2, "mean_confidence": 0.375, "lost": [[7, 8]]}
    assert summary.stretches(np.array([True, False, True, True])) == [(0, 0), (2, 3)]
    assert summary.lost_in_links(clip, part) == [
        'Object 1: lost <button type="button" class="vz-link" data-frame-shown="7">0.7 to 0.9 s</button>'
    ]
    assert summary.in_words("Object 1", [(0, 0), (3, 5), (9, 9)], 10, 10, 10) == "Object 1: lost at 1.0 s, 1.3 to 1.6 s, on the last frame"
    assert 'title="Object 1: frames 7 to 8"' in summary.chart(clip, part)
    other = vos_zoo.MaskSequence((2, 5))
    for labels in masks:
        other.append(np.where(np.arange(5) < 2, labels, 0))
    assert summary.agreement(masks, other) == 0.5


def test_other_backgrounds_and_transparent_video(clip, tmp_path):
    ids = scene()[1]
    masks = vos_zoo.MaskSequence(SIZE, fps=10)
    for labels in ids:
        masks.append(labels)
    part = results.Part("one", 0, masks)
    frames = list(vos_zoo.open_video(clip.path))
    Image.fromarray(np.full((40, 200, 3), (200, 30, 90), np.uint8)).save(tmp_path / "wall.png")
    for form, ground in (("white", (255, 255, 255)), ("picture", (200, 30, 90)), ("blur", None)):
        made = list(vos_zoo.open_video(extras.make_extra(tmp_path, clip, part, form, str(tmp_path / "wall.png"))))
        inside, outside = ids[3] > 0, drawing._rim(ids[3], 6) | (ids[3] > 0)
        assert len(made) == FRAMES and np.abs(made[3][inside].astype(int) - frames[3][inside]).mean() < 12
        if ground is not None:
            assert np.abs(made[3][~outside].astype(int) - ground).mean() < 12
    assert extras.make_extra(tmp_path, clip, part, "webm").suffix == ".webm" and set(extras.FORMS) >= {"mov", "green"}
    with pytest.raises(VideoError, match="which picture"):
        extras.make_extra(tmp_path, clip, part, "picture")
    (tmp_path / "wall.png").write_text("no picture")
    with pytest.raises(VideoError, match="wall.png can't be read as a picture"):
        extras.make_extra(tmp_path, clip, part, "picture", str(tmp_path / "wall.png"))


def test_a_chart_says_what_a_model_did_not_find(clip):
    masks = vos_zoo.MaskSequence(SIZE, fps=10)
    masks.append(np.zeros(SIZE, np.uint8))
    assert "one &lt;b&gt; found no object" in summary.chart(clip, results.Part("one <b>", 0, masks))


def test_the_time_that_is_predicted_grows_with_the_work_and_learns(clip):
    speed = Speed()
    short = speed.predict(clip, ["one"])
    assert speed.predict(clip, ["one", "two"]) > short and speed.predict(clip.ending_at(80), ["one"]) > 5 * short - 10
    long = clip.ending_at(100)
    before = speed.predict(long, ["one"])
    for _ in range(8):
        speed.learn(long, ["one"], 100, 3 * before)
    assert speed.predict(long, ["one"]) > 2.5 * before
    told = {1: "about 5 seconds", 12: "about 15 seconds", 89: "about 90 seconds", 91: "about 2 minutes", 300: "about 5 minutes"}
    assert {seconds: in_words(seconds) for seconds in told} == told
    assert range_in_words(13) == "about 5 to 15 seconds" and range_in_words(130) == "about 1 to 3 minutes"


def test_a_line_knows_who_is_before_whom():
    now = [0.0]
    waiting = line.Line(lambda: now[0])
    for who, seconds in (("a", 10), ("b", 20), ("c", 30)):
        waiting.join(who, seconds)
    assert [waiting.before(who) for who in "abc"] == [(0, 0), (1, 10), (2, 30)]
    with waiting.turn_of("a"):
        waiting.expect(10)
        now[0] = 4
        assert waiting.before("a") is None and waiting.before("c") == (2, 20 + 6)
        assert waiting.serves("a") and not waiting.serves("c")
        now[0] = 23  # c has been heard of, b not
        assert waiting.before("c") == (1, 1)
    assert waiting.before("c") == (0, 0)
    assert "2 clips are before yours: about 30 seconds" in cards.waiting(2, 26) and "Yours is next" in cards.waiting(0, 0)


def test_a_visit_is_nobody_elses(clip):
    visit = Visit()
    visit.begin(clip)
    visit.marks[0] = drawn(0, scene()[1][0], {1})
    assert deepcopy(visit).clip is None and deepcopy(visit).marks == {}
    folder = visit.cancel.parent
    visit.close()
    assert visit.clip is None and not folder.exists()


def test_a_visit_that_ends_amid_a_run_is_closed_after_it(clip, tmp_path):
    visit = Visit(tmp_path)
    visit.begin(clip)
    with visit.working():
        (visit.folder / "masks.zip").touch()
        visit.close()
        assert (visit.folder / "masks.zip").exists() and visit.clip is not None
    assert visit.clip is None and list(tmp_path.iterdir()) == []


def test_a_visit_is_found_again_by_its_key_for_an_hour(clip, tmp_path):
    now = [0.0]
    known, visit = Returns(3600, lambda: now[0]), Visit(tmp_path)
    visit.begin(clip)
    known.begin(visit)
    key = visit.key
    assert len(key) >= 40 and known.find(key) is visit
    assert [known.find(odd) for odd in ("", None, 7, [key], key[:-1], key + "x")] == [None] * 6
    now[0] = 3601
    assert known.find(key) is None
    known.refresh(visit)  # a run began
    assert known.find(key) is visit
    visit.begin(clip)
    known.begin(visit)
    assert known.find(key) is None and known.find(visit.key) is visit, "another clip, another key"
    visit.join()
    visit.close()
    assert known.find(visit.key) is visit, "the first session has ended, the second has it still"
    visit.close()
    assert known.find(key) is None and known.find(visit.key) is None


def test_objects_have_names_colours_and_may_be_hidden(clip, tmp_path):
    rows = [
        {"id": 1, "name": " Koi <b> ", "colour": "#00FF00", "shown": True},
        {"id": 2, "name": "Object 2", "colour": drawing.colour_of(2), "shown": False},
    ]
    told = looks.Looks.read({"objects": rows})
    assert (told.names, told.colours, told.hidden) == ({1: "Koi <b>"}, {1: "#00ff00"}, frozenset({2}))
    for odd in (None, {"objects": 3}, {"objects": [{**rows[0], "colour": "red"}]}, {"objects": [{**rows[0], "name": "x" * 41}]}):
        with pytest.raises(ValueError, match="the objects can't be read"):
            looks.Looks.read(odd)
    masks = vos_zoo.MaskSequence(SIZE, (1, 2), fps=10)
    for labels in scene()[1]:
        masks.append(labels, lost=[1])
    part = results.Part("one", 0, masks)
    assert "Koi &lt;b&gt;</li>" in summary.chart(clip, part, told) and "#00ff00" in summary.chart(clip, part, told)
    assert summary.lost_in_links(clip, part, told)[0].startswith("Koi &lt;b&gt;: lost ")
    left = told.only_shown(masks)
    assert left.object_ids == (1,) and left.lost.all() and (left[0] == (masks[0] == 1)).all()
    with pytest.raises(MaskError, match="all objects are hidden"):
        looks.Looks(hidden=frozenset({1, 2})).only_shown(masks)
    words = np.frombuffer(results.pack(masks[0], masks.object_ids, [2]), "<u4")
    assert words[0] == len(words) - 1
    slots = np.repeat(words[1:] >> 20, words[1:] & 0xFFFFF).reshape(SIZE)
    assert (slots == np.where(masks[0] == 2, 1024 + 2, masks[0].astype(int))).all()


def test_a_visit_takes_drawings_up_to_its_limit(clip):
    visit, few = Visit(), limits.Limits(marked=1)
    visit.begin(clip)
    assert visit.take(drawn(0, scene()[1][0], {1}).drawing, few) == ""
    visit.frame = 3
    assert "1 frames are marked, which is all" in visit.take(drawn(3, scene()[1][3], {1}).drawing, few)
    shown = visit.painter(few)
    assert (shown["frame"], shown["marks"], shown["touched"]) == (3, [{"frame": 0, "objects": [1], "gone": []}], [])
    visit.frame = 0
    visit.take(drawn(0, np.zeros(SIZE, np.uint8), {1}).drawing, few)
    assert visit.marks == {}


# The Space's files


def test_the_space_says_what_it_is():
    text = (demo_page.DEMO / "README.md").read_text(encoding="utf-8")
    front = dict(re.findall(r"^(\w+): *(.*)$", text.split("---")[1], re.MULTILINE))
    needed = (
        "title emoji colorFrom colorTo sdk sdk_version python_version app_file license models tags suggested_hardware short_description"
    )
    assert set(needed.split()) <= set(front)
    assert front["sdk"] == "gradio" and (demo_page.DEMO / front["app_file"]).is_file() and len(front["short_description"]) <= 60
    pins = (demo_page.DEMO / "requirements.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", pin) for pin in pins)
    assert f"gradio=={front['sdk_version']}" in pins and f"vos_zoo=={vos_zoo.__version__}" in pins
    assert f"after {LIMITS.words().rpartition('after ')[2][:-1]}" in " ".join(text.split())
    assert str(LIMITS.megabytes) in text and str(LIMITS.frames) in text and str(LIMITS.side) in LIMITS.words()
    assert (demo_page.DEMO / "packages.txt").read_text(encoding="utf-8") == ""


def test_examples_are_small_and_open():
    assert sum(path.stat().st_size for path in (demo_page.DEMO / "examples").iterdir()) < 1_000_000
    for example in EXAMPLES:
        clip = clips.open_clip(demo_page.DEMO / "examples" / example.clip, LIMITS)
        if example.first_mask is not None:
            (given,) = marks.read_mask_files([str(demo_page.DEMO / "examples" / example.first_mask)], clip, 0, LIMITS).values()
            assert given.file.size == clip.size and given.objects == [1]
        assert Image.open(demo_page.DEMO / "examples" / example.picture).size == (256, 176)


# The command


def test_the_command_starts_the_page(monkeypatch, models):
    asked = {}
    monkeypatch.setattr(command, "_module", lambda name, place: app)
    monkeypatch.setattr(app, "launch", lambda page, **options: asked.update(options, page=page))
    assert main(["demo", "--port", "7999", "--models", f"crvos, {models['one']}"]) == 0
    assert asked["server_name"] == "127.0.0.1" and asked["server_port"] == 7999 and not asked["inbrowser"]
    assert command.folder() == demo_page.DEMO


def test_the_command_says_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert main(["demo"]) == 2 and "the page needs gradio: pip install gradio" in capsys.readouterr().err
    monkeypatch.setattr(command, "PACKAGE", tmp_path / "vos_zoo")
    with pytest.raises(VosZooError, match="carries no page"):
        command.folder()


def test_whoever_asks_under_ever_new_names_does_not_fill_the_memory(choices, monkeypatch):
    asked = {}
    page = app.build(choices, limits.Limits(sessions=2))
    monkeypatch.setattr(page, "launch", lambda **options: asked.update(options))
    app.launch(page, warm=False, prevent_thread_lock=True)
    assert asked["state_session_capacity"] == 2 and limits.Limits().sessions <= 1000


def test_a_port_that_is_taken_is_named(monkeypatch, capsys):
    def taken(page, **options):
        raise OSError("Cannot find empty port in range: 7999-7999")

    monkeypatch.setattr(command, "_module", lambda name, place: app)
    monkeypatch.setattr(app, "launch", taken)
    assert main(["demo", "--port", "7999"]) == 2 and "Choose another --port" in capsys.readouterr().err


# The endpoint, over the network


@pytest.fixture(scope="module")
def server(place, choices):
    with demo_page.served(choices, limits.Limits(waiting=6, megabytes=2), place / "files") as address:
        yield address


@pytest.fixture(scope="module")
def client(server):
    gradio_client = pytest.importorskip("gradio_client")
    return gradio_client.Client(server, verbose=False)


def call(client, video, mask=None, **options):
    from gradio_client import handle_file

    return client.predict(
        video=handle_file(str(video)) if video else None,
        mask=handle_file(str(mask)) if mask else None,
        api_name="/segment",
        **options,
    )


def refusal(client, *arguments, **options) -> str:
    """What the server says to a call; afterwards a good call must still do."""
    from gradio_client.exceptions import AppError

    with pytest.raises((AppError, ValueError)) as refused:
        call(client, *arguments, **options)
    return str(refused.value)


def masks_in(path: str, folder: Path) -> vos_zoo.MaskSequence:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return vos_zoo.MaskSequence.load(folder)


def test_a_program_gets_what_propagate_gives(client, clip, first, one, models, tmp_path):
    overlay, zipped, coco, cutouts, told, words = call(client, clip.path, first, model=models["one"])
    assert masks_in(zipped, tmp_path) == one.propagate(clip.path, str(first))
    assert (told["frames"], told["finished"], told["model"], told["width"]) == (FRAMES, True, "one", 96)
    assert [each["id"] for each in told["objects"]] == [1, 2] and "Done" in words
    with vos_zoo.open_video(overlay) as video:
        assert video.count() == FRAMES
    assert len(json.loads(Path(coco).read_text())["images"]) == FRAMES and zipfile.is_zipfile(cutouts)


def test_a_program_sees_typed_arguments_and_a_description(client):
    info = client.view_api(return_format="dict")["named_endpoints"]
    assert list(info) == ["/segment"]
    arguments = info["/segment"]["parameters"]
    assert [each["parameter_name"] for each in arguments] == ["video", "mask", "frame", "model", "compare_with", "backwards"]
    assert all(each["parameter_has_default"] for each in arguments)
    assert [each["python_type"]["type"] for each in arguments[:3]] == ["filepath", "filepath", "int"]
    assert "Follow objects through a video" in info["/segment"]["description"]
    assert arguments[2]["python_type"]["description"] == "number of the frame that a single mask image belongs to, counted from 0."
    assert all(each["python_type"]["description"] for each in arguments)
    assert len(info["/segment"]["returns"]) == 6


def test_an_mcp_client_may_leave_out_what_is_optional_or_send_null(client, clip, first, models):
    pytest.importorskip("mcp", reason="mcp is not installed: pip install 'gradio[mcp]'")
    import asyncio
    import base64

    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    def inside(path: str, kind: str) -> str:
        return f"data:{kind};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"

    async def ask() -> tuple[dict, list]:
        async with (
            streamablehttp_client(f"{client.src.rstrip('/')}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            given = {"video": inside(clip.path, "video/mp4"), "mask": inside(str(first), "image/png"), "model": models["one"]}
            nothing = {"frame": None, "compare_with": None, "backwards": None}
            return tool.inputSchema, [await session.call_tool(tool.name, each) for each in (given | nothing, given, given | {"mask": None})]

    schema, (with_null, left_out, unmarked) = asyncio.run(ask())
    assert (
        schema["properties"]["mask"]["type"] == ["string", "null"] and "an image, one number" in schema["properties"]["mask"]["description"]
    )
    assert not with_null.isError and not left_out.isError
    assert '"frames": 8' in "".join(str(getattr(each, "text", "")) for each in with_null.content).replace("'", '"')
    assert unmarked.isError and "Nothing is marked yet" in unmarked.content[0].text


def test_late_frames_other_models_and_none_at_all(client, clip, place, one, choices, models, tmp_path):
    late = write_mask(place / "late_00003.png", np.where(scene()[1][3] == 2, 2, 0).astype(np.uint8))
    early = write_mask(place / "early_00000.png", np.where(scene()[1][0] == 1, 1, 0).astype(np.uint8))
    with zipfile.ZipFile(place / "both.zip", "w") as archive:
        for path in (early, late):
            archive.write(path, f"masks/{path.name}")
    told = call(client, clip.path, place / "both.zip", model=models["one"], compare_with=models["two"])[4]
    assert [each["id"] for each in told["objects"]] == [1, 2] and 0 <= told["compared_with"]["agreement"] <= 1
    _, zipped, *_ = call(client, clip.path, late, frame=3, model=models["one"], backwards=False)
    assert len(masks_in(zipped, tmp_path / "late")) == FRAMES - 3
    _, zipped, *_ = call(client, clip.path, model=models["finder"])
    assert masks_in(zipped, tmp_path / "found") == choices.segmenter(models["finder"]).propagate(clip.path)


def test_one_frame_a_phone_and_4k(client, place, models):
    single = write_clip(place / "single.mp4", frames=1)
    mask = write_mask(place / "single.png", scene()[1][0])
    assert call(client, single, mask, model=models["one"])[4]["frames"] == 1
    phone = turn_upright(write_clip(place / "upright.mp4"))
    told = call(client, phone, write_mask(place / "upright.png", np.rot90(scene()[1][0]).copy()), model=models["one"])[4]
    assert (told["width"], told["height"], told["frames"]) == (64, 96, FRAMES)
    large = write_clip(place / "large.mp4", (2160, 3840), 2)
    told = call(client, large, write_mask(place / "large_mask.png", scene((2160, 3840), 1)[1][0]), model=models["one"])[4]
    assert (told["width"], told["frames"]) == (3840, 2)


def test_every_argument_may_be_missing_or_nonsense(client, clip, first, models, place):
    good = {"video": clip.path, "mask": first, "model": models["one"]}
    assert call(client, good["video"], good["mask"], frame=None, model=None, compare_with=None, backwards=None)[4]["finished"]
    assert "There is no clip yet: choose a video file." in refusal(client, None, first)
    doubled = write_mask(place / "doubled.png", np.kron(scene()[1][0], np.ones((2, 2), np.uint8)))
    assert "doubled.png is 192 x 128 pixels and the clip 96 x 64: scale it" in refusal(client, clip.path, doubled)
    assert "Nothing is marked yet: click on an object" in refusal(client, clip.path)
    assert "first.png is for frame 99, but the clip's frames are 0 to 7" in refusal(client, clip.path, first, frame=99)
    assert "frame -1" in refusal(client, clip.path, first, frame=-1)
    for name, value in (
        ("frame", "soon"),
        ("frame", [1]),
        ("frame", {"a": 1}),
        ("mask", "first.png"),
        ("mask", [7]),
        ("video", 3),
        ("video", {"path": 5}),
    ):
        arguments = {"video": None, "mask": None, "frame": 0, name: value}
        assert "An argument could not be read: video is one file" in raw_refusal(client, **arguments), (name, value)
    for name in ("model", "compare_with"):
        assert "is not in the list of choices" in refusal(client, clip.path, first, **{name: "best one"})
        assert "could not be read" in raw_refusal(client, **{name: {"a": 1}}) or "list of choices" in raw_refusal(
            client, **{name: {"a": 1}}
        )
    assert "compare two of a kind" in refusal(client, clip.path, first, model=models["one"], compare_with=models["finder"])
    assert call(client, good["video"], good["mask"], model=good["model"])[4]["finished"]


def raw_refusal(client, **changed) -> str:
    """What comes back for arguments that the client itself would not let pass: sent as JSON."""
    import httpx

    order = ("video", "mask", "frame", "model", "compare_with", "backwards")
    arguments = {"video": None, "mask": None, "frame": 0, "model": None, "compare_with": None, "backwards": True, **changed}
    base = client.src.rstrip("/") + "/gradio_api/call/segment"
    event = httpx.post(base, json={"data": [*(arguments[name] for name in order), None]}, timeout=30).json()["event_id"]
    return httpx.get(f"{base}/{event}", timeout=60).text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("just words\n" * 50), "Odd.mp4"),
        (write_sound, "only sound"),
        (lambda path: write_clip(path, (64, 4200), 1), "4200 x 64 pixels, more than the 4096 a side"),
        (lambda path: path.write_bytes(b"\0" * 5000), "Odd.mp4"),
    ],
)
def test_files_that_are_no_clip_get_a_sentence(client, tmp_path, first, make, message):
    make(tmp_path / "odd.mp4")
    told = refusal(client, tmp_path / "odd.mp4", first)
    assert message.lower() in told.lower() and "/" not in told, told


def test_a_huge_file_is_turned_away_before_it_is_sent(server, client, clip, first, models):
    """A claim of 2 GB by its length; and a file a little above the limit, in full."""
    import httpx

    host = urlsplit(server)
    with socket.create_connection((host.hostname, host.port), timeout=20) as line:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        head += "Content-Length: 2147483648\r\n\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="files"; filename="big.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        line.sendall((head + part).encode())
        line.settimeout(20)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(40):
                line.sendall(b"\0" * 100_000)
        try:
            reply = line.recv(2000).decode(errors="replace")
        except ConnectionResetError:
            reply = " 413 "
    assert " 413 " in reply or " 400 " in reply, reply
    sent = httpx.post(f"{server}gradio_api/upload", files={"files": ("big.mp4", b"\0" * 2_100_000)}, timeout=30)
    assert (
        sent.status_code == 413
        and "2000000" in re.sub(r"\D", "", sent.text)
        or "limit" in sent.text.lower()
        or "exceed" in sent.text.lower()
    )
    assert call(client, clip.path, first, model=models["one"])[4]["finished"]


def test_three_visitors_at_once_get_each_their_own(server, place, one, models, tmp_path):
    from gradio_client import Client

    sizes = [(64, 96), (64, 80), (80, 64)]
    paths = [write_clip(place / f"visitor{n}.mp4", size) for n, size in enumerate(sizes)]
    files = [write_mask(place / f"visitor{n}.png", scene(size)[1][0]) for n, size in enumerate(sizes)]
    clients = [Client(server, verbose=False) for _ in sizes]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(call, *each, model=models["one"]) for each in zip(clients, paths, files, strict=True)]
        answers = [job.result(timeout=120) for job in jobs]
    for n, (_, zipped, *_, told, _) in enumerate(answers):
        assert (told["height"], told["width"]) == sizes[n]
        assert masks_in(zipped, tmp_path / str(n)) == one.propagate(str(paths[n]), str(files[n]))


def uploaded(server, *paths):
    """Files as the server takes them in a call."""
    import httpx

    sent = httpx.post(
        f"{server}gradio_api/upload", files=[("files", (Path(path).name, Path(path).read_bytes())) for path in paths], timeout=60
    )
    return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in sent.json()]


def joined(server, files, models, session):
    """What the server says to a session that wants a run."""
    import httpx

    data = [*files, 0, models["one"], "", True]
    return httpx.post(f"{server}gradio_api/call/segment", json={"data": data, "session_hash": session}, timeout=60)


def test_a_full_queue_says_so_and_empties(server, client, clip, first, models, monkeypatch):
    from gradio_client.utils import QueueError

    slow = follow.follow

    def held(*arguments, **options):
        time.sleep(0.3)
        yield from slow(*arguments, **options)

    monkeypatch.setattr(sys.modules["studio.desk"], "follow", held)
    files = uploaded(server, clip.path, first)
    answers = [joined(server, files, models, f"visitor{n}") for n in range(12)]
    full = [each for each in answers if each.status_code != 200]
    assert 1 <= len(full) <= 6 and all(each.status_code == 503 and "Queue is full" in each.text for each in full), answers
    for _ in range(100):
        if joined(server, files, models, "visitor99").status_code == 200:
            break
        time.sleep(0.1)
    twice = joined(server, files, models, "visitor99")
    assert twice.status_code == 400 and "Your last run is still in the queue" in twice.text or twice.status_code == 503
    monkeypatch.setattr(sys.modules["studio.desk"], "follow", slow)
    for _ in range(200):
        try:
            assert call(client, clip.path, first, model=models["one"])[4]["finished"]
            return
        except QueueError:
            time.sleep(0.1)
    pytest.fail("the queue did not empty")


def test_a_breakdown_is_told_without_its_inside(client, clip, first, models, monkeypatch, caplog):
    def broken(*arguments, **options):
        raise RuntimeError("secret inside")
        yield

    monkeypatch.setattr(sys.modules["studio.desk"], "follow", broken)
    told = refusal(client, clip.path, first, model=models["one"])
    assert "Something went wrong on our side" in told and "secret" not in told and "secret inside" in caplog.text


def test_a_run_leaves_its_files_once_and_no_copies(client, clip, first, models, place, monkeypatch):
    folders = []
    written = results.write_files

    def remember(folder, *arguments):
        folders.append(folder)
        return written(folder, *arguments)

    monkeypatch.setattr(sys.modules["studio.desk"], "write_files", remember)
    call(client, clip.path, first, model=models["one"])
    (overlay,) = folders[0].glob("*_overlay.mp4")
    found = [path for path in (place / "files").rglob(overlay.name) if folders[0].parent.parent not in path.parents]
    assert found == [], "they are served from where they were written, until they are swept"


# Time, and machines that lend a GPU


def test_the_example_is_followed_and_its_time_is_told_before(monkeypatch):
    """In time of the processor: other programs may be using the machine now and not in a moment."""
    for name in ("studio.speed", "studio.desk"):
        monkeypatch.setattr(sys.modules[name], "time", SimpleNamespace(perf_counter=time.process_time))
    answers, loaded = Answers(), []
    monkeypatch.setattr(vos_zoo, "load_pointer", lambda: loaded.append("pointer") or toy_pointer())
    desk = sys.modules["studio.desk"].Desk(Choices(["crvos-resnet18"]), limits.Limits(frames=6), answers)
    desk.warm_up()
    answers.look(scene()[0][0])
    assert loaded == ["pointer"], "what points is loaded ahead, once: nobody's first click waits for it"
    folder, visit = demo_page.DEMO / "examples", Visit()
    clip, mask = (str(folder / name) for name in (EXAMPLES[0].clip, EXAMPLES[0].first_mask))
    (finished,) = [news for news in desk.run(clip, mask, 0, None, None, True, visit) if not isinstance(news, str)]
    visit.close()
    assert finished.told["frames"] == 6 and finished.told["objects"][0]["mean_confidence"] > 0.8
    assert finished.told["seconds"] > 0 and finished.told["predicted_seconds"] > 0


def test_a_lent_gpu_is_asked_for_where_there_is_one(monkeypatch):
    lent = []
    spaces = type(sys)("spaces")
    spaces.GPU = lambda duration: lambda function: lent.append(duration) or function
    assert follow.on_gpu(len) is len and lent == []
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    assert follow.on_gpu(len) is len and lent == [120]
