"""The scenes show what they say, and the scores tell a model that follows from one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from programs import program
from toy import squares_clip, toy_segmenter

from vos_zoo.errors import EvaluationError
from vos_zoo.evaluation import stress_scenes
from vos_zoo.evaluation.stress import Followed, LostFlag, absence, follow, lost_flag, passes, windows_of
from vos_zoo.evaluation.stress_scenes import BACK, LENGTH, OUT, Cutout

SIZE = (120, 200)
GREY = np.full((90, 160, 3), 120, np.uint8)


def disc(colour: tuple[int, int, int], radius: int = 40) -> Cutout:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return Cutout(np.full((2 * radius + 1, 2 * radius + 1, 3), colour, np.uint8), y**2 + x**2 <= radius**2)


RED, GREEN, BLUE = disc((220, 40, 40)), disc((40, 200, 60)), disc((50, 60, 230))


@pytest.fixture
def tool() -> Any:
    return program("stress")


def test_an_object_leaves_and_returns() -> None:
    truth = [truth for _, truth in stress_scenes.leaves_and_returns("away", RED, GREY, SIZE).play()]
    there = [bool(each.any()) for each in truth]
    assert len(truth) == LENGTH and all(there[: OUT - 2]) and not any(there[OUT:BACK]) and all(there[BACK + 4 :])
    assert (truth[0] == 1).sum() == (truth[-1] == 1).sum() > 500, "whole at both ends"


def test_look_alikes_are_all_in_sight_and_move() -> None:
    frames = list(stress_scenes.look_alikes("three", [RED, GREEN, BLUE], GREY, SIZE).play())
    for _, truth in frames:
        assert set(np.unique(truth)) == {0, 1, 2, 3}
    places = np.array([[np.argwhere(truth == k).mean(0) for k in (1, 2, 3)] for _, truth in frames])
    assert (np.ptp(places[..., 1], axis=0) > 0.3 * SIZE[1]).all()


@pytest.mark.parametrize("height", [12, 40])
def test_small_objects_are_as_small_as_asked(height: int) -> None:
    for _, truth in stress_scenes.small("small", RED, GREY, height, SIZE).play():
        rows = np.flatnonzero((truth == 1).any(1))
        assert abs(len(rows) - height) <= 1


def test_frames_and_masks_belong_together() -> None:
    for frame, truth in stress_scenes.look_alikes("two", [RED, GREEN], GREY, SIZE).play():
        assert (frame[truth == 2] == (40, 200, 60)).all() and (frame[truth == 0] == 120).all()


def test_to_and_fro() -> None:
    video, truth = squares_clip(frames=4)
    scene = stress_scenes.to_and_fro("clip", video, truth, 9)
    shown = [int(np.flatnonzero([(frame == each).all() and (mask == t).all() for each, t in zip(video, truth, strict=True)])[0])
             for frame, mask in scene.play()]  # fmt: skip
    assert shown == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [frame.sum() for frame, _ in scene.play()] == [frame.sum() for frame, _ in scene.play()]


def test_an_object_crosses_with_its_twin() -> None:
    """A square at rest, wider at its right end; the twin, mirrored, comes from one side, passes in front and leaves at the other."""
    video, truth = np.full((9, 40, 96, 3), 120, np.uint8), np.zeros((9, 40, 96), np.int32)
    for t in range(9):
        truth[t, 10:26, 40:48] = truth[t, 10 + t : 26, 48:52] = 7
    video[truth > 0] = (200, 40, 40)
    scene = stress_scenes.crossing("two", list(video), list(truth))
    assert scene is not None and scene.length == 9
    frames, ids = (np.stack(each) for each in zip(*scene.play(), strict=True))
    assert (frames[ids == 2] == (200, 40, 40)).all() and (frames[ids == 0] == 120).all()
    assert [(of_one == 2).sum() for of_one in ids] == [(each > 0).sum() for each in truth[::-1]], "whole, and played backwards"
    middle = [np.argwhere(of_one == 2)[:, 1].mean() - 46 for of_one in ids]
    assert middle[0] * middle[-1] < 0 and abs(middle[0]) > 20 and abs(middle[4]) < 2
    assert (ids[0] == 1).sum() == (truth[0] > 0).sum() and (ids[4] == 1).sum() < 20, "it passes in front"
    assert (truth[0] > 0).sum() == 192, "the clip is as it was"


@pytest.mark.parametrize(("columns", "gone"), [(slice(2, 94), None), (slice(40, 52), 3)])
def test_no_crossing_without_room_or_object(columns: slice, gone: int | None) -> None:
    truth = np.zeros((5, 40, 96), np.int32)
    truth[:, 10:26, columns] = 1
    if gone is not None:
        truth[gone] = 0
    assert stress_scenes.crossing("none", list(np.zeros((5, 40, 96, 3), np.uint8)), list(truth)) is None


def test_a_model_that_follows_scores_one_and_is_never_lost_without_reason() -> None:
    scene = stress_scenes.leaves_and_returns("away", RED, GREY, SIZE)
    (one,) = follow(toy_segmenter(), scene).values()
    found = absence(one)
    assert found["before"] > 0.98 and found["after"] > 0.98 and found["false mask"] == 0
    flag = lost_flag(one)
    assert flag.precision == 1 and flag.recall == 1 and flag.true == sum(area == 0 for area in one.true_area)


def test_a_model_that_loses_it_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = toy_segmenter()
    start = segmenter.start

    def frozen(frame: Any, mask: Any, **options: Any) -> Any:
        session = start(frame, mask, **options)
        monkeypatch.setattr(session, "step", lambda _: session.current())
        return session

    monkeypatch.setattr(segmenter, "start", frozen)
    (one,) = follow(segmenter, stress_scenes.leaves_and_returns("away", RED, GREY, SIZE)).values()
    found = absence(one)
    assert found["false mask"] == pytest.approx(1, abs=0.05) and found["after"] < 0.5
    assert lost_flag(one).recall == 0


def test_passes_of_a_clip_played_to_and_fro() -> None:
    followed = Followed(j=[1.0] * 3 + [0.5] * 3 + [0.2] * 6, f=[1.0] * 3 + [0.5] * 3 + [0.2] * 6, there=[True] * 12)
    assert passes(followed, 4, [4, 6, 7]) == pytest.approx({"first": 1.0, "first back": 0.5, "4 back": 0.5, "6 back": 0.5, "7": 0.2})
    assert windows_of(4, [7]) == [range(1, 4), range(4, 7), range(7, 10)]
    video, truth = squares_clip(frames=4, ids=(1,))
    (one,) = follow(toy_segmenter(), stress_scenes.to_and_fro("clip", video, truth, 14), windows=windows_of(4, [7])).values()
    assert np.flatnonzero(~np.isnan(one.j)).tolist() == list(range(9))
    assert passes(one, 4, [7]) == {"first": 1.0, "first back": 1.0, "7": 1.0}
    assert "first back" not in passes(Followed(j=[1.0] * 5, f=[1.0] * 5, there=[True] * 5), 4, [2]), "the pass has no end"


def test_lost_flags_add_up() -> None:
    followed = Followed(
        j=[0.9, 0.1, 0.0, 0.9, float("nan")], f=[0.0] * 5, true_area=[9, 9, 0, 9, 0], flagged=[False, True, False, True, True]
    )
    flag = lost_flag(followed)
    assert flag == LostFlag(true=1, false=1, missed=1)
    assert (flag + flag).as_dict() == {"true": 2, "false": 2, "missed": 2, "precision": 0.5, "recall": 0.5}
    assert np.isnan(LostFlag(0, 0, 0).precision)


def test_cutouts_come_from_pairs(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(EvaluationError, match="images/X.jpg"):
        stress_scenes.cutouts(tmp_path)
    mask = np.zeros((200, 300), np.uint8)
    mask[10:100, 20:120], mask[110:190, 150:290], mask[0:5, 0:5], mask[150:, :100] = 1, 2, 3, 255
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    Image.fromarray(mask).save(tmp_path / "masks/without.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(tmp_path / "images/a.jpg")
    (group,) = stress_scenes.cutouts(tmp_path)
    assert [each.mask.shape for each in group] == [(90, 100), (80, 140)] and all(each.mask.all() for each in group)


def write_stills(folder: Path) -> None:
    """One still of three objects, and a background."""
    for name in ("stills/images", "stills/masks", "backgrounds"):
        (folder / name).mkdir(parents=True)
    mask, image = np.zeros((220, 400), np.uint8), np.full((220, 400, 3), 90, np.uint8)
    for k, colour in enumerate(((220, 40, 40), (40, 200, 60), (50, 60, 230)), 1):
        mask[60:150, 130 * k - 110 : 130 * k - 20] = k
        image[mask == k] = colour
    Image.fromarray(mask).save(folder / "stills/masks/a.png")
    Image.fromarray(image).save(folder / "stills/images/a.png")
    Image.fromarray(GREY).save(folder / "backgrounds/b.png")


def test_what_a_model_finds_itself(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stills(tmp_path)
    truths: list[np.ndarray] = []
    real = tool.stress_scenes.look_alikes

    def noted(*arguments: Any) -> Any:
        scene = real(*arguments)
        truths.extend(truth for _, truth in scene.play())
        return scene

    class Finder:
        finds_objects = True
        config = toy_segmenter().config

        def propagate(self, frames: Any, progress: bool) -> list[np.ndarray]:
            """All but the second object, under other numbers."""
            return [np.where(truth == 3, 1, np.where(truth == 1, 2, 0)) for truth in truths]

    monkeypatch.setattr(tool.stress_scenes, "look_alikes", noted)
    monkeypatch.setattr(tool.stress_scenes, "LENGTH", 6)
    monkeypatch.setattr(tool.vos_zoo, "load", lambda *_, **__: Finder())
    folders = ["--stills", str(tmp_path / "stills"), "--backgrounds", str(tmp_path / "backgrounds")]
    assert tool.main([*folders, "--json", str(tmp_path / "found.json")]) == 0
    report = json.loads((tmp_path / "found.json").read_text())
    assert report["found"] == pytest.approx({"J&F": 2 / 3, "found": 2 / 3})
    assert tool.main([]) == 2


def test_the_tool_measures_and_writes(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stills(tmp_path)
    for name in ("clips/a/frames", "clips/a/masks"):
        (tmp_path / name).mkdir(parents=True)
    video, truth = squares_clip(frames=4, ids=(1,))
    for t, (frame, labels) in enumerate(zip(video, truth, strict=True)):
        Image.fromarray(frame).save(tmp_path / f"clips/a/frames/{t:03}.png")
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / f"clips/a/masks/{t:03}.png")
    monkeypatch.setattr(tool.vos_zoo, "load", lambda *_, **__: toy_segmenter())
    monkeypatch.setattr(tool.stress_scenes, "LENGTH", 54)
    folders = ["--stills", str(tmp_path / "stills"), "--backgrounds", str(tmp_path / "backgrounds"), "--clips", str(tmp_path / "clips")]
    assert tool.main([*folders, "--at", "7", "--count", "1", "--json", str(tmp_path / "stress.json")]) == 0
    report = json.loads((tmp_path / "stress.json").read_text())
    assert report["drift"]["a"] == {"first": 1.0, "first back": 1.0, "7": 1.0}
    assert report["look-alikes"]["J&F"] > 0.95 and set(report["small"]) == {"24", "48", "96"} and report["absence"]["false mask"] == 0
    assert report["lost"]["recall"] == 1.0
    said = capsys.readouterr().out
    assert "24 pixels" in said and "lost: precision" in said
    assert tool.main([*folders[:4], "--scenes", "absence", "--count", "1", "--json", str(tmp_path / "one.json")]) == 0
    assert set(json.loads((tmp_path / "one.json").read_text())) == {"model", "vos_zoo", "absence", "lost"}
    assert tool.main([*folders[4:], "--crossings", "--frames", "3", "--json", str(tmp_path / "two.json")]) == 0
    assert set(json.loads((tmp_path / "two.json").read_text())["crossings"]) == {"a"} and "(1 clips)" in capsys.readouterr().out
    assert tool.main(["--stills", str(tmp_path / "stills"), "--backgrounds", str(tmp_path / "clips")]) == 2
    assert "no images" in capsys.readouterr().err
