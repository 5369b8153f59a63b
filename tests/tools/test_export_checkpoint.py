"""tools/export_checkpoint.py: from a run to a checkpoint folder that loads, with what is known of the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from programs import program
from training_data import MODEL_ARGS, recipe, tiny_crvos

from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.errors import DataError
from vos_zoo.train.provenance import record
from vos_zoo.train.trainer import Trainer, write
from vos_zoo.zoo import load

ROOT = Path(__file__).parents[2]
NOTES = {"data": "old words", "steps": 1, "input_size": "chosen on a Monday"}


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelConfig]:
    export_checkpoint = program("export_checkpoint")
    (tmp_path / "tiny").mkdir()
    config = ModelConfig(name="tiny", architecture="CRVOS", preprocess=Preprocess(64), training=NOTES, licence="ours")
    (tmp_path / "tiny/config.json").write_text(config.to_json())

    def main(*more: str) -> ModelConfig:
        monkeypatch.setattr(sys, "argv", ["export", str(tmp_path / "run"), str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), *more])
        assert export_checkpoint.main() == 0
        return load(tmp_path / "out", device="cpu").config

    return main


@pytest.fixture
def run(tmp_path: Path) -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(tiny_crvos(), recipe())
    trainer.step = 6
    trainer.average["predictor.weight"] += 1
    record(tmp_path / "run", recipe(), "7", {"data": {"clips": {"files": 3}}})
    trainer.save(tmp_path / "run/checkpoint.pt")
    (tmp_path / "run/log.jsonl").write_text('{"step": 6, "loss": 0.25}\n')
    return trainer


def test_the_average_is_exported_with_its_provenance(tmp_path: Path, run: Trainer, export: Callable[..., ModelConfig]) -> None:
    config = export("--data", "two squares", "--licence", "free")
    weights = load(tmp_path / "out", device="cpu", dtype="float32").model.state_dict()["predictor.weight"]
    assert weights.equal(run.average["predictor.weight"].half().float())
    assert config.licence == "free" and config.preprocess == Preprocess(64) and config.metrics == []
    assert config.model_args["backbone"] == "resnet18" and list(config.model_args["reduced"]) == MODEL_ARGS["reduced"]
    told = config.training
    assert (told["data"], told["steps"], told["last_log"], told["files"]) == (
        "two squares", 6, {"step": 6, "loss": 0.25}, {"clips": {"files": 3}})  # fmt: skip
    assert told["versions"]["vos_zoo"] == "7" and told["recipe"]["stages"][1]["name"] == "drift"
    assert "input_size" not in told and "no checkpoint was picked" in told["weights"]


def test_the_exported_model_may_have_other_arguments(tmp_path: Path, run: Trainer, export: Callable[..., ModelConfig]) -> None:
    record(tmp_path / "run", recipe(exported_args={"feedback_threshold": 0.5}), "7", {"data": {}})
    config = export()
    assert config.model_args["feedback_threshold"] == 0.5 and load(tmp_path / "out", device="cpu").model.config.feedback_threshold == 0.5
    assert config.training["recipe"]["exported_args"] == {"feedback_threshold": 0.5}
    assert "feedback_threshold" not in config.training["recipe"]["model_args"]


def test_notes_made_by_hand_are_kept_when_asked_for(run: Trainer, export: Callable[..., ModelConfig]) -> None:
    told = export("--keep-notes", "--note", "sheets=looked at").training
    assert (told["input_size"], told["sheets"], told["data"], told["steps"]) == ("chosen on a Monday", "looked at", "old words", 6)
    for note in ("steps=3", "nothing"):
        with pytest.raises(DataError, match="is not KEY=TEXT with a key of its own; before, data, .* are written by this program"):
            export("--note", note)


def test_the_best_is_exported_when_there_is_one(tmp_path: Path, run: Trainer, export: Callable[..., ModelConfig]) -> None:
    with pytest.raises(DataError, match=r"there is no .*best\.pt; the run was never validated: leave --best out"):
        export("--best")
    best = {name: value - 1 for name, value in run.average.items()}
    write({"step": 4, "score": 61.25, "average": best}, tmp_path / "run/best.pt")
    told = export("--best").training
    assert told["steps"] == 4 and told["weights"] == "exponential moving average of the step that validated best, J&F 61.2"


def test_a_run_of_an_older_version_is_exported(tmp_path: Path, run: Trainer, export: Callable[..., ModelConfig]) -> None:
    (tmp_path / "run/run.json").unlink()
    old = {**json.loads((tmp_path / "run/recipe.json").read_text()), "dice": 0.5, "auxiliary": 0.25}
    (tmp_path / "run/recipe.json").write_text(json.dumps(old))
    assert export().training["recipe"]["loss"] == {"dice": 0.5, "auxiliary": 0.25}


def test_weights_on_the_way_are_averaged_in(tmp_path: Path, run: Trainer, export: Callable[..., ModelConfig]) -> None:
    record(tmp_path / "run", recipe(mean_with=(2, 4, 9)), "7", {"data": {}})
    with pytest.raises(DataError, match=r"there is no .*000002.pt, which the recipe asks for"):
        export()
    (tmp_path / "run/snapshots").mkdir()
    for step in (2, 4):
        shifted = {name: value + step if value.is_floating_point() else value for name, value in run.average.items()}
        write({"step": step, "average": shifted}, tmp_path / f"run/snapshots/{step:06}.pt")
    config = export()
    weights = load(tmp_path / "out", device="cpu", dtype="float32").model.state_dict()["predictor.weight"]
    assert (weights - (run.average["predictor.weight"] + 2)).abs().max() < 2e-3, "the mean of 0, 2 and 4 more; step 9 was not reached"
    assert config.training["weights"] == "mean of the exponential moving averages of steps 2, 4 and 6"
