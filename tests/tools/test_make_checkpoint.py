"""From data to card by one command: a dry run of the recipes that ship, on tiny pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import program
from training_data import write_clip, write_stills

import vos_zoo
from vos_zoo.checkpoints import catalogue
from vos_zoo.train.recipe_file import load_recipe

TRAINED = [name for name in catalogue.names() if catalogue.read(name).training.get("recipe")]
STEPS = 12  # one of each stage at least
SCORED = "crvos-resnet18"  # also stopped amid, and scored
TRIED = TRAINED if os.environ.get("VOS_ZOO_EVERY_RECIPE") else [SCORED]  # tests/train/test_papers.py runs the stages of them all


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in load_recipe(catalogue.folder() / SCORED / "recipe.yaml", []).stills:
        write_stills(folder / name)
    write_clip(folder / "clip")
    (folder / "clips.json").write_text(json.dumps({"clip": {"split": "train"}, "davis2016val__x": {"split": "val"}}))
    write_clip(folder / "val/davis2016val__x")
    write_clip(folder / "val/davis2017val__dogs-jump")
    write_clip(folder / "val/segtrack__girl")
    return folder


def call(name: str, data: Path, out: Path, steps: int, *more: str, score: bool = True) -> int:
    recipe = load_recipe(catalogue.folder() / name / "recipe.yaml", [])
    changes = {f"stages.{n}.steps": steps // len(recipe.stages) + (n < steps % len(recipe.stages)) for n in range(len(recipe.stages))}
    changes |= {"stages.*.size": "[48,64]", "stages.*.batch": 1, "backbone": "null", "short_side": 48}
    arguments = [name, "--data", str(data), *(["--clips", str(data / "val")] if score else [])]
    arguments += ["--runs", str(out / "runs"), "--into", str(out / "made"), *(f"--set={key}={value}" for key, value in changes.items())]
    status: int = program("make_checkpoint").main([*arguments, "--", "--workers", "0", "--device", "cpu", "--no-tensorboard", *more])
    return status


@pytest.mark.parametrize("name", TRIED)
def test_a_few_steps_from_data_to_card(name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name == SCORED:
        assert call(name, data, tmp_path, STEPS, "--max-minutes", "0") == 1
        assert f"stopped at step 1 of {STEPS}; the same command goes on" in capsys.readouterr().out
    assert call(name, data, tmp_path, STEPS, score=name == SCORED) == 0
    config = json.loads((tmp_path / "made/config.json").read_text())
    assert config["training"]["steps"] == STEPS and config["name"] == name and config["licence"]
    if name == SCORED:
        check_scores(config, (tmp_path / "made/README.md").read_text())
    segmenter = vos_zoo.load(tmp_path / "made", device="cpu")
    frames = np.zeros((2, 48, 64, 3), np.uint8)
    mask = None if segmenter.finds_objects else np.eye(48, 64, dtype=np.uint8)
    assert len(segmenter.propagate(frames, mask)) == 2


def check_scores(config: dict[str, Any], card: str) -> None:
    assert [row["dataset"].split()[0].strip(",") for row in config["metrics"]] == ["DAVIS-2016", "DAVIS-2017", "SegTrack"]
    assert f"{config['metrics'][0]['J&F']:.1f}" in card and "--only 'davis2016val__*'" in card


@pytest.mark.parametrize("name", TRAINED)
def test_the_recipe_beside_the_weights_made_them(name: str) -> None:
    said = json.loads(json.dumps(load_recipe(catalogue.folder() / name / "recipe.yaml", []).as_dict()))
    made_by = catalogue.read(name).training["recipe"]
    assert len(said["stages"]) == len(made_by["stages"]), "as many stages as the weights went through"
    for ours, theirs in ((said, made_by), *zip(said.pop("stages"), made_by.pop("stages"), strict=True)):
        both = set(ours) & set(theirs)  # versions of the library know different entries
        assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}


def test_weights_without_terms_are_refused(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("crvos-resnet50", data, tmp_path, 2) == 2
    assert "licence" in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_a_program_that_fails_is_told_by_name(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(SCORED, data / "nowhere", tmp_path, STEPS) == 2
    assert "vos-zoo train ended with status 2" in capsys.readouterr().err and not (tmp_path / "made").exists()
