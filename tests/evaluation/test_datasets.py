"""Layouts of data sets: which clips, which frames, which objects, what the values of a mask mean."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_data import SIZE, labels, write_clip, write_davis, write_frames, write_mask, write_youtubevos, youtube_labels
from PIL import Image

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation.clip import Clip
from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.evaluation.scoring import score
from vos_zoo.train.sources.layouts import find_clips
from vos_zoo.train.sources.problems import Problems
from vos_zoo.videos.video import open_video


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    write_clip(folder, "cat")
    write_clip(folder, "dog", frames=6, ids=(2,))
    return folder


@pytest.fixture
def davis(tmp_path):
    return write_davis(tmp_path / "DAVIS")


@pytest.fixture
def unsupervised(tmp_path):
    return write_davis(tmp_path / "DAVIS", annotations="Annotations_unsupervised")


@pytest.fixture
def youtube(tmp_path):
    return write_youtubevos(tmp_path / "hold-out")


def test_the_folder_layout(root):
    cat, dog = load_dataset(f"folder:{root}")
    assert (cat.name, dog.name) == ("cat", "dog")
    assert cat.annotated == list(range(8)) and cat.first == 0 and cat.scored == list(range(1, 7))
    assert cat.frame_names is not None and cat.frame_names[7] == cat.frame_name(7) == "00007"
    assert (cat.truth(3) == labels(3)).all()
    assert cat.objects() == {1: 0, 3: 0}
    assert open_video(cat.video).length == 8


def test_one_clip_in_place_of_a_folder_of_clips(root, monkeypatch):
    (cat,) = load_dataset(f"folder:{root / 'cat'}")
    assert (cat.name, cat.annotated) == ("cat", list(range(8)))
    monkeypatch.chdir(root / "dog")
    assert [clip.name for clip in load_dataset("folder:.")] == ["dog"]
    (trained,) = find_clips("folder", root / "cat", Problems())
    assert trained.name == "cat" and len(trained.pairs) == 8


def test_sparse_masks_are_matched_by_name_or_number(tmp_path):
    write_frames(tmp_path / "a" / "frames", [f"{i}.png" for i in range(9, 13)])
    write_mask(tmp_path / "a" / "masks" / "00010.png", labels(1))
    write_mask(tmp_path / "a" / "masks" / "0012.png", labels(3))
    write_frames(tmp_path / "b" / "frames", ["first.png", "second.png"])
    write_mask(tmp_path / "b" / "masks" / "second.png", labels(1))
    a, b = load_dataset(f"folder:{tmp_path}")
    assert a.annotated == [1, 3] and (a.truth(3) == labels(3)).all()
    assert b.annotated == [1] and b.first == 1
    with pytest.raises(EvaluationError, match="clip 'a' has no true mask for frame 0"):
        a.truth(0)


def test_masks_of_a_folder_are_read_as_what_they_are(root):
    """Black and white is object 1; an indexed file in DAVIS's colours holds ids, 255 of which is void."""
    (clip,) = load_dataset(f"folder:{root}", only="dog")
    target = root / "dog" / "masks" / "00003.png"
    write_mask(target, 255 * (labels(3, (1,))), indexed=False)
    assert (clip.truth(3) == labels(3, (1,))).all()
    mask = labels(3, (2,))
    mask[0] = 255
    write_mask(target, mask)
    assert (clip.truth(3) == labels(3, (2,))).all() and not clip.truth_and_void(3)[1].any()
    grey = Image.fromarray((mask == 2).astype(np.uint8))
    grey.putpalette([255, 255, 255, 0, 0, 0])  # white background, a black object: ids can't be taken as they stand
    grey.save(target)
    assert clip.truth(3).max() == 1


def test_masks_that_fit_no_frame_or_the_same_one(root):
    write_mask(root / "cat" / "masks" / "8.png", labels(0))
    with pytest.raises(EvaluationError, match=r"8\.png fits no frame of .*frames by name or number"):
        load_dataset(f"folder:{root}")
    (root / "cat" / "masks" / "8.png").rename(root / "cat" / "masks" / "3.png")
    with pytest.raises(EvaluationError, match="00003.png and 3.png are both frame 3"):
        load_dataset(f"folder:{root}")


@pytest.mark.parametrize("name", ["00002.tif", "2.bmp", "00002.jpg", "00002.npy"])
def test_masks_of_kinds_that_are_not_read_are_told(root, name):
    (root / "cat" / "masks" / "00002.png").rename(root / "cat" / "masks" / name)
    with pytest.raises(EvaluationError, match=f"{name} is a mask of a kind that is not read"):
        load_dataset(f"folder:{root}")
    problems = Problems()
    find_clips("folder", root, problems)
    assert [path.name for path, _ in problems.found] == [name]


def test_only_some_clips(root):
    assert [clip.name for clip in load_dataset(f"folder:{root}", only="d*")] == ["dog"]
    assert [clip.name for clip in load_dataset(f"folder:{root}", only=["dog", "?at"])] == ["cat", "dog"]
    with pytest.raises(EvaluationError, match="no clip of .* is called 'cow'; there are: cat, dog"):
        load_dataset(f"folder:{root}", only=["cat", "cow"])


def test_bad_specs(root, tmp_path):
    with pytest.raises(EvaluationError, match="'davis:x' is not LAYOUT:ROOT .* davis2016, .*, folder, .*, mose, sav, vipseg, youtubevos"):
        load_dataset("davis:x")
    with pytest.raises(EvaluationError, match="there is no folder .*nowhere"):
        load_dataset(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(EvaluationError, match="holds no clips: expected"):
        load_dataset(f"folder:{root / 'cat' / 'frames'}")
    with pytest.raises(EvaluationError, match="has no ImageSets/2017/val.txt"):
        load_dataset(f"davis2017:{root}")
    with pytest.raises(EvaluationError, match="seen categories are for the layout youtubevos"):
        load_dataset(f"folder:{root}", seen="seen.txt")
    write_frames(root / "cow" / "frames", ["0.png"])
    (root / "cow" / "masks").mkdir()
    with pytest.raises(EvaluationError, match=r"clip 'cow': .*masks holds no \.png"):
        load_dataset(f"folder:{root}")


def test_a_clip_needs_a_true_mask():
    with pytest.raises(EvaluationError, match="'x' has no true mask; give that of its first frame"):
        Clip("x", "video.mp4", {})


# ---- DAVIS


def test_davis_2017_void_is_background(davis):
    clips = load_dataset(f"davis2017:{davis}")
    assert [clip.name for clip in clips] == ["cat", "dog"]
    assert np.unique(clips[0].truth(0)).tolist() == [0, 1, 2]
    assert clips[0].objects() == {1: 0, 2: 0} and clips[0].scored == [1, 2, 3]
    assert list(clips[0].given()) == [0] and (clips[0].given()[0] == clips[0].truth(0)).all()


def test_davis_2017_takes_grey_values_for_ids_too(davis):
    clip = load_dataset(f"davis2017:{davis}")[0]
    path = davis / "Annotations" / "480p" / "cat" / "00002.png"
    write_mask(path, labels(2, (1, 2)), indexed=False)
    assert (clip.truth(2) == labels(2, (1, 2))).all()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(path)
    with pytest.raises(EvaluationError, match=r"00002\.png is a picture in RGB, from which ids can't be told; save it as an indexed"):
        clip.truth(2)


def test_davis_2016_all_is_one_object(davis):
    (clip,) = load_dataset(f"davis2016:{davis}")
    truth = clip.truth(2)
    assert np.unique(truth).tolist() == [0, 1]
    assert truth[0].all() and ((truth == 1) == (labels(2, (1, 2)) > 0))[1:].all()
    white = 255 * (truth > 0).astype(np.uint8)
    write_mask(davis / "Annotations" / "480p" / "cat" / "00002.png", white, indexed=False)
    assert (clip.truth(2) == truth).all()
    assert score(clip, {i: 255 * clip.truth(i) for i in range(5)}).j.tolist() == [[1, 1, 1]]


def test_davis_names_what_is_missing(davis):
    with pytest.raises(EvaluationError, match="has no Annotations_unsupervised/480p, .* it comes with DAVIS-2017-Unsupervised"):
        load_dataset(f"davis2017-unsupervised:{davis}")
    (davis / "ImageSets" / "2017" / "val.txt").write_text("cat\ncow\n")
    with pytest.raises(EvaluationError, match="clip 'cow': there is no folder .*JPEGImages/480p/cow"):
        load_dataset(f"davis2017:{davis}")
    (davis / "ImageSets" / "2017" / "val.txt").write_text("")
    with pytest.raises(EvaluationError, match="val.txt is empty"):
        load_dataset(f"davis2017:{davis}")


def test_the_release_of_2016_by_itself_is_scored_as_it_is_trained_on(davis):
    """It has ImageSets/480p/val.txt: two paths a line, a line a frame, and masks of 0 and 255."""
    whole = load_dataset(f"davis2016:{davis}")[0]
    listing = davis / "ImageSets" / "480p" / "val.txt"
    listing.parent.mkdir()
    listing.write_text("".join(f"/JPEGImages/480p/cat/{n:05d}.jpg /Annotations/480p/cat/{n:05d}.png\n" for n in range(5)))
    (davis / "ImageSets" / "2016" / "val.txt").unlink()
    (clip,) = load_dataset(f"davis2016:{davis}")
    assert (clip.name, clip.scored, clip.digest()) == ("cat", [1, 2, 3], whole.digest())
    (trained,) = find_clips("davis2016", davis, Problems(), subset="val")
    assert dict(enumerate(mask for _, mask in trained.pairs)) == clip.masks and trained.merged
    assert score(clip, {i: clip.truth(i) for i in range(5)}).j.tolist() == [[1, 1, 1]]
    with pytest.raises(EvaluationError, match="has no ImageSets/2017/gone.txt"):
        load_dataset(f"davis2017:{davis}", subset="gone")


def test_davis_at_full_resolution_where_that_is_all_there_is(davis):
    for folder in ("JPEGImages", "Annotations"):
        (davis / folder / "480p").rename(davis / folder / "Full-Resolution")
    assert load_dataset(f"davis2017:{davis}")[0].video == davis / "JPEGImages" / "Full-Resolution" / "cat"


def test_hidden_files_and_masks_of_any_suffix_case(root):
    masks = root / "cat" / "masks"
    (masks / "._00000.png").write_bytes(b"left by another system")
    (masks / "00003.png").rename(masks / "00003.PNG")
    cat, _ = load_dataset(f"folder:{root}")
    assert cat.annotated == list(range(8)) and cat.masks[3].name == "00003.PNG"


def test_another_subset(davis):
    (davis / "ImageSets" / "2017" / "train.txt").write_text("dog\n")
    assert [clip.name for clip in load_dataset(f"davis2017:{davis}", subset="train")] == ["dog"]
    with pytest.raises(EvaluationError, match="has no ImageSets/2016/train.txt"):
        load_dataset(f"davis2016:{davis}", subset="train")


def test_unsupervised_davis_scores_all_frames_and_knows_void(unsupervised):
    clip = load_dataset(f"davis2017-unsupervised:{unsupervised}")[0]
    assert clip.scored == [0, 1, 2, 3, 4] and clip.given() == {}
    truth, void = clip.truth_and_void(3)
    assert void[0].all() and not void[1:].any() and not truth[0].any()


def test_a_folder_for_models_that_are_given_no_mask(root):
    cat, dog = load_dataset(f"folder-unsupervised:{root}")
    assert cat.given() == dog.given() == {} and cat.scored == list(range(8))
    assert cat.objects() == {1: 0, 3: 0}


def test_ids_that_are_skipped_are_objects_in_davis_as_in_the_official_tool(davis, root):
    for index in range(5):
        write_mask(davis / "Annotations" / "480p" / "cat" / f"{index:05d}.png", labels(index, (1, 3)))
    assert list(load_dataset(f"davis2017:{davis}", only="cat")[0].objects()) == [1, 2, 3]
    assert list(load_dataset(f"folder:{root}", only="cat")[0].objects()) == [1, 3]


# ---- YouTube-VOS


def test_youtubevos_objects_begin_where_meta_says(youtube):
    first, second = load_dataset(f"youtubevos:{youtube}")
    assert first.objects() == {2: 10, 4: 0} and second.objects() == {1: 5}
    assert first.annotated == [0, 5, 10, 15, 20, 25]
    given = first.given()
    assert {frame: list(masks) for frame, masks in given.items()} == {0: [4], 10: [2]}
    assert (given[10][2] == (youtube_labels("0a", 2) == 2)).all(), "the other object, annotated there too, is not given again"
    assert list(second.given()) == [5]


@pytest.mark.parametrize("form", ["a list", "a list in the root", "the meta.json of the training set"])
def test_youtubevos_seen_categories(youtube, tmp_path, form):
    path = youtube / "seen.txt" if "root" in form else tmp_path / "trained.txt"
    path.write_text("person\ntruck\n")
    if "meta" in form:
        path = tmp_path / "train.json"
        path.write_text(json.dumps({"videos": {"x": {"objects": {"1": {"category": "person", "frames": ["00000"]}}}}}))
    first, second = load_dataset(f"youtubevos:{youtube}", seen=None if "root" in form else path)
    assert first.seen == {2: False, 4: True} and second.seen == {1: True}


def test_youtubevos_all_are_seen_where_nobody_says(youtube):
    assert [set(clip.seen.values()) for clip in load_dataset(f"youtubevos:{youtube}")] == [{True}, {True}]


def change(youtube, what):
    meta = json.loads((youtube / "meta.json").read_text())
    what(meta["videos"])
    (youtube / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            lambda v: v["0a"]["objects"]["4"].update(frames=["00003"]),
            r"'0a': object 4 begins in frame '00003' by meta.json, which is without a mask",
        ),
        (
            lambda v: v["0a"]["objects"]["4"].update(frames=["00099"]),
            r"object 4 begins in frame '00099' by meta.json, which is no frame of",
        ),
        (lambda v: v["0a"]["objects"]["4"].update(frames=[]), r"video '0a', object '4' needs a whole number as its id and \"frames\""),
        (lambda v: v["0a"]["objects"].update(x={"frames": ["00000"]}), r"object 'x' needs a whole number as its id"),
        (lambda v: v["0a"].update(objects={}), "meta.json names no object of video '0a'; take it out"),
        (lambda v: v.clear(), "meta.json names no video"),
        (lambda v: v.update({"0a": {}}), r"meta.json is not as YouTube-VOS has it \(KeyError: 'objects'\); expected"),
    ],
)
def test_youtubevos_meta_that_can_not_be_followed(youtube, what, message):
    change(youtube, what)
    with pytest.raises(EvaluationError, match=message):
        load_dataset(f"youtubevos:{youtube}")


def test_youtubevos_folders_and_files_that_are_missing(youtube, tmp_path):
    with pytest.raises(EvaluationError, match="hold-out/meta.json is not|has no meta.json; give the folder that holds JPEGImages"):
        load_dataset(f"youtubevos:{youtube / 'Annotations'}")
    (tmp_path / "release").mkdir()
    youtube.rename(tmp_path / "release" / "train")
    with pytest.raises(EvaluationError, match=r"release has no meta.json; give .*release.train"):
        load_dataset(f"youtubevos:{tmp_path / 'release'}")
    with pytest.raises(EvaluationError, match="there is no file .*gone.txt with the categories"):
        load_dataset(f"youtubevos:{tmp_path / 'release' / 'train'}", seen="gone.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(EvaluationError, match="empty.txt names no category"):
        load_dataset(f"youtubevos:{tmp_path / 'release' / 'train'}", seen=tmp_path / "empty.txt")


def test_youtubevos_an_object_without_category_is_neither_seen_nor_unseen(youtube):
    (youtube / "seen.txt").write_text("person\n")
    change(youtube, lambda videos: videos["0a"]["objects"]["4"].pop("category"))
    with pytest.raises(EvaluationError, match="video '0a', object '4' has no \"category\""):
        load_dataset(f"youtubevos:{youtube}")


def test_youtubevos_an_object_that_is_not_there_where_it_begins(youtube):
    write_mask(youtube / "Annotations" / "0a" / "00010.png", youtube_labels("0a", 1))
    with pytest.raises(EvaluationError, match=r"object 2 begins in frame 00010, but .*00010\.png shows nothing of it; correct meta.json"):
        load_dataset(f"youtubevos:{youtube}")[0].given()


def test_the_digest_changes_with_the_truth_and_with_nothing_else(root):
    def digests():
        return [clip.digest() for clip in load_dataset(f"folder:{root}")]

    before = digests()
    assert before == digests() and before[0] != before[1]
    write_mask(root / "cat" / "masks" / "00007.png", labels(0))
    after = digests()
    assert after[0] != before[0] and after[1] == before[1]
    arrays = Clip("x", "video.mp4", {0: labels(0), 1: labels(1)})
    assert arrays.digest() == Clip("x", "other.mp4", {0: labels(0), 1: labels(1)}).digest()
    assert arrays.digest() != Clip("x", "video.mp4", {0: labels(0), 1: labels(2)}).digest()
