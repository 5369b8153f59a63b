"""The ablation's table, on a budget of one step a stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programs import program
from training_data import write_clip, write_stills

from vos_zoo.checkpoints import catalogue
from vos_zoo.train.recipe_entries import recipe_from
from vos_zoo.train.recipe_file import load_recipe


@pytest.fixture(scope="module")
def tool() -> Any:
    return program("ablation")


def test_every_row_sees_as_many_frames(tool: Any) -> None:
    for name in tool.ROWS:
        recipe = recipe_from(tool.shortened(name, 4800, (144, 256)), name)
        frames = sum(stage.steps * stage.batch * (stage.frames - 1) for stage in recipe.stages)
        assert frames == pytest.approx(4800, rel=0.02)
        assert {stage.size for stage in recipe.stages} == {(144, 256)}


def test_rows_differ_only_in_what_they_name(tool: Any) -> None:
    whole, spatial = (tool.shortened(f"RVOS, {kind}", 96, (48, 64)) for kind in ("spatio-temporal", "spatial only"))
    assert spatial["model_args"].pop("recurrence") == "spatial" and spatial == whole
    assert tool.shortened("RVOS, spatio-temporal, stage one only", 96, (48, 64))["stages"][0]["own"] == 0.0


def test_a_row_from_data_to_table(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in load_recipe(catalogue.folder() / "rvos-resnet18/recipe.yaml", []).stills:
        write_stills(tmp_path / "data" / name)
    write_clip(tmp_path / "data" / "clip")
    (tmp_path / "data" / "clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    for name in ("davis2016val__x", "davis2017val__dogs-jump"):
        write_clip(tmp_path / "val" / name)
    row = "ACCLVOS without ASPP"
    command = ["--data", tmp_path / "data", "--clips", tmp_path / "val", "--out", tmp_path / "out", "--frames", 24, "--size", 48, 64]
    command += ["--rows", row, "--train", "--workers", "0", "--device", "cpu", "--no-tensorboard"]
    assert tool.main([str(word) for word in command]) == 0
    made = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert made[row]["steps"] == 2 and all(0 <= value <= 100 for value in made[row]["J&F"].values())
    assert f"| {row} | " in capsys.readouterr().out


def test_an_unknown_row(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.main(["--data", str(tmp_path), "--clips", str(tmp_path), "--out", str(tmp_path), "--rows", "STM"]) == 2
    assert "there is no row 'STM'; there are: RVOS, spatio-temporal;" in capsys.readouterr().err
