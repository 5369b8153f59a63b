"""tools/train.py from its command line, on tiny data laid out as it asks for."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from training_data import MODEL_ARGS, recipe, write_clip, write_stills

from vos_zoo.errors import CheckpointError, DataError, VosZooWarning

ROOT = Path(__file__).parents[1]
RECIPE = {
    "architecture": "CRVOS",
    "model_args": MODEL_ARGS,
    "stills": ["stills"],
    "clips_index": "clips.json",
    "stages": [{"name": "both", "steps": 2, "size": [32, 48], "batch": 1, "real": 0.5, "corrupt": 0.5}],
}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    write_stills(tmp_path / "data/stills")
    write_clip(tmp_path / "data/clip")
    (tmp_path / "data/clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    out = str(tmp_path / "out")
    return [str(tmp_path / "recipe.yaml"), "--data", str(tmp_path / "data"), "--out", out, "--device", "cpu", "--workers", "0"]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tools_train", ROOT / "tools" / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(program: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> Callable[..., int]:
    def main(*more: str, **changes: object) -> int:
        Path(arguments[0]).write_text(yaml.safe_dump({**RECIPE, **changes}))
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, *more])
        return program.main()

    return main


def test_two_steps_in_two_runs(tmp_path: Path, arguments: list[str]) -> None:
    def call(*more: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(ROOT / "tools/train.py"), *arguments, *more]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = call("--max-minutes", "0")
    assert "3 stills, 1 clips, 2 steps" in first and "stopped at step 1; the same command goes on" in first
    assert call().splitlines()[-1] == "done"
    out = tmp_path / "out"
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 2
    assert json.loads((out / "recipe.json").read_text())["stages"][0]["frames"] == 2


def test_errors_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/train.py"), "none.yaml", "--data", ".", "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: the recipe none.yaml can't be read: No such file or directory"]
    assert os.listdir(tmp_path) == []


def test_what_is_wrong_is_said_before_any_step(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match="unknown architecture 'CRVOZ'"):
        run(architecture="CRVOZ")
    with pytest.raises(CheckpointError, match="the recipe: unknown model_args 'depth'"):
        run(model_args={"depth": 3})
    with pytest.raises(DataError, match="CRVOS as the recipe wants it: backbone_stages is 3 or 4, not 2"):
        run(model_args={"backbone": "resnet18", "backbone_stages": 2})
    with pytest.raises(SystemExit):
        run(backbone="resnet18.safetensors")
    assert "this recipe starts from resnet18.safetensors: say --backbones FOLDER" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"there is no .*resnet18\.safetensors, the trunk that this recipe starts from"):
        run("--backbones", str(tmp_path), backbone="resnet18.safetensors")
    with pytest.raises(DataError, match="data/more holds no images"):
        run(stills=["more"])
    assert not (tmp_path / "out/checkpoint.pt").exists()


def test_a_changed_recipe_is_noticed(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    program.record(recipe(), path, True)
    program.record(recipe(), path, False)
    with pytest.warns(VosZooWarning, match="began with other values of seed, ema"):
        program.record(recipe(seed=8, ema=0.5), path, False)
    assert json.loads(path.read_text())["seed"] == 8
