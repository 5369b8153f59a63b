"""Models joined by a plus, "crvos+scm": the same ensemble from Python, from every command, and refused where one model is meant."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from many_clips import write_frames, write_mask

import vos_zoo
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.checkpoints.sources import joined
from vos_zoo.cli import main
from vos_zoo.errors import ModelNotFoundError, VosZooError
from vos_zoo.zoo import download

ARGS = {"backbone": "resnet10t", "backbone_stages": 3, "batch_norm": "folded", "reduced": [8, 8, 8], "blended": [8, 8, 8]}
HERE = {"device": "cpu", "dtype": "float32"}
OPTIONS = ("--device", "cpu", "--dtype", "float32")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """one/ and two/, checkpoints with random weights, and clips/ant with frames and masks."""
    folder = tmp_path_factory.mktemp("made")
    for seed, (name, side) in enumerate((("one", 32), ("two", 48))):
        torch.manual_seed(seed)
        config = ModelConfig(name=name, architecture="CRVOS", model_args=ARGS, preprocess=Preprocess(short_side=side))
        vos_zoo.create(config, **HERE).save_pretrained(folder / name, dtype=None)
    write_frames(folder / "clips/ant/frames")
    for frame in (folder / "clips/ant/frames").iterdir():
        write_mask(folder / "clips/ant/masks" / f"{frame.stem}.png")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    for name in ("one", "two", "clips"):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def expected(here):
    """What the ensemble of both gives, made by hand."""
    both = vos_zoo.ensemble([vos_zoo.load("one", **HERE), vos_zoo.load("two", **HERE)])
    return np.asarray(both.propagate("clips/ant/frames", first_mask(), progress=False))


def first_mask() -> Path:
    return min(Path("clips/ant/masks").iterdir())


def saved(folder: str) -> np.ndarray:
    return np.asarray(vos_zoo.MaskSequence.load(folder))


def test_load_makes_the_ensemble(expected):
    both = vos_zoo.load("one+two", **HERE)
    assert [member.config.name for member in both.members] == ["one", "two"] and both.weights == (0.5, 0.5)
    assert np.array_equal(both.propagate("clips/ant/frames", first_mask(), progress=False), expected)
    assert not np.array_equal(vos_zoo.load("one", **HERE).propagate("clips/ant/frames", first_mask(), progress=False), expected)


def test_every_command_gives_its_masks(expected, capsys):
    model = ("--model", "one+two", *OPTIONS)
    assert main(["propagate", "clips/ant/frames", "--mask", str(first_mask()), "--out", "alone", "--save", "masks", *model]) == 0
    assert np.array_equal(saved("alone/masks"), expected)
    assert main(["propagate", "clips", "--out", "many", *model]) == 0  # its processes load the members by their own paths
    assert np.array_equal(saved("many/ant/masks"), expected)
    assert main(["evaluate", "--dataset", "folder:clips", "--out", "scores", *model]) == 0
    assert np.array_equal(saved("scores/one+two/masks/ant"), expected)
    about = json.loads(Path("scores/one+two/scores.json").read_text())["about"]
    assert about["size inside"] == "32, 48" and about["model"].startswith("one+two (Ensemble, ") and about["weights"].count("sha256 ") == 2
    capsys.readouterr()


def test_results_of_other_members_are_not_mixed(here, capsys):
    arguments = ["evaluate", "--dataset", "folder:clips", "--out", "scores", "--no-progress", *OPTIONS, "--model", "one+two"]
    assert main(arguments) == 0
    shutil.rmtree("two")
    shutil.copytree("one", "two")
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "members" in said and "its 1 finished clip will be done again" in said


def test_info_and_download_tell_each(here, capsys):
    assert main(["info", "one+two", "--json", *OPTIONS]) == 0
    assert [info["name"] for info in json.loads(capsys.readouterr().out)] == ["one", "two"]
    assert main(["info", "one+two", *OPTIONS]) == 0
    assert capsys.readouterr().out.count("architecture CRVOS") == 2
    assert [path.parent.name for path in download("one+two")] == ["one", "two"]


def test_a_folder_with_a_plus_in_its_name_is_that_folder(here):
    shutil.move("one", "one+more")
    assert joined("one+more") == ["one+more"] and joined(Path("a+b")) == [Path("a+b")]
    assert vos_zoo.load("one+more", **HERE).config.name == "one"


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("one+", {}, ModelNotFoundError, r"'one\+' joins models that decide together: a name is missing"),
        ("one+three", {}, ModelNotFoundError, "no model is called 'three'"),
        ("one+two", {"background": "prod"}, VosZooError, r"background can be given for one model, and one\+two are 2"),
        ("one+two", {"revision": "main"}, VosZooError, r"revision can be given for one model, and one\+two are 2"),
        ("one+rvos-zeroshot", {}, VosZooError, "rvos-zeroshot finds the objects itself"),
    ],
)
def test_what_can_not_be_joined(here, name, options, error, message):
    with pytest.raises(error, match=message):
        vos_zoo.load(name, **HERE, **options)


def test_one_model_is_trained_not_several(here, capsys):
    assert main(["train", "--from", "one+two", "--clips", "clips", "--out", "run", "--no-tensorboard"]) == 2
    assert "one+two" in capsys.readouterr().err and not Path("run").exists()
