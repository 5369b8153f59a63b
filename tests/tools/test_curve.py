"""J&F against samples, from the snapshots that a run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programs import program
from training_data import write_clip, write_stills

from vos_zoo.checkpoints import catalogue
from vos_zoo.commands.train import main as train
from vos_zoo.train.recipe_file import load_recipe


@pytest.fixture(scope="module")
def tool() -> Any:
    return program("curve")


def test_samples_are_the_frames_predicted(tool: Any) -> None:
    recipe = load_recipe(catalogue.folder() / "rvos-resnet18/recipe.yaml", [])
    first, second = recipe.stages[:2]
    assert tool.samples(recipe, 10) == 10 * first.batch * (first.frames - 1)
    assert tool.samples(recipe, first.steps + 3) == first.steps * first.batch * (first.frames - 1) + 3 * second.batch * (second.frames - 1)


def test_a_curve_from_the_snapshots_of_a_run(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load_recipe(catalogue.folder() / "crvos-resnet18/recipe.yaml", [])
    for name in recipe.stills:
        write_stills(tmp_path / "data" / name)
    write_clip(tmp_path / "data" / "clip")
    (tmp_path / "data" / "clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    write_clip(tmp_path / "val" / "davis2016val__x")
    steps = [f"--set=stages.{n}.steps=1" for n in range(len(recipe.stages))]
    small = ["--set=stages.*.size=[48,64]", "--set=stages.*.batch=1", "--set=backbone=null", "--set=short_side=48", *steps]
    where = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run")]
    command = ["crvos-resnet18", *small, *where, "--snapshot-every", "2", "--workers", "0", "--device", "cpu", "--no-tensorboard"]
    assert train(command) == 0
    kept = [path.name for path in sorted((tmp_path / "run" / "snapshots").iterdir())]
    assert kept == [f"{step:06}.pt" for step in range(2, len(recipe.stages) + 1, 2)]

    curve = ["--runs", str(tmp_path / "run"), "--names", "tiny", "--clips", str(tmp_path / "val"), "--size", "64", "--device", "cpu"]
    curve += ["--json", str(tmp_path / "curves.json"), "--plot", str(tmp_path / "curves.svg")]
    assert tool.main(curve) == 0
    points = json.loads((tmp_path / "curves.json").read_text())
    assert [point["step"] for point in points] == sorted({*range(2, len(recipe.stages) + 1, 2), len(recipe.stages)})
    assert all(point["run"] == "tiny" and point["model"] == "crvos" and 0 <= point["J&F"] <= 100 for point in points)
    assert "tiny" in (tmp_path / "curves.svg").read_text()
    assert capsys.readouterr().out.count("J&F") == len(points)
    assert tool.main(curve) == 0 and "J&F" not in capsys.readouterr().out, "a point is measured once"


def test_nothing_to_draw(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--runs", str(tmp_path), "--clips", str(tmp_path), "--json", str(tmp_path / "a"), "--plot", str(tmp_path / "b")]) == 2
    assert "give the folder of a training run" in capsys.readouterr().err
