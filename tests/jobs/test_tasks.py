"""What is to be done of many clips: folders told apart, manifests, and what is checked before any work."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from many_clips import touch, write_clips, write_mask

from vos_zoo.errors import VideoError, VosZooError
from vos_zoo.jobs import folder as folder_module
from vos_zoo.jobs.folder import find_tasks
from vos_zoo.jobs.task import Task, checked


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good_and_bad(found, **options):
    tasks, problems = checked(found, **{"finds_objects": False, "model": "still", **options})
    return [task.name for task in tasks], [f"{problem.who}: {problem.what}" for problem in problems]


# ---- a folder: one video, or many


def test_a_folder_of_images_is_one_video():
    touch("shot/0.png", "shot/1.png", "shot/notes.txt", "shot/.hidden.mp4", "bear.mp4")
    assert find_tasks("shot") is None
    touch("shot/masks/0.png")  # a folder of masks beside the frames
    assert find_tasks("shot") is None
    for one in ("bear.mp4", "nowhere", "rtsp://camera/1"):
        assert find_tasks(one) is None


def test_videos_and_clip_folders_are_many():
    touch("many/bear.mp4", "many/bear.png", "many/cow/0.jpg", "many/cow_mask.png", "many/dog.v2/0.jpg", "many/dog.v2.npy")
    touch("many/elk/frames/0.jpg", "many/elk/masks/00004.png", "many/elk/masks/00007.png", "many/elk.txt", "many/empty/read.me")
    found = find_tasks("many")
    many = Path("many")
    assert found.tasks == [
        Task("bear", many / "bear.mp4", many / "bear.png"),
        Task("cow", many / "cow", many / "cow_mask.png"),
        Task("dog.v2", many / "dog.v2", many / "dog.v2.npy"),
        Task("elk", many / "elk/frames", first_of=many / "elk/masks"),
    ]
    assert found.notes == ["many: 1 other file (.txt), 1 folder without images (empty) passed over"]
    assert good_and_bad(found) == (["bear", "cow", "dog.v2", "elk"], [])


def test_what_is_neither_or_both_is_said():
    Path("nothing").mkdir()
    touch("other/a.zip", "other/b.zip", "other/deep/deeper/0.png")
    touch("clip/frames/0.jpg", "clip/masks/0.png")
    touch("both/0.png", "both/1.png", "both/preview.mp4")
    touch("mixed/bear.mp4", "mixed/bear.png", "mixed/poster.jpg")
    said = {}
    for folder in ("nothing", "other", "clip", "both", "mixed"):
        with pytest.raises(VideoError) as error:
            find_tasks(folder)
        said[folder] = str(error.value)
    assert said["nothing"].startswith("nothing holds nothing: neither the images of one video nor the videos or clip folders of many")
    assert said["other"].startswith("other holds 2 other files (.zip), 1 folder without images (deep): neither")
    assert said["clip"].startswith("clip is one clip, with frames/ in it: give vos-zoo propagate clip/frames")
    assert said["both"].startswith(
        "both holds 2 images, 1 video, and no image is the mask of a video (as preview.png would be), so it could"
    )
    assert said["mixed"].startswith("mixed holds 2 images, 1 video: some of the images are masks of the clips, but poster.jpg is not")
    assert find_tasks("both", one=True) is None and find_tasks("mixed", one=True) is None  # a --mask was given
    touch("first/bear.png")
    for folder, name in (("both", "preview"), ("mixed", "bear")):
        assert [task.name for task in find_tasks(folder, Path("first")).tasks] == [name]


def test_masks_in_a_folder_of_their_own():
    touch(
        "many/bear.mp4", "many/bear.png", "many/cow/0.jpg", "many/dog.mp4", "many/elk.mp4", "many/fox/frames/0.png", "many/fox/masks/0.png"
    )
    touch("many/given/bear_mask.png", "many/given/cow/0.png", "many/given/cow/1.png", "many/given/elk.png", "many/given/elk.npy")
    given = Path("many/given")
    found = find_tasks("many", given)
    tasks = {task.name: task for task in found.tasks}
    assert set(tasks) == {"bear", "cow", "dog", "elk", "fox"}, "the folder of masks is no clip"
    assert tasks["bear"].mask == given / "bear_mask.png" and tasks["cow"].first_of == given / "cow"
    assert good_and_bad(found)[1] == [
        "dog: no mask: looked in many/given for dog.png, dog_mask.png, dog.npy, dog/",
        "elk: has several masks (many/given/elk.png, many/given/elk.npy): keep one, or name it in a manifest",
        "fox: no mask: looked in many/given for fox.png, fox_mask.png, fox.npy, fox/",
    ]


def test_checks_of_clips():
    touch("many/bear.mp4", "many/bear.mov", "many/bear.png", "many/cow.mp4", "many/Dog.mp4", "many/dog/0.png", "many/dog.png")
    touch("many/fox/frames/0.png", "many/fox/masks/read.me")
    Path("many/Dog.png").write_bytes(b"x")
    Path("many/elk.mp4").touch()
    touch("many/elk.png")
    good, bad = good_and_bad(find_tasks("many"))
    assert good == []
    assert {each.partition(": ")[0] for each in bad} == {"bear", "cow", "Dog", "dog", "elk", "fox"}
    assert "bear: many/bear.mov would have the same result, bear: give each a name of its own" in bad
    assert "dog: many/Dog.mp4 would have the same result, dog: give each a name of its own" in bad
    assert "elk: the video many/elk.mp4 is an empty file" in bad
    assert "fox: the folder many/fox/masks has no masks (.png or .npy)" in "".join(bad)


def test_a_model_that_finds_objects_needs_no_masks():
    touch("many/bear.mp4", "many/cow.mp4", "many/cow.png")
    tasks, problems = checked(find_tasks("many"), finds_objects=True, model="finder")
    assert [(task.name, task.has_mask) for task in tasks] == [("bear", False), ("cow", False)] and problems == []
    Path("list.csv").write_text("video,mask\nmany/cow.mp4,many/cow.png\n")
    with pytest.raises(VosZooError, match="finder finds the objects itself and takes no masks: leave mask and masks out of the manifest"):
        checked(find_tasks("list.csv"), finds_objects=True, model="finder")


# ---- manifests


def test_a_csv_and_a_jsonl_say_the_same():
    touch("data/bear.mp4", "data/bear.png", "data/cow/frames/0.jpg", "data/later/0.png")
    Path("data/list.csv").write_text("\ufeffvideo, mask,masks,out\nbear.mp4,bear.png,,\n\n cow/frames,,later,\nbear.mp4,bear.png,,other\n")
    lines = [{"video": "bear.mp4", "mask": "bear.png"}, {"video": "cow/frames", "masks": "later", "out": None}]
    lines += [{"video": str(Path("data/bear.mp4").absolute()), "mask": "bear.png", "out": "other"}]
    Path("data/list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = Path("data")
    of_csv, of_json = find_tasks("data/list.csv"), find_tasks("data/list.jsonl")
    assert of_csv.tasks == [
        Task("bear", data / "bear.mp4", data / "bear.png", origin="line 2"),
        Task("cow", data / "cow/frames", masks=data / "later", origin="line 4"),
        Task("other", data / "bear.mp4", data / "bear.png", origin="line 5"),
    ]
    assert [replace(task.absolute(), origin="") for task in of_csv.tasks] == [replace(task.absolute(), origin="") for task in of_json.tasks]
    assert good_and_bad(of_csv) == (["bear", "cow", "other"], []) and of_csv.notes == []


def test_problems_of_a_manifest_come_with_their_lines_and_all_at_once():
    touch("bear.mp4", "bear.png", "cow.mp4", "picture.png")
    Path("list.csv").write_text(
        "video,mask,masks,out,msak\n"
        "bear.mp4,bear.png,,,\n"
        "baer.mp4,bear.png,,,\n"
        "bear.mp4,bear.png,,BEAR,\n"
        ",bear.png,,,\n"
        "cow.mp4,,,,\n"
        "cow.mp4,none.png,,a/b,\n"
        "cow.mp4,bear.png,nowhere,x,\n"
        "s3://bucket/cow.mp4,bear.png,,y,\n"
        "cow.mp4,bear.png,,z,,,more\n"
        "picture.png,bear.png,,w,\n"
        "cow.mp4,bear.png,,.hidden,\n"
    )
    found = find_tasks("list.csv")
    good, bad = good_and_bad(found)
    assert good == []
    expected = [
        "line 5: names no video",
        "line 10: has 7 values for 5 columns: put values that hold a comma in quotes",
        "line 2, bear: line 4 would have the same result, bear: give each a name of its own",
        "line 3, baer: the video baer.mp4 does not exist: did you mean bear.mp4?",
        "line 4, BEAR: line 2 would have the same result, BEAR: give each a name of its own",
        "line 6, cow: no mask: give that of the first frame",
        "line 7, a/b: 'a/b' can't be the name of a folder of results",
        "line 7, a/b: the mask none.png does not exist",
        "line 8, x: the folder of masks nowhere does not exist",
        "line 9, y: the video s3:/bucket/cow.mp4 is an address: copy it here first",
        "line 11, w: picture.png is a single image: give the folder of the frames",
        "line 12, .hidden: '.hidden' can't be the name",
    ]
    assert len(bad) == len(expected)
    for line, begin in zip(bad, expected, strict=True):
        assert line.startswith(begin)
    assert found.notes == ["list.csv, line 2: 'msak' was passed over: did you mean 'mask'?"]


def test_lines_that_are_no_json():
    touch("bear.mp4", "bear.png")
    Path("list.jsonl").write_text(
        '{"video": "bear.mp4", "mask": "bear.png"}\n{"video": \n["bear.mp4"]\n{"video": 3}\n{"mask": "bear.png"}\n'
    )
    good, bad = good_and_bad(find_tasks("list.jsonl"))
    assert good == ["bear"]
    assert [line.split(":")[0] for line in bad] == ["line 2", "line 3", "line 4", "line 5"]
    assert "is no JSON" in bad[0] and "is not an object" in bad[1] and "video is a text, not 3" in bad[2] and "names no video" in bad[3]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", b"bear.mp4,bear.png\n", "does not begin with the names of its columns"),
        ("a.csv", b"", "does not begin with the names of its columns"),
        ("a.csv", b"video,mask,mask\n", "has two columns 'mask'"),
        ("a.csv", b"video,mask\n", "names no clip"),
        ("a.jsonl", b"\n", "names no clip"),
    ],
)
def test_manifests_without_clips(name, text, says):
    Path(name).write_bytes(text)
    with pytest.raises(VosZooError, match=says):
        find_tasks(name)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\xff\xfe,bear.png", "video is not in UTF-8"),
        (b"a\0b.mp4,bear.png", "zero byte|NUL"),
        (b"x" * 5000 + b",bear.png", "video has 5000 letters"),
        (b"x" * 300 + b".mp4,bear.png", "can't be looked at|does not exist"),
        (b"~nobody/wolf.mp4,bear.png", "does not exist"),
        (b'"wolf.mp4,bear.png"x,y', "can't be read|does not exist|has no"),
        (b"loop/loop/wolf.mp4,bear.png", "can't be looked at|does not exist"),
    ],
)
def test_one_bad_line_never_ends_the_others(line, says):
    """Before and behind it are good ones."""
    touch("bear.mp4", "bear.png", "cow.mp4", "cow.png")
    Path("loop").symlink_to("loop")
    Path("list.csv").write_bytes(b"\xef\xbb\xbfvideo,mask\nbear.mp4,bear.png\n" + line + b"\ncow.mp4,cow.png\n")
    good, bad = good_and_bad(find_tasks("list.csv"))
    assert good == ["bear", "cow"] and len(bad) == 1 and "line 3" in bad[0]
    assert re.search(says, bad[0]), bad


@pytest.mark.parametrize(
    "line",
    ["[" * 100000, '{"video": ' + "9" * 5000 + "}", '{"video": NaN}', '{"video": "\\ud800.mp4"}', '{"video": {"a": [1]}}'],
    ids=["deep", "digits", "nan", "surrogate", "mapping"],
)
def test_one_bad_object_never_ends_the_others(line):
    touch("bear.mp4", "bear.png")
    Path("list.jsonl").write_text('{"video": "bear.mp4", "mask": "bear.png"}\n' + line + "\n")
    good, bad = good_and_bad(find_tasks("list.jsonl"))
    assert good == ["bear"] and len(bad) == 1 and bad[0].startswith("line 2") and len(bad[0]) < 500


def test_a_folder_that_can_not_be_looked_into_does_not_end_the_others(monkeypatch):
    touch("clips/bear.mp4", "clips/bear.png", "clips/shut/0.jpg")
    look = folder_module.has_images

    def denied(path):
        if path.name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(folder_module, "has_images", denied)
    good, bad = good_and_bad(find_tasks("clips"))
    assert good == ["bear"] and "shut can't be looked into (Permission denied)" in bad[0]


def test_going_backward_needs_later_masks():
    touch("bear.mp4", "bear.png", "later/7.png")
    Path("list.csv").write_text("video,mask,masks,out\nbear.mp4,bear.png,,a\nbear.mp4,,later,b\n")
    good, (bad,) = good_and_bad(find_tasks("list.csv"), backward=True)
    assert good == ["b"] and bad.startswith("line 2, a: direction='backward' has nothing to go back to")


def test_a_digest_follows_masks_and_length_and_not_the_place():
    write_clips(Path("one"), "bear")
    task = find_tasks("one").tasks[0]
    before = task.digest()
    os.rename("one", "two")
    moved = find_tasks("two").tasks[0]
    assert moved.digest() == before
    write_mask(Path("two/bear.png"), left=30)
    other = moved.digest()
    assert other != before
    os.remove("two/bear/00003.png")
    assert moved.digest() not in (before, other)


@pytest.mark.parametrize("name", ["bear.PNG", "bear_mask.Png", "bear.npy"])
def test_masks_of_no_clip_are_told_and_suffixes_may_be_large(name):
    touch("clips/bear.mp4", "masks/cow.png", "masks/dog/0.png", "masks/.hidden.png", "masks/notes.txt", f"masks/{name}")
    (task,), notes = (found := find_tasks("clips", Path("masks"))).tasks, found.notes
    if name.endswith("Png"):
        assert task.unclear.startswith("no mask") and "3 masks of no clip passed over (bear_mask.Png, cow.png, dog)" in notes[0]
    else:
        assert task.mask == Path("masks") / name and notes == ["masks: 2 masks of no clip passed over (cow.png, dog)"]
