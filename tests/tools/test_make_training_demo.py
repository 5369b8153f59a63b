"""The clips of docs/how-to/fine-tune.md and its picture: what the tools write is what training and evaluation read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from programs import program

from vos_zoo.evaluation.datasets import load_dataset
from vos_zoo.example.clip import render_example
from vos_zoo.masks.sequence import MaskSequence

SMALL = ["--frames", "6", "--size", "96x160"]


@pytest.fixture(scope="module")
def demo():
    return program("make_training_demo")


@pytest.fixture(scope="module")
def ponds(demo, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "ponds"
    assert demo.main(["--out", str(out), *SMALL]) == 0
    return out


def test_three_clips_to_train_on_and_one_of_the_same_kind_kept_out(demo, ponds):
    training, kept = load_dataset(f"folder:{ponds / 'clips'}"), load_dataset(f"folder:{ponds / 'kept_out'}")
    assert [clip.name for clip in training] == ["pond-1", "pond-2", "pond-3"] and [clip.name for clip in kept] == ["pond-4"]
    for number, clip in enumerate([*training, *kept], 1):
        drawn = render_example(frames=6, size=(96, 160), seed=number, pond=demo.KIND)
        frames = [np.asarray(Image.open(path)) for path in sorted(Path(clip.video).iterdir())]
        assert (np.stack(frames) == drawn.frames).all()
        assert (np.stack([clip.truth(t) for t in range(6)]) == drawn.masks).all()
        assert list(clip.objects()) == [1, 2]


def test_training_reads_them(ponds):
    pytest.importorskip("scipy")
    from vos_zoo.train.sources.clips import load_clips
    from vos_zoo.train.sources.layouts import find_clips
    from vos_zoo.train.sources.problems import Problems

    problems = Problems()
    clips = load_clips(find_clips("folder", ponds / "clips", problems), problems)
    assert len(clips) == 3 and all(sorted(clip.runs) == [1, 2] for clip in clips)
    assert not problems.found


def test_another_seed_draws_other_clips(demo, ponds, tmp_path):
    assert demo.main(["--out", str(tmp_path / "other"), "--seed", "1", *SMALL]) == 0
    names = [path.relative_to(ponds) for path in sorted(ponds.rglob("frames/*.png"))]
    assert len(names) == 24
    assert all((tmp_path / "other" / name).read_bytes() != (ponds / name).read_bytes() for name in names)


def test_it_overwrites_nothing_and_says_what_was_wrong(demo, ponds, tmp_path, capsys):
    assert demo.main(["--out", str(ponds)]) == 1
    assert "is there already: give --out a new folder" in capsys.readouterr().err
    assert demo.main(["--out", str(tmp_path / "none"), "--frames", "0"]) == 1
    assert "frames is 0" in capsys.readouterr().err and not (tmp_path / "none").exists()
    with pytest.raises(SystemExit):
        demo.main(["--out", str(tmp_path / "none"), "--size", "64"])
    assert "'64' is not HEIGHTxWIDTH" in capsys.readouterr().err


def test_a_clip_that_breaks_off_is_not_left_half(demo, tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(MaskSequence, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        demo.main(["--out", str(tmp_path / "ponds"), *SMALL])
    assert not list((tmp_path / "ponds").rglob("*.png"))


def test_the_picture_compares_results_with_the_truth(demo, ponds, tmp_path, capsys):
    pictures = program("make_pictures")
    clip = ponds / "kept_out" / "pond-4"
    empty = MaskSequence((96, 160), (1, 2))
    for _ in range(6):
        empty.append(np.zeros((96, 160), np.uint8))
    empty.save(tmp_path / "nothing" / "pond-4")
    MaskSequence.load(clip / "masks").save(tmp_path / "all" / "pond-4")
    picture, chosen = pictures.compare(clip, [("before", tmp_path / "nothing"), ("after", tmp_path / "all")], 2)
    assert chosen == [0, 4], "the last frame is not scored"
    height = (picture.height - pictures.HEADING) // 3
    rows = [np.asarray(picture)[pictures.HEADING + n * height :][: height - 40, pictures.MARGIN :] for n in range(3)]
    assert (rows[0] == rows[2]).all() and (rows[0] != rows[1]).any()

    results = [f"before={tmp_path / 'nothing'}", f"after={tmp_path / 'all'}"]
    out = tmp_path / "picture.webp"
    assert pictures.main(["--clip", str(clip), "--results", *results, "--columns", "2", "--out", str(out)]) == 0
    assert "frames 0, 4" in capsys.readouterr().out
    with Image.open(out) as saved:
        assert saved.size == picture.size


def test_best_and_worst_frames(demo, ponds, tmp_path, capsys):
    pictures = program("make_pictures")
    clip = ponds / "kept_out" / "pond-4"
    truth = MaskSequence.load(clip / "masks")
    spoilt = MaskSequence((96, 160), (1, 2))
    for t in range(6):
        spoilt.append(np.zeros((96, 160), np.uint8) if t == 3 else truth[t])
    spoilt.save(tmp_path / "masks" / "pond-4")
    command = ["--clips", str(ponds / "kept_out"), "--masks", str(tmp_path / "masks"), "--out", str(tmp_path / "sheet.webp")]
    assert pictures.main(command) == 0
    best, _, worst = capsys.readouterr().out.rpartition("frames ")[2].split(", ")
    assert int(worst) == 3 and int(best) != 3
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.width == pictures.MARGIN + 3 * (pictures.CELL + 4)


def test_a_picture_of_what_is_not_there(ponds, tmp_path, capsys):
    pictures = program("make_pictures")
    clip = str(ponds / "kept_out" / "pond-4")
    assert pictures.main(["--clip", clip, "--results", f"before={tmp_path / 'no'}", "--out", str(tmp_path / "p.webp")]) == 1
    assert "no" in capsys.readouterr().err and not (tmp_path / "p.webp").exists()
    with pytest.raises(SystemExit):
        pictures.main(["--clip", clip])
    assert "takes both --clip and --results" in capsys.readouterr().err
