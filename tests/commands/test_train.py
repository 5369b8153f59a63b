"""vos-zoo train and tools/train.py from their command lines, on tiny data laid out as they ask for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from programs import program
from training_data import MODEL_ARGS, recipe, still, tiny_crvos, write_clip, write_stills

import vos_zoo
from vos_zoo import cli
from vos_zoo.checkpoints import catalogue
from vos_zoo.checkpoints.config import ModelConfig, Preprocess
from vos_zoo.commands import train as command
from vos_zoo.errors import DataError, VosZooWarning
from vos_zoo.segmenter import Segmenter
from vos_zoo.train.provenance import provenance, read_recipe, record
from vos_zoo.zoo import load

ROOT = Path(__file__).parents[2]
RECIPE = {
    "architecture": "CRVOS",
    "model_args": MODEL_ARGS,
    "stills": ["stills"],
    "clips_index": "clips.json",
    "stages": [{"name": "both", "steps": 2, "size": [32, 48], "batch": 1, "real": 0.5, "corrupt": 0.5}],
}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    write_stills(tmp_path / "data/stills")
    write_clip(tmp_path / "data/clip")
    (tmp_path / "data/clips.json").write_text(json.dumps({"clip": {"split": "train"}}))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    out = str(tmp_path / "out")
    return [str(tmp_path / "recipe.yaml"), "--data", str(tmp_path / "data"), "--out", out, "--device", "cpu", "--workers", "0"]


@pytest.fixture
def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def main(*more: str, **changes: object) -> tuple[int, str]:
        """Exit code, and what was said."""
        Path(arguments[0]).write_text(yaml.safe_dump({**RECIPE, **changes}))
        code = cli.main(["train", *arguments, "--no-tensorboard", *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return main


def test_the_benchmark_tool_measures_the_loader(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["loader", *arguments[:3], "--steps", "1", "--workers", "1", "2", "--device", "cpu"]
    assert program("benchmark").main([*command, "--json", str(tmp_path / "loader.json"), "--set", "stages.0.batch=2"]) == 0
    said = capsys.readouterr().out
    assert "frames/s" in said and said.count("both") == 2
    written = json.loads((tmp_path / "loader.json").read_text())
    assert [one["workers"] for one in written["results"]] == [1, 2]
    assert all(one["offered"] > 0 and one["wanted"] > 0 and one["stage"] == "both" for one in written["results"])


@pytest.mark.skipif(not catalogue.info("crvos").ships, reason="the weights of crvos are not here")
def test_a_pointer_is_trained_exported_and_points(
    tmp_path: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = {"widths": [8, 8, 8], "relations": 1, "blocks": [1, 1]}
    stages = [{"name": "small", "steps": 2, "size": [64, 64], "batch": 2}]
    code, said = run(architecture="PointingNetwork", encoder="crvos", model_args=widths, clips=False, clips_index=None, stages=stages)
    assert code == 0 and said.strip().endswith("done"), said
    config = json.loads((ROOT / "hub_configs/pointer/config.json").read_text())
    config["model_args"].update(widths)
    (tmp_path / "made").mkdir()
    (tmp_path / "made/config.json").write_text(json.dumps({**config, "name": "made"}))
    export = program("export_checkpoint")
    monkeypatch.setattr(sys, "argv", ["export_checkpoint", str(tmp_path / "out"), str(tmp_path / "made")])
    assert export.main() == 0
    image, truth = still(0)
    y, x = next(zip(*truth.nonzero(), strict=True))
    mask = vos_zoo.load_pointer(tmp_path / "made", device="cpu").look(image).mask(points=[(int(x), int(y))])
    assert mask.shape == truth.shape and set(mask.ravel().tolist()) <= {0, 1}


def test_a_run_may_start_from_the_trunk_of_another_checkpoint(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    torch.manual_seed(5)
    source = Segmenter(tiny_crvos(), ModelConfig("source", "CRVOS", MODEL_ARGS, Preprocess(48)), device="cpu", dtype="float32")
    source.save_pretrained(tmp_path / "source", dtype="float32")
    scm = {"backbone": "resnet18", "batch_norm": "folded", "key": 8, "value": 8, "decoder": 8, "refine_width": 8}
    changes = {"architecture": "SCM", "model_args": scm, "frozen": ["query_trunk.", "memory_trunk."], "weight_decay": 0.0}
    code, said = run(trunk_of=str(tmp_path / "source"), **changes)
    assert code == 0, said
    trained = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"]
    for name, value in source.model.trunk.net.state_dict().items():
        assert torch.equal(trained[f"query_trunk.net.{name}"], value), name
        of_memory = trained[f"memory_trunk.net.{name}"]
        assert torch.equal(of_memory[:, :3] if of_memory.shape != value.shape else of_memory, value), name

    for bad, message in (({"trunk_of": "nowhere/at-all"}, "nowhere/at-all"), ({"trunk_of": "crvos", "backbone": "b.safetensors"}, "take")):
        (tmp_path / "out/checkpoint.pt").unlink(missing_ok=True)
        code, said = run(**{**changes, **bad})
        assert code == 2 and message in said
    code, said = run(trunk_of=str(tmp_path / "source"), **{**changes, "model_args": {**scm, "backbone": "resnet10t"}})
    assert code == 2 and "another trunk" in said
    code, said = run(trunk_of=str(tmp_path / "source"), **{**changes, "model_args": {**scm, "backbone": "resnet50", "stride_on": "1x1"}})
    assert code == 2 and "its stride_on is '3x3'" in said


def test_keys_begin_before_the_first_step_and_stay(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    stage = {**RECIPE["stages"][0], "model_args": {"matching": False}}
    changes = {"model_args": {**MODEL_ARGS, "matched": 4}, "keys_from": 3, "frozen": ["trunk", "keys"], "stages": [stage]}
    code, said = run(**changes)
    assert code == 0, said
    saved = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)
    keys = saved["average"]["keys.project.weight"][:, :, 0, 0]
    torch.testing.assert_close(keys @ keys.T, torch.eye(4), atol=1e-5, rtol=0)
    shutil.rmtree(tmp_path / "out")
    code, said = run(**{**changes, "keys_from": 9})
    assert code == 2 and "keys_from wants 9 stills, and there are 3" in said


def test_a_run_may_go_on_from_a_checkpoint_that_has_no_keys(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    """What does not learn stays as it was there, and keys are fitted before the first step."""
    torch.manual_seed(5)
    source = Segmenter(tiny_crvos(), ModelConfig("source", "CRVOS", MODEL_ARGS, Preprocess(48)), device="cpu", dtype="float32")
    source.save_pretrained(tmp_path / "source", dtype="float32")
    stage = {**RECIPE["stages"][0], "real": 1.0}
    changes = {
        "model_args": {**MODEL_ARGS, "matched": 4}, "keys_from": 3, "frozen": ["trunk", "keys"], "stages": [stage], "keep": True,
        "windows": {"view": "frame", "flip": 0.0, "photometry": False}, "start": str(tmp_path / "source"),
    }  # fmt: skip
    code, said = run(**changes)
    assert code == 0, said
    trained = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"]
    before = source.model.state_dict()
    assert all(torch.equal(trained[name], value) for name, value in before.items() if name.startswith("trunk"))
    assert not torch.equal(trained["refine16.blend.weight"], before["refine16.blend.weight"])
    keys = trained["keys.project.weight"][:, :, 0, 0]
    torch.testing.assert_close(keys @ keys.T, torch.eye(4), atol=1e-5, rtol=0)
    assert json.loads((tmp_path / "out/run.json").read_text())["started_from"] == str(tmp_path / "source")
    assert list((tmp_path / "out/kept").iterdir())

    shutil.rmtree(tmp_path / "out")
    for bad, message in (
        ({"keys_from": 0}, "is another model than the recipe's"),
        ({"backbone": "b.safetensors"}, "take `backbone` and `trunk_of` out of the recipe, or `start`"),
    ):
        code, said = run(**{**changes, **bad})
        assert code == 2 and message in said


def test_two_steps_in_two_runs(
    tmp_path: Path, arguments: list[str], run: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *arguments, "--sheet-every", "1", "--max-minutes", "0"]) == 0
    first = capsys.readouterr().out
    assert "3 stills, 1 clips, 2 steps on 1 x cpu" in first and "stopped at step 1; the same command goes on" in first
    code, second = run("--sheet-every", "1")
    assert code == 0 and second.splitlines()[-1] == "done"
    out = tmp_path / "out"
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 2
    assert json.loads((out / "recipe.json").read_text())["stages"][0]["frames"] == 2
    assert [path.name for path in sorted((out / "sheets").iterdir())] == ["000001.png", "000002.png"]
    assert list((out / "tensorboard").iterdir())
    facts = json.loads((out / "run.json").read_text())
    assert facts["data"]["stills stills"]["files"] == 6 and facts["data"]["clips clips"]["files"] == 10
    assert facts["versions"]["torch"] == str(torch.__version__).partition("+")[0]


def test_a_terminated_run_has_saved(tmp_path: Path, arguments: list[str]) -> None:
    more = ["--set", "stages.0.steps=100000", "--log-every", "1", "--no-tensorboard"]
    command = [sys.executable, str(ROOT / "tools/train.py"), *arguments, *more]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    log, deadline = tmp_path / "out/log.jsonl", time.monotonic() + 120
    while not log.exists() or not log.read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 143
    assert torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["step"] >= 1


def test_errors_are_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools/train.py"), "none.yaml", "--data", ".", "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: the recipe none.yaml can't be read: No such file or directory"]
    assert os.listdir(tmp_path) == []


def test_what_is_wrong_is_said_before_any_step(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    def said(*more: str, **changes: object) -> str:
        code, text = run(*more, **changes)
        assert code == 2 and not (tmp_path / "out/checkpoint.pt").exists()
        return text

    assert "unknown architecture 'CRVOZ'" in said(architecture="CRVOZ")
    assert "the recipe: unknown model_args 'depth'" in said(model_args={"depth": 3})
    wrong = {"backbone": "resnet18", "backbone_stages": 2}
    assert "CRVOS as the recipe wants it: backbone_stages is 3 or 4, not 2" in said(model_args=wrong)
    text = said(backbone="resnet18.safetensors")
    assert "this recipe starts from resnet18.safetensors: say --backbones FOLDER, or --set backbone=null for random weights" in text
    text = said("--backbones", str(tmp_path), backbone="resnet18.safetensors")
    assert re.search(r"there is no .*resnet18\.safetensors, the trunk that this recipe starts from", text)
    assert "data/more holds no images" in said(stills=["more"])
    assert "scaled: no parameter's name begins with head; names begin with" in said(scaled={"head": 2.0})
    assert "there is no device cuda here" in said("--device", "cuda") or torch.cuda.is_available()


def test_arguments_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert cli.main(["train", *arguments, "--out", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    assert "what is to be trained? Give a recipe and --data FOLDER, or --from MODEL and --clips FOLDER" in said("crvos")
    assert "--clips fine-tunes a model: give --from MODEL with it, and neither a recipe nor --data" in said("--clips", str(tmp_path))
    assert re.search(r"no recipe 'crvoz': give a YAML file, or one of .*crvos.*\. Did you mean 'crvos'", said("crvoz", "--data", "."))


def test_values_are_replaced_on_the_command_line(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, text = run("--set", "stages.0.lr=1e-5", "--set", "stages.*.steps=1", "--set", "loss.dice=0", "--set", "seed=9")
    assert code == 0 and "1 steps" in text
    found = read_recipe(tmp_path / "out")
    assert (found.stages[0].lr, found.stages[0].steps, found.loss, found.seed) == (1e-5, 1, {"dice": 0}, 9)


def test_bad_data_is_listed_and_left_out_or_the_end(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "data/stills/images/001.png").write_bytes(b"no image")
    code, text = run("--on-bad-data", "stop")
    assert code == 2 and "1 problem in the data; mend them" in text and "images/001.png: can't be read" in text
    code, text = run()
    assert code == 0 and "warning: 1 problem in the data; left out:" in text and "images/001.png" in text and "2 stills" in text


def test_validation_keeps_the_best(run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "val/clip", frames=3)
    scores = iter([20.0, 50.0, 40.0])
    real = command.validator
    seen: list[float] = []

    def validator(*arguments: object) -> Callable[..., float]:
        score = real(*arguments)  # type: ignore[arg-type]

        def scored(model: torch.nn.Module) -> float:
            before = {name: value.clone() for name, value in model.state_dict().items()}
            seen.append(score(model))  # type: ignore[arg-type]
            assert all(value.equal(before[name]) for name, value in model.state_dict().items()), "validation leaves the model alone"
            return next(scores)

        return scored

    monkeypatch.setattr(command, "validator", validator)
    options = ("--validate", f"folder:{tmp_path / 'val'}", "--validate-every", "1", "--set", "stages.0.steps=3")
    code, text = run(*options)
    assert code == 0 and "validation 2/3  J&F 50.0  best so far" in text and "validation 3/3  J&F 40.0\n" in text
    assert all(0 <= score <= 100 for score in seen) and len(seen) == 3
    best = torch.load(tmp_path / "out/best.pt", weights_only=True)
    assert (best["step"], best["score"]) == (2, 50.0)
    rows = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [(row["validation"], row["best"]) for row in rows if "validation" in row] == [(20.0, True), (50.0, True), (40.0, False)]


def test_a_changed_recipe_or_changed_data_are_noticed(tmp_path: Path) -> None:
    record(tmp_path, recipe(), "1", {"data": {"clips": {"files": 3}}})
    (tmp_path / "checkpoint.pt").touch()
    record(tmp_path, recipe(), "1", {"data": {"clips": {"files": 3}}})
    with pytest.warns(VosZooWarning, match="began with other values of seed, ema"):
        record(tmp_path, recipe(seed=8, ema=0.5), "1", {"data": {"clips": {"files": 3}}})
    assert json.loads((tmp_path / "recipe.json").read_text())["seed"] == 8
    with pytest.warns(VosZooWarning, match="began with other files in clips, stills"):
        record(tmp_path, recipe(seed=8, ema=0.5), "1", {"data": {"clips": {"files": 4}, "stills": {"files": 1}}})
    with pytest.raises(DataError, match="give the folder of a training run"):
        read_recipe(tmp_path / "nowhere")


def test_a_run_of_before_recipes_named_their_loss_is_read(tmp_path: Path) -> None:
    old = {**json.loads(json.dumps(recipe().as_dict())), "dice": 0.4, "auxiliary": 0.1}
    (tmp_path / "recipe.json").write_text(json.dumps(old))
    assert read_recipe(tmp_path).loss == {"dice": 0.4, "auxiliary": 0.1}


def test_provenance_tells_recipe_files_and_last_figures(tmp_path: Path) -> None:
    record(tmp_path, recipe(), "1.2", {"data": {"clips": {"files": 3}}, "processes": 2})
    rows = [{"step": 20, "loss": 0.5}, {"step": 20, "validation": 61.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = provenance(tmp_path, recipe(), "9")
    assert told["last_log"] == rows[0] and told["files"] == {"clips": {"files": 3}} and told["processes"] == 2
    assert told["versions"]["vos_zoo"] == "1.2" and len(told["recipe_sha256"]) == 64
    assert told["recipe_sha256"] != provenance(tmp_path, recipe(seed=1), "9")["recipe_sha256"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(name="tiny", architecture="CRVOS", model_args=MODEL_ARGS, preprocess=Preprocess(48), training={"note": "by hand"})
    return Segmenter(tiny_crvos(), config, device="cpu", dtype="float32").save_pretrained(tmp_path / "tiny", dtype="float32")


def finetune(checkpoint: Path, clips: Path, out: Path, *more: str) -> int:
    options = ["--out", str(out), "--device", "cpu", "--workers", "0", "--no-tensorboard", "--set", "stages.0.steps=2", *more]
    return cli.main(["train", "--from", str(checkpoint), "--clips", str(clips), *options])


def test_fine_tuning_on_ones_own_clips(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path / "mine/a", frames=6)
    (write_clip(tmp_path / "mine/b", frames=6) / "masks/00003.png").unlink()
    out = tmp_path / "run"
    assert finetune(checkpoint, tmp_path / "mine", out, "--set", "stages.0.lr=0.01", "--keep", "1", "--max-minutes", "0") == 0
    assert "stopped at step 1" in capsys.readouterr().out and not (out / "model").exists()
    assert finetune(checkpoint, tmp_path / "mine", out, "--set", "stages.0.lr=0.01", "--keep", "1") == 0
    assert f"done: {out / 'model'}" in capsys.readouterr().out
    before, after = (load(each, device="cpu", dtype="float32").model.state_dict() for each in (checkpoint, out / "model"))
    changed = {name for name, value in before.items() if not value.half().float().equal(after[name])}
    assert "predictor.weight" in changed and not any(name.startswith("trunk.") for name in changed)
    config = load(out / "model", device="cpu").config
    assert config.name == "tiny-finetuned" and config.preprocess == Preprocess(48)
    assert config.training["started_from"] == str(checkpoint) and config.training["before"] == {"note": "by hand"}
    stage = config.training["recipe"]["stages"][0]
    assert stage["size"] == [64, 96] and stage["real"] == 1.0


def test_fine_tuning_keeps_a_share_of_the_change(tmp_path: Path, checkpoint: Path) -> None:
    write_clip(tmp_path / "mine/a", frames=6)
    for name, keep in (("whole", "1"), ("half", "0.5")):
        assert finetune(checkpoint, tmp_path / "mine", tmp_path / name, "--set", "stages.0.lr=0.01", "--keep", keep) == 0
    start, half, whole = (load(each, device="cpu", dtype="float32").model.state_dict()["predictor.weight"]
                          for each in (checkpoint, tmp_path / "half/model", tmp_path / "whole/model"))  # fmt: skip
    assert not whole.equal(start)
    torch.testing.assert_close(half, (start + whole) / 2, atol=2e-4, rtol=0)


def test_fine_tuning_without_clips_or_sense(tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert finetune(checkpoint, tmp_path / "empty", tmp_path / "run") == 2
    assert re.search(r"empty holds no clips: expected .*empty/<clip>/frames", capsys.readouterr().err)
    write_clip(tmp_path / "mine/a", frames=6)
    assert finetune(checkpoint, tmp_path / "mine", tmp_path / "run", "--keep", "0") == 2
    assert "keep 0.0 is the share of the way" in capsys.readouterr().err and not (tmp_path / "run").exists(), "before any step"


def test_a_recipe_may_start_from_a_checkpoint(run: Callable[..., tuple[int, str]], checkpoint: Path, tmp_path: Path) -> None:
    code, _ = run("--from", str(checkpoint), "--set", "stages.0.lr=0", "--set", "weight_decay=0")
    assert code == 0
    trained = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["model"]
    assert trained["predictor.weight"].equal(load(checkpoint, device="cpu", dtype="float32").model.state_dict()["predictor.weight"])
    code, text = run("--from", str(checkpoint), "--set", "model_args.reduced=[4, 4, 4]")
    assert code == 2 and "is another model than the recipe's" in text


def test_a_recipe_goes_on_from_what_it_exported(run: Callable[..., tuple[int, str]], checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    config["model_args"]["feedback_threshold"] = 0.5
    hard = shutil.copytree(checkpoint, tmp_path / "hard")
    (hard / "config.json").write_text(json.dumps(config))
    assert run("--from", str(hard), "--set", "exported_args.feedback_threshold=0.5", "--set", "stages.0.lr=0")[0] == 0
    code, text = run("--from", str(hard), "--set", "exported_args.feedback_threshold=0.7")
    assert code == 2 and "is another model than the recipe's" in text
    code, text = run("--set", "exported_args.feedback_threshold=7")
    assert code == 2 and "CRVOS as the recipe wants it: feedback_threshold lies between 0 and 1" in text, "before hours of training"


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_two_runs_do_not_write_to_one_folder(run, arguments):
    out = Path(arguments[arguments.index("--out") + 1])
    with command.own(out, main=True):
        before = sorted(out.iterdir())
        code, said = run()
        assert code == 2 and f"another run is writing to {out}: wait for it" in said and sorted(out.iterdir()) == before
        with command.own(out, main=False):  # another process of the same run
            pass
    assert run()[0] == 0
